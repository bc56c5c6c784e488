using RbeMl.Kernels;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public unsafe class PredictionKernelTests
{
    [Theory]
    [InlineData(1, 16)]
    [InlineData(27, 16)]
    [InlineData(1000, 64)]
    [InlineData(5003, 32)]
    public void Every_lane_is_that_of_the_reference(int vocabulary, int width)
    {
        using GuardedBuffer<float> p = new(vocabulary * width), q = new(vocabulary * width);
        using GuardedBuffer<double> pSum = new(width), qSum = new(width), divergence = new(width);
        using GuardedBuffer<int> pBest = new(width), qBest = new(width);
        Numbers.Normal(vocabulary * width, 1, 4).CopyTo(p.Span);
        Numbers.Normal(vocabulary * width, 2, 4).CopyTo(q.Span);
        // ties, and values whose exponential overflows fp32
        for (int lane = 0; lane < width; lane += 3) q.Span[(vocabulary / 2 * width) + lane] = q.Span[((vocabulary - 1) * width) + lane] = 40 * lane;
        PredictionKernel.Normalize(p.Pointer, vocabulary, width, pSum.Pointer, pBest.Pointer);
        PredictionKernel.Normalize(q.Pointer, vocabulary, width, qSum.Pointer, qBest.Pointer);
        PredictionKernel.Divergence(p.Pointer, pSum.Pointer, q.Pointer, qSum.Pointer, vocabulary, width, divergence.Pointer);
        float[] expected = new float[vocabulary], row = new float[vocabulary];
        for (int lane = 0; lane < width; lane++)
        {
            for (int v = 0; v < vocabulary; v++) (expected[v], row[v]) = (p.Span[v * width + lane], q.Span[v * width + lane]);
            (double logSum, int best) = ReferencePrediction.Normalize(row);
            double kl = ReferencePrediction.Divergence(expected, row);

            // Double sums of V terms: V rounding errors at most, of the largest logit.
            double tolerance = vocabulary * 2.3e-16 * Math.Max(1, Math.Abs(logSum));
            Assert.Equal(logSum, qSum.Span[lane], tolerance);
            Assert.Equal(best, qBest.Span[lane]);
            Assert.Equal(kl, divergence.Span[lane], tolerance * 4 * Math.Max(1, kl));
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    public void A_value_that_is_not_finite_shows_in_its_lane_only(float bad)
    {
        using GuardedBuffer<float> logits = new(20 * 16);
        using GuardedBuffer<double> sum = new(16);
        using GuardedBuffer<int> best = new(16);
        Numbers.Normal(20 * 16, 1).CopyTo(logits.Span);
        logits.Span[(7 * 16) + 5] = bad;
        PredictionKernel.Normalize(logits.Pointer, 20, 16, sum.Pointer, best.Pointer);
        for (int lane = 0; lane < 16; lane++) Assert.Equal(lane != 5, double.IsFinite(sum.Span[lane]));
        Assert.Throws<ShapeMismatchException>(() => PredictionKernel.Normalize(null, 20, 8, null, null));
    }
}
