using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The fast <see cref="LayerNormKernel"/>: four vectors of lanes at a time while they fit, then one, then single lanes.</summary>
internal static unsafe class LayerNormKernelLanes
{
    // Rows whose mean shifts the data of the one-pass variance. The shift is then within sqrt(features / 32) standard deviations of the mean, so
    // the subtraction of the squares loses at most a factor features / 32 of precision, whatever the data.
    private const int ShiftRows = 32;

    internal readonly struct StatisticsWork(float* x, float* mean, float* rstd, int features, int width, float eps) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            int lane = 0;
            for (; lane + 4 * TLanes.Count <= width; lane += 4 * TLanes.Count)
            {
                Moments<QuadLanes<TLanes>>(x + lane, mean + lane, rstd + lane, features, width, eps);
            }

            for (; lane + TLanes.Count <= width; lane += TLanes.Count) Moments<TLanes>(x + lane, mean + lane, rstd + lane, features, width, eps);
            for (; lane < width; lane++) Moments<LanesScalar>(x + lane, mean + lane, rstd + lane, features, width, eps);
        }
    }

    internal readonly struct ApplyWork(float* x, float* mean, float* rstd, float* gamma, float* beta, float* y, int rows, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            int lane = 0;
            for (; lane + 4 * TLanes.Count <= width; lane += 4 * TLanes.Count)
            {
                Normalise<QuadLanes<TLanes>>(x + lane, mean + lane, rstd + lane, gamma, beta, y + lane, rows, width);
            }

            for (; lane + TLanes.Count <= width; lane += TLanes.Count)
            {
                Normalise<TLanes>(x + lane, mean + lane, rstd + lane, gamma, beta, y + lane, rows, width);
            }

            for (; lane < width; lane++) Normalise<LanesScalar>(x + lane, mean + lane, rstd + lane, gamma, beta, y + lane, rows, width);
        }
    }

    internal readonly struct BackwardWork(
        float* x, float* mean, float* rstd, float* gamma, float* dy, float* dx, float* dgamma, float* dbeta, int features, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            new Span<float>(dgamma, features).Clear();
            new Span<float>(dbeta, features).Clear();
            int lane = 0;
            for (; lane + 4 * TLanes.Count <= width; lane += 4 * TLanes.Count)
            {
                Gradients<QuadLanes<TLanes>>(x + lane, mean + lane, rstd + lane, gamma, dy + lane, dx + lane, dgamma, dbeta, features, width);
            }

            for (; lane + TLanes.Count <= width; lane += TLanes.Count)
            {
                Gradients<TLanes>(x + lane, mean + lane, rstd + lane, gamma, dy + lane, dx + lane, dgamma, dbeta, features, width);
            }

            for (; lane < width; lane++)
            {
                Gradients<LanesScalar>(x + lane, mean + lane, rstd + lane, gamma, dy + lane, dx + lane, dgamma, dbeta, features, width);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Moments<TLanes>(float* x, float* mean, float* rstd, int features, long width, float eps)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int first = Math.Min(features, ShiftRows);
        TLanes shift = TLanes.Zero;
        for (int f = 0; f < first; f++) shift = TLanes.Add(shift, TLanes.Load(x + f * width));
        shift = TLanes.Multiply(shift, TLanes.Set(1f / first));

        TLanes sum = TLanes.Zero, squares = TLanes.Zero, inverse = TLanes.Set(1f / features);
        for (int f = 0; f < features; f++)
        {
            TLanes d = TLanes.Subtract(TLanes.Load(x + f * width), shift);
            sum = TLanes.Add(sum, d);
            squares = TLanes.Fma(d, d, squares);
        }

        TLanes offset = TLanes.Multiply(sum, inverse);
        TLanes variance = TLanes.FmaNegated(offset, offset, TLanes.Multiply(squares, inverse));

        // Rounding may leave a tiny negative number where all values are equal; a NaN stays.
        variance = TLanes.SelectLess(variance, TLanes.Zero, TLanes.Zero, variance);
        TLanes.Store(TLanes.Add(shift, offset), mean);

        // Of a variance that overflows the root's inverse would be 0, and the token vanish without a word: infinity times 0 makes it NaN,
        // anything else adds nothing.
        TLanes inverseRoot = TLanes.Divide(TLanes.Set(1f), TLanes.Sqrt(TLanes.Add(variance, TLanes.Set(eps))));
        TLanes.Store(TLanes.Fma(variance, TLanes.Zero, inverseRoot), rstd);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Normalise<TLanes>(float* x, float* mean, float* rstd, float* gamma, float* beta, float* y, int rows, long width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes mu = TLanes.Load(mean), r = TLanes.Load(rstd);
        for (int f = 0; f < rows; f++)
        {
            TLanes normalized = TLanes.Multiply(TLanes.Subtract(TLanes.Load(x + f * width), mu), r);
            TLanes.Store(TLanes.Fma(normalized, TLanes.Set(gamma[f]), TLanes.Set(beta[f])), y + f * width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Gradients<TLanes>(
        float* x, float* mean, float* rstd, float* gamma, float* dy, float* dx, float* dgamma, float* dbeta, int features, long width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes mu = TLanes.Load(mean), r = TLanes.Load(rstd), sum = TLanes.Zero, dot = TLanes.Zero;
        for (int f = 0; f < features; f++)
        {
            TLanes g = TLanes.Load(dy + f * width), scale = TLanes.Set(gamma[f]);
            TLanes product = TLanes.Multiply(g, TLanes.Multiply(TLanes.Subtract(TLanes.Load(x + f * width), mu), r));
            sum = TLanes.Fma(g, scale, sum);
            dot = TLanes.Fma(product, scale, dot);
            dgamma[f] += TLanes.Sum(product);
            dbeta[f] += TLanes.Sum(g);
        }

        // dx += rstd (dy gamma - mean(dy gamma) - normalized mean(dy gamma normalized))
        TLanes inverse = TLanes.Set(1f / features);
        sum = TLanes.Multiply(sum, inverse);
        dot = TLanes.Multiply(dot, inverse);
        for (int f = 0; f < features; f++)
        {
            TLanes normalized = TLanes.Multiply(TLanes.Subtract(TLanes.Load(x + f * width), mu), r);
            TLanes inner = TLanes.FmaNegated(normalized, dot, TLanes.Fma(TLanes.Load(dy + f * width), TLanes.Set(gamma[f]), TLanes.Subtract(TLanes.Zero, sum)));
            TLanes.Store(TLanes.Fma(r, inner, TLanes.Load(dx + f * width)), dx + f * width);
        }
    }
}
