using System.Diagnostics;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Tests.Support;
using Xunit.Abstractions;

namespace RbeMl.Tests.Layers;

public sealed class LongAttentionTests(ITestOutputHelper output)
{
    private static readonly TransformerConfig s_config =
        new() { Width = 64, FeedForwardWidth = 64, Heads = 1, Layers = 1, MaxSequenceLength = 8192, Dropout = 0.1f };

    /// <summary>
    /// The fast path against the plain one in double, at a length of whole and broken chunks. Sums of 700 products: 1e-5 is ten times their
    /// rounding.
    /// </summary>
    [Theory]
    [InlineData(1, 700, 3)]
    [InlineData(2, 192, 1)]
    [InlineData(2, 150, 8)]
    public void Long_sequences_match_the_reference(int batch, int length, int threads)
    {
        using BlockFixture<float> fast = new(s_config, BlockGradientTests.OptionsOf("runs4"), batch, length, threads);
        using BlockFixture<double> plain = new(s_config, BlockGradientTests.OptionsOf("runs4"), batch, length);
        (float[] y, float[] dx, ParameterVector<float> g) = fast.Run(null);
        (double[] y2, double[] dx2, ParameterVector<double> g2) = plain.Run(null);
        Assert.InRange(Numbers.RelativeError(Floats(y2), y), 0, 1e-5);
        Assert.InRange(Numbers.RelativeError(Floats(dx2), dx), 0, 1e-5);
        foreach (ParameterSlice slice in g.Slices)
        {
            // A key bias changes no probability: its gradient is rounding only.
            if (!slice.Name.EndsWith("key.bias", StringComparison.Ordinal))
            {
                Assert.InRange(Numbers.RelativeError(Floats(g2.Of(slice).ToArray()), g.Of(slice)), 0, 1e-5);
            }
        }
    }

    /// <summary>More threads than heads: each head is divided, with and without a cache, in place and on copies.</summary>
    [Theory]
    [InlineData(1, 300, 0, KvFormat.F32)]
    [InlineData(2, 150, 0, KvFormat.F32)]
    [InlineData(1, 150, 70, KvFormat.F32)]
    [InlineData(1, 150, 70, KvFormat.Int8)]
    public void Divided_heads_give_the_same_bits(int batch, int length, int past, KvFormat format)
    {
        (float[] y, float[] dx, float[] g) = Run(1);
        foreach (int threads in (int[])[2, 8])
        {
            Assert.True(MultiHeadAttention<float>.Parts(batch, length, 8, backward: true) > 1);
            (float[] y2, float[] dx2, float[] g2) = Run(threads);
            Assert.Equal(y, y2);
            Assert.Equal(dx, dx2);
            Assert.Equal(g, g2);
        }

        (float[] Y, float[] Dx, float[] G) Run(int threads)
        {
            using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), batch, length, threads);
            (byte[] padding, float[] additive) = f.Masks(past);
            using LayerKvCache<float>? cache = past > 0 ? f.CacheWith(past, format) : null;
            ForwardOptions<float> options = new() { PaddingMask = padding, AdditiveMask = additive, Dropout = new DropoutStep(3, 4), Cache = cache };
            (float[] y, float[] dx, ParameterVector<float> gradients) = f.Run(options, CheckpointPolicy.Full);
            return (y, dx, [.. gradients.Slices.SelectMany(s => gradients.Of(s).ToArray())]);
        }
    }

    /// <summary>
    /// Memory is fixed + T x linear, exactly: doubling T doubles the growth. The exponent between T and 2 T is then log2((a + 2bT) / (a +
    /// bT)), which is at most 1 and at least 1 - (a / (a + 2bT)) / ln 2.
    /// </summary>
    [Fact]
    public void Memory_grows_linearly_with_the_length()
    {
        int[] lengths = [2048, 4096, 8192];
        (long Forward, long Backward)[] bytes = [.. lengths.Select(Measure)];
        foreach ((string what, long[] b) in new[] { ("forward", bytes.Select(m => m.Forward).ToArray()),
            ("forward and backward", bytes.Select(m => m.Backward).ToArray()) })
        {
            Assert.Equal(2 * (b[1] - b[0]), b[2] - b[1]);
            double constant = b[0] - (b[1] - b[0]);
            Assert.InRange(constant, 0, b[0]);
            for (int i = 1; i < 3; i++)
            {
                double exponent = Math.Log2((double)b[i] / b[i - 1]);
                output.WriteLine(
                    FormattableString.Invariant($"{what}, T = {lengths[i - 1]} to {lengths[i]}: {b[i - 1]} to {b[i]} bytes, exponent {exponent:F4}"));
                Assert.InRange(exponent, 1 - (constant / b[i] / Math.Log(2)), 1);
            }
        }

        (long Forward, long Backward) Measure(int length)
        {
            using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 1, length, 2);
            using BlockContext<float> context = new();
            ParameterVector<float> gradients = f.Block.Parameters.CreateLike();
            Stopwatch watch = Stopwatch.StartNew();
            f.Block.Forward(f.X, 1, length, null, context, f.Workspace);
            double forward = watch.Elapsed.TotalSeconds;
            long afterForward = f.Workspace.AllocatedBytes + context.AllocatedBytes;
            float[] dx = f.Block.Backward(f.Dy, context, gradients, f.Workspace);
            output.WriteLine(FormattableString.Invariant($"T = {length}: forward {forward:F3} s, backward {watch.Elapsed.TotalSeconds - forward:F3} s"));
            Assert.All(dx, v => Assert.True(float.IsFinite(v)));
            return (afterForward, f.Workspace.AllocatedBytes + context.AllocatedBytes);
        }
    }

    private static float[] Floats(double[] values) => Array.ConvertAll(values, v => (float)v);
}
