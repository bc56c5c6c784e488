using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Layers;

/// <summary>What makes a NaN or infinity says so, whichever way it is called.</summary>
public class NonFiniteTests
{
    private static readonly TransformerConfig s_config =
        new() { Width = 40, FeedForwardWidth = 72, Heads = 2, Layers = 1, MaxSequenceLength = 64, Dropout = 0.1f };

    // Chunks that a thread has for itself, that are divided among threads, that go together, in integers; and vectors.
    public static TheoryData<string> Ways => ["rows", "panels", "few chunks", "groups", "int8", "training", "cache", "vectors"];

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_block_names_itself_whatever_weight_is_bad(string way)
    {
        foreach (float bad in new[] { float.NaN, float.PositiveInfinity, 3e38f })
        {
            using BlockFixture<float> f = Fixture(way);
            using RbeTransformerBlock<float>? copy = way == "int8" ? f.Block.ToInference(activations: ActivationPrecision.Int8) : null;
            RbeTransformerBlock<float> block = copy ?? f.Block;
            Run(f, block, way); // sound
            foreach (ParameterSlice slice in block.Parameters.Slices)
            {
                // Large numbers overflow in the last product; those of others the second LayerNorm may take back. GELU rightly makes 0 of a lone -infinity.
                bool finite = float.IsFinite(bad);
                if (finite && !slice.Name.EndsWith("contract.coefficients", StringComparison.Ordinal)) continue;
                Span<float> values = block.Parameters.Of(slice);
                float[] before = values.ToArray();
                if (finite || (float.IsInfinity(bad) && slice.Kind == ParameterKind.Coefficient)) values.Fill(bad);
                else values[values.Length / 2] = bad;
                NonFiniteException? error = Record.Exception(() => Run(f, block, way)) as NonFiniteException;
                Assert.True(error is not null, $"{slice.Name} = {bad}");
                Assert.Equal(block.Name, error.Where);
                Assert.Matches("its (output|queries, keys or values) (is|are) ", error.Message);
                before.CopyTo(block.Parameters.Of(slice));
            }

            Run(f, block, way);
        }
    }

    [Theory]
    [InlineData("panels")]
    [InlineData("few chunks")]
    [InlineData("vectors")]
    public void A_bad_input_is_not_the_blocks_fault(string way)
    {
        using BlockFixture<float> f = Fixture(way);
        f.X[(f.X.Length / 2) + 3] = float.NaN;
        if (way == "vectors") f.X[3] = float.NaN;
        Assert.Equal($"{f.Block.Name}: input", Assert.Throws<NonFiniteException>(() => Run(f, f.Block, way)).Where);
    }

    [Fact]
    public void Sequences_by_themselves_may_be_looked_at_one_by_one()
    {
        using BlockFixture<float> f = new(s_config, Options("sparse"), 3, 9);
        float[] sound = f.Block.Forward(f.X, 3, 9, null, null, f.Workspace).Output;
        int one = 9 * s_config.Width;
        for (int i = 0; i < one; i++) f.X[one + i] = (i % 2 == 0 ? 1 : -1) * 1e30f; // finite, and its variance is not
        Assert.Throws<NonFiniteException>(() => f.Block.Forward(f.X, 3, 9, null, null, f.Workspace));
        float[] output = f.Block.Forward(f.X, 3, 9, new ForwardOptions<float> { AllowNonFinite = true }, null, f.Workspace).Output;
        Assert.Contains(output.Skip(one).Take(one), value => !float.IsFinite(value));
        Assert.Equal(sound[..one], output[..one]);
        Assert.Equal(sound[(2 * one)..], output[(2 * one)..]);
    }

    [Fact]
    public void A_backward_names_the_gradient()
    {
        using BlockFixture<float> f = new(s_config, Options("sparse"), 2, 20);
        using ParameterVector<float> gradients = f.Block.Parameters.CreateLike();
        using BlockContext<float> context = new();
        f.Block.Forward(f.X, 2, 20, null, context, f.Workspace);
        float[] large = [.. f.Dy.Select(_ => 3e38f)];
        Assert.Equal($"{f.Block.Name}: input gradient",
            Assert.Throws<NonFiniteException>(() => f.Block.Backward(large, context, gradients, f.Workspace)).Where);

        f.Block.Forward(f.X, 2, 20, null, context, f.Workspace);
        using Panel<float> dy = new(), dx = new();
        dy.Reshape(40, s_config.Width, f.Block.PaddedWidth).FromRowMajor([.. f.Dy.Select((g, i) => i == 77 ? float.NaN : g)]);
        dx.Reshape(40, s_config.Width, f.Block.PaddedWidth);
        Assert.Equal($"{f.Block.Name}: output gradient",
            Assert.Throws<NonFiniteException>(() => f.Block.Backward(dy, dx, context, gradients, f.Workspace)).Where);

        gradients.Clear();
        f.Block.Forward(f.X, 2, 20, null, context, f.Workspace);
        Assert.DoesNotContain(f.Block.Backward(f.Dy, context, gradients, f.Workspace), value => !float.IsFinite(value));
    }

