using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Layers;

public sealed class Int8Tests
{
    // Width 72 and hidden 136 leave every tile size a part of a tile over.
    private static readonly TransformerConfig s_config = new() { Width = 72, FeedForwardWidth = 136, Heads = 3, Layers = 1, MaxSequenceLength = 64 };

    [Theory]
    [InlineData("quantized4", 32, 5, 1)]
    [InlineData("quantized4", 64, 50, 3)]
    [InlineData("quantized5", 64, 33, 6)]
    [InlineData("quantized6", 128, 16, 1)]
    [InlineData("quantized8", 64, 17, 1)]
    [InlineData("trellis4", 64, 40, 5)]
    [InlineData("trellis3", 32, 16, 1)]
    [InlineData("delta", 64, 20, 4)]
    public void Outputs_move_by_the_rounding_of_codes(string format, int tile, int length, int batch)
    {
        using BlockFixture<float> f = new(s_config, Options(format, tile), batch, length);
        using RbeTransformerBlock<float> same = f.Block.ToInference(), copy = f.Block.ToInference(activations: ActivationPrecision.Int8);
        float[] expected = Branches(f, f.Block), rounded = Branches(f, copy);
        Assert.Equal(expected, Branches(f, same));

        // A step is 1/127 of the largest of 64 values, which is at most 4 times their root mean square, and so it is with levels: two uniform errors of
        // variance step² / 12 in each of four products one after the other, a random walk; 4 allows for LayerNorm, softmax and GELU of
        // random weights between them.
        double allowed = 4 * Math.Sqrt(2 * 4 / 12.0) * 4 / 127;
        Assert.InRange(Numbers.RelativeError(expected, rounded), 1e-4, allowed);
    }

    [Theory]
    [InlineData("quantized4", 300)]
    [InlineData("trellis4", 300)]
    [InlineData("quantized4", 40)]
    public void Any_number_of_threads_gives_the_same_bits(string format, int tokens)
    {
        int length = 20, batch = tokens / length;
        foreach (bool integers in new[] { false, true })
        {
            float[][] outputs = [.. new[] { 1, 2, 3 }.Select(threads =>
            {
                using BlockFixture<float> f = new(s_config, Options(format, 64), batch, length, threads);
                using RbeTransformerBlock<float> copy = f.Block.ToInference(activations: integers ? ActivationPrecision.Int8 : ActivationPrecision.Float32);
                return Branches(f, copy);
            })];
            Assert.Equal(outputs[0], outputs[1]);
            Assert.Equal(outputs[0], outputs[2]);
        }
    }

    [Fact]
    public void Tokens_do_not_depend_on_the_tokens_beside_them()
    {
        // 5 chunks, worked on in groups of 4 and 1, and the last alone.
        using BlockFixture<float> f = new(s_config, Options("quantized4", 64), 5, 64);
        using RbeTransformerBlock<float> copy = f.Block.ToInference(activations: ActivationPrecision.Int8);
        int part = 64 * s_config.Width;
        foreach (RbeTransformerBlock<float> block in new[] { f.Block, copy })
        {
            float[] whole = block.Forward(f.X, 5, 64, null, null, f.Workspace).Output;
            Assert.Equal(whole[^part..], block.Forward(f.X.AsSpan(4 * part), 1, 64, null, null, f.Workspace).Output);
        }
    }

    [Fact]
    public void Whatever_it_would_not_change_is_refused()
    {
        using BlockFixture<float> sparse = new(s_config, Options("sparse", 32), 1, 4);
        Assert.Contains("no weights are frozen",
            Assert.Throws<InvalidSettingException>(() => sparse.Block.ToInference(activations: ActivationPrecision.Int8)).Message, StringComparison.Ordinal);
        using BlockFixture<double> doubles = new(s_config, Options("quantized4", 32), 1, 4);
        Assert.Contains("float",
            Assert.Throws<InvalidSettingException>(() => doubles.Block.ToInference(activations: ActivationPrecision.Int8)).Message, StringComparison.Ordinal);
        using BlockFixture<float> f = new(s_config, Options("quantized4", 32), 1, 4);
        Assert.Throws<InvalidSettingException>(() => f.Block.ToInference(activations: (ActivationPrecision)7));
    }

    [Fact]
    public void A_copy_cannot_be_trained()
    {
        using BlockFixture<float> f = new(s_config, Options("delta", 32), 1, 4);
        using RbeTransformerBlock<float> copy = f.Block.ToInference(activations: ActivationPrecision.Int8);
        using BlockContext<float> context = new();
        using ParameterVector<float> gradients = copy.Parameters.CreateLike();
        copy.Forward(f.X, 1, 4, null, context, f.Workspace);
        Assert.Contains("ToInference",
            Assert.Throws<InvalidOperationException>(() => copy.Backward(f.Dy, context, gradients, f.Workspace)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_model_takes_it_too()
    {
        TransformerConfig config = new() { Width = 48, Heads = 3, Layers = 2, Vocabulary = 77, MaxSequenceLength = 24 };
        int[] tokens = [.. Enumerable.Range(0, 24).Select(i => i * 31 % 77)];
        using Workspace<float> workspace = new(1);
        using TransformerModel<float> sparse = TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) }, 3);
        BlockWeights[] blocks =
            [.. Enumerable.Range(1, 2)
                .Select(seed => BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(config, seed), config, Options("quantized6", 32)))];
        using TransformerModel<float> model = new(sparse.GetWeights() with { Blocks = blocks }),
            copy = model.ToInference(activations: ActivationPrecision.Int8);
        float[] expected = model.Logits(tokens, 1, 24, workspace), rounded = copy.Logits(tokens, 1, 24, workspace);

        // As for a block, of two blocks; the residual connections pass on most of the logits unrounded.
        Assert.InRange(Numbers.RelativeError(expected, rounded), 1e-5, 4 * Math.Sqrt(2 * 8 / 12.0) * 4 / 127);
        Assert.Throws<InvalidSettingException>(() => sparse.ToInference(activations: ActivationPrecision.Int8));
    }

    // What the block adds to its input: the input itself passes unrounded.
    private static float[] Branches(BlockFixture<float> f, RbeTransformerBlock<float> block) =>
        [.. block.Forward(f.X, f.Batch, f.Length, null, null, f.Workspace).Output.Zip(f.X, (y, x) => y - x)];

    private static RbeOptions Options(string format, int tile) => new()
    {
        Tile = tile,
        Format = format switch
        {
            "sparse" => RbeFormat.Sparse(64),
            "delta" => RbeFormat.Quantized(4) with { Delta = RbeFormat.Sparse(64) },
            "trellis3" => RbeFormat.Trellis(3),
            "trellis4" => RbeFormat.Trellis(4),
            _ => RbeFormat.Quantized(format[^1] - '0'),
        },
    };
}
