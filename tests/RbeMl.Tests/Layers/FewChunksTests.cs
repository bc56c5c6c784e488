using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Tests.Layers;

/// <summary>Fewer chunks of tokens than threads: products are divided into tile rows, with the same bits.</summary>
public sealed class FewChunksTests
{
    // 800 hidden features are two of the groups that an undivided chunk has them in.
    private static readonly TransformerConfig s_config = new() { Width = 200, Heads = 4, Layers = 2 };

    [Theory]
    [InlineData("free", 1, 64)]
    [InlineData("runs16", 1, 16)]
    [InlineData("runs16", 2, 35)]
    [InlineData("seed", 1, 5)]
    [InlineData("quantized", 6, 1)]
    public void A_forward_has_the_same_bits_for_any_number_of_threads(string format, int batch, int length)
    {
        float[]? expected = null;
        foreach (int threads in (int[])[1, 2, 3])
        {
            using BlockFixture<float> f = Fixture(format, batch, length, threads);
            ForwardOptions<float> options = new() { Dropout = new DropoutStep(7, 11) };
            foreach (CheckpointPolicy? policy in (CheckpointPolicy?[])[null, CheckpointPolicy.None, CheckpointPolicy.Selective, CheckpointPolicy.Full])
            {
                using BlockContext<float>? context = policy is { } given ? new BlockContext<float>(given) : null;
                float[] y = f.Block.Forward(f.X, batch, length, options, context, f.Workspace).Output;
                expected ??= y;
                Assert.Equal(expected.Select(BitConverter.SingleToInt32Bits), y.Select(BitConverter.SingleToInt32Bits));
            }
        }
    }

    [Theory]
    [InlineData(CheckpointPolicy.None)]
    [InlineData(CheckpointPolicy.Selective)]
    [InlineData(CheckpointPolicy.Full)]
    public void Gradients_have_the_same_bits_for_any_number_of_threads(CheckpointPolicy policy)
    {
        const int Length = 20;
        float[][] results = [.. ((int[])[1, 2, 3]).Select(threads =>
        {
            using BlockFixture<float> f = Fixture("seed", 1, Length, threads);
            using BlockContext<float> context = new(policy);
            using ParameterVector<float> gradients = f.Block.Parameters.CreateLike();
            f.Block.Forward(f.X, 1, Length, null, context, f.Workspace);
            float[] dx = f.Block.Backward(f.Dy, context, gradients, f.Workspace);
            return (float[])[.. dx, .. gradients.Slices.SelectMany(s => gradients.Of(s).ToArray())];
        })];
        foreach (float[] result in results[1..]) Assert.Equal(results[0].Select(BitConverter.SingleToInt32Bits), result.Select(BitConverter.SingleToInt32Bits));
    }

    private static BlockFixture<float> Fixture(string format, int batch, int length, int threads)
    {
        RbeFormat rule = format switch
        {
            "free" => RbeFormat.Sparse(96, SupportRule.Random(1)),
            "runs16" => RbeFormat.Sparse(96, SupportRule.Runs(16)),
            "seed" => RbeFormat.Seed(64),
            _ => RbeFormat.Quantized(4),
        };
        return new BlockFixture<float>(s_config with { Dropout = 0.1f }, new RbeOptions { Tile = 32, Format = rule }, batch, length, threads);
    }
}
