using System.Numerics;

namespace RbeMl.Kernels;

/// <summary>The readable <see cref="DivergenceKernel"/>.</summary>
internal static unsafe class ReferenceDivergence
{
    /// <inheritdoc cref="DivergenceKernel.Loss"/>
    public static void Loss<T>(T* logits, T* expected, int vocabulary, int width, int* targets, T* losses, bool gradient, T scale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int lane = 0; lane < width; lane++)
        {
            losses[lane] = T.Zero;
            bool counts = targets[lane] >= 0;
            T own = counts ? LogSum(logits + lane, vocabulary, width) : T.Zero, other = counts ? LogSum(expected + lane, vocabulary, width) : T.Zero;
            for (int v = 0; v < vocabulary; v++)
            {
                long at = ((long)v * width) + lane;
                T p = expected[at] - other, q = logits[at] - own;
                if (counts) losses[lane] += T.Exp(p) * (p - q);
                if (gradient) logits[at] = counts ? (T.Exp(q) - T.Exp(p)) * scale : T.Zero;
            }
        }
    }

    private static T LogSum<T>(T* logits, int vocabulary, long width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T max = T.NegativeInfinity, sum = T.Zero;
        for (int v = 0; v < vocabulary; v++) max = T.Max(max, logits[v * width]);
        for (int v = 0; v < vocabulary; v++) sum += T.Exp(logits[v * width] - max);
        return max + T.Log(sum);
    }
}
