using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

/// <summary>The lane types this machine can run, by their number of lanes, and small helpers of the kernel tests.</summary>
internal static unsafe class LaneCases
{
    /// <summary>Half the distance from 1 to the next float: the relative error of one rounding.</summary>
    internal const double Rounding = 1.0 / (1 << 24);

    /// <summary>Numbers of lanes this machine can run.</summary>
    internal static int[] Widths => [.. new[] { 1, 4, 8, 16 }.Where(lanes => lanes <= Wide.Lanes)];

    public static TheoryData<int> All => [.. Widths];

    /// <summary>A guarded buffer that holds <paramref name="values"/>.</summary>
    internal static GuardedBuffer<float> Guarded(float[] values)
    {
        GuardedBuffer<float> buffer = new(values.Length);
        values.CopyTo(buffer.Span);
        return buffer;
    }

    internal static double[] Doubles(float[] values) => Array.ConvertAll(values, v => (double)v);

    /// <summary>Fails unless every |actual - expected| is at most <paramref name="tolerance"/> of its index.</summary>
    internal static void Close(ReadOnlySpan<double> expected, ReadOnlySpan<float> actual, Func<int, double> tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            double bound = tolerance(i);
            Assert.True(Math.Abs(actual[i] - expected[i]) <= bound,
                FormattableString.Invariant($"{what}: element {i} is {actual[i]}, expected {expected[i]} within {bound}"));
        }
    }

    /// <summary>
    /// Compares a gradient with central differences of <paramref name="loss"/> at step h = 1e-5: the truncation error is about h² = 1e-10 and the rounding
    /// error 1e-16 / h = 1e-11 times the size of the loss, so 1e-6 is far above both and far below a wrong term.
    /// </summary>
    internal static void MatchesDifferences(double[] point, double[] gradient, Func<double> loss, string what)
    {
        const double Step = 1e-5;
        for (int i = 0; i < point.Length; i++)
        {
            double saved = point[i];
            point[i] = saved + Step;
            double above = loss();
            point[i] = saved - Step;
            double below = loss();
            point[i] = saved;
            double difference = (above - below) / (2 * Step);
            Assert.True(
                Math.Abs(difference - gradient[i]) <= 1e-6 * Math.Max(1, Math.Abs(difference)),
                FormattableString.Invariant($"{what}: gradient {i} is {gradient[i]}, differences give {difference}"));
        }
    }
}