    [Theory]
    [InlineData(1, KvFormat.F32)]
    [InlineData(5, KvFormat.F32)]
    [InlineData(1, KvFormat.Int8)]
    [InlineData(5, KvFormat.Int8)]
    public void A_model_names_its_layer_and_leaves_the_cache_as_it_was(int tokens, KvFormat format)
    {
        using TransformerModel<float> model = SmallModel.Create(layers: 3);
        using Workspace<float> workspace = new(1);
        using KvCache<float> cache = new(model.Config, 1, 16, format), twin = new(model.Config, 1, 16, format);
        int[] prompt = [1, 2, 3], more = [.. Enumerable.Range(4, tokens)];
        float[] logits = new float[11], expected = new float[11];
        foreach (KvCache<float> each in new[] { cache, twin }) model.LastLogits(prompt, 1, 3, workspace, each, logits);
        Span<float> weights = model.Parameters.Of(model.Parameters.Find("blocks.1.feedforward.contract.coefficients"));
        (float before, weights[5]) = (weights[5], float.NaN);
        Assert.Equal("blocks.1", Assert.Throws<NonFiniteException>(() => model.LastLogits(more, 1, tokens, workspace, cache, logits)).Where);
        Assert.Equal("blocks.1", Assert.Throws<NonFiniteException>(() => model.Logits(more, 1, tokens, workspace, cache)).Where);
        Assert.Equal("blocks.1", Assert.Throws<NonFiniteException>(() => model.Features(more, [tokens], new FeatureOptions(), workspace, new float[32])).Where);
        using Generator generator = new(model, 1);
        Assert.Equal("blocks.1", Assert.Throws<NonFiniteException>(() => generator.Generate(more, new GenerationOptions { KvFormat = format }).First()).Where);
        Assert.All(Enumerable.Range(0, 3), layer => Assert.Equal(3, cache[layer].Length));
        weights = model.Parameters.Of(model.Parameters.Find("blocks.1.feedforward.contract.coefficients"));
        weights[5] = before;
        model.LastLogits(more, 1, tokens, workspace, cache, logits);
        model.LastLogits(more, 1, tokens, workspace, twin, expected);
        Assert.Equal(expected, logits);

        model.Parameters.Of(model.Parameters.Find("embedding.positions"))[32 * 9] = float.NaN;
        Assert.Equal("embedding", Assert.Throws<NonFiniteException>(() => model.Logits(new int[10], 1, 10, workspace)).Where);
        model.Parameters.Of(model.Parameters.Find("final.beta"))[4] = float.NaN;
        Assert.Equal("head", Assert.Throws<NonFiniteException>(() => model.LastLogits([7], 1, 1, workspace, twin, logits)).Where);
    }

    private static RbeOptions Options(string format) => new()
    {
        Tile = 32,
        Format = format == "sparse" ? RbeFormat.Sparse(256) : RbeFormat.Quantized(4) with { Delta = RbeFormat.Sparse(64) },
    };

    private static BlockFixture<float> Fixture(string way) => way switch
    {
        "few chunks" => new(s_config, Options("sparse"), 1, 20, threads: 3),
        "groups" => new(s_config, Options("quantized"), 6, 60),
        "int8" => new(s_config, Options("quantized"), 2, 20),
        "vectors" => new(s_config, Options("sparse"), 2, 1),
        _ => new(s_config, Options("sparse"), 2, 20),
    };

    private static void Run(BlockFixture<float> f, RbeTransformerBlock<float> block, string way)
    {
        using LayerKvCache<float>? cache = way is "cache" or "vectors" ? new(f.Batch, s_config.Heads, s_config.HeadWidth, 64) : null;
        using BlockContext<float>? context = way == "training" ? new() : null;
        ForwardOptions<float> options = new() { Cache = cache };
        if (way is "rows" or "training" or "cache" or "int8")
        {
            block.Forward(f.X, f.Batch, f.Length, options, context, f.Workspace);
            return;
        }

        using Panel<float> x = new(), y = new();
        x.Reshape(f.Batch * f.Length, s_config.Width, block.PaddedWidth).FromRowMajor(f.X);
        y.Reshape(f.Batch * f.Length, s_config.Width, block.PaddedWidth);
        try
        {
            block.Forward(x, y, f.Batch, f.Length, options, null, f.Workspace);
        }
        catch (NonFiniteException) when (cache is not null)
        {
            Assert.Equal(0, cache.Length);
            throw;
        }
    }
}
