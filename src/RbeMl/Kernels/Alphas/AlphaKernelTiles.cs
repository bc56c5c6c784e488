using System.Runtime.CompilerServices;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The alphas of many tiles at once: sums stay in registers over the tiles of a row (mixing) or over the chunks (gradient).</summary>
internal static unsafe class AlphaKernelTiles
{
    internal readonly struct MixWork(AlphaFactorLists lists, float* alphas, nint alphaStride, float* m, int count, bool transposed, float* s,
        int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Mix<TLanes>(lists, alphas, alphaStride, m, count, transposed, s, width);
    }

    // A's entries (row, column): (0, 0) alpha0, (0, 1) and (1, 0) alpha2, (0, 2) alpha3, (2, 0) alpha4, (0, 3) alpha5, (3, 0) alpha6, (2,
    // 2) alpha7, and alpha1 with the signs of d down the rest of the diagonal. The signs are 1 or -1, so applying them to a sum before and
    // after instead of to each term is exact.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Mix<TLanes>(AlphaFactorLists lists, float* alphas, nint alphaStride, float* m, int count, bool transposed, float* s, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        // A' swaps cos(pi x) with cos(pi y) and cos(2 pi x) with cos(2 pi y).
        nint row = transposed ? 4 : 3, column = transposed ? 3 : 4, row2 = transposed ? 6 : 5, column2 = transposed ? 5 : 6;
        float* signs = lists.Signs;
        nint w = width, next = BasisFunctions.FactorCount * w;

        // Down a column of tiles each tile's alphas are in a cache line of their own.
        for (int i = 0; transposed && i < count; i++) Prefetch.Near(alphas + i * alphaStride);
        for (nint lane = 0; lane < w; lane += TLanes.Count)
        {
            float* to = s + lane, from = m + lane, a = alphas;
            TLanes s0 = TLanes.Load(to), s1 = TLanes.Load(to + w), s2 = TLanes.Load(to + 2 * w), s3 = TLanes.Load(to + 3 * w);
            TLanes d0 = TLanes.Multiply(TLanes.Set(signs[0]), TLanes.Load(to + 4 * w));
            TLanes d1 = TLanes.Multiply(TLanes.Set(signs[1]), TLanes.Load(to + 5 * w));
            TLanes d2 = TLanes.Multiply(TLanes.Set(signs[2]), TLanes.Load(to + 6 * w));
            TLanes d3 = TLanes.Multiply(TLanes.Set(signs[3]), TLanes.Load(to + 7 * w));
            TLanes d4 = TLanes.Multiply(TLanes.Set(signs[4]), TLanes.Load(to + 8 * w));
            TLanes d5 = TLanes.Multiply(TLanes.Set(signs[5]), TLanes.Load(to + 9 * w));
            TLanes d6 = TLanes.Multiply(TLanes.Set(signs[6]), TLanes.Load(to + 10 * w));
            TLanes d7 = TLanes.Multiply(TLanes.Set(signs[7]), TLanes.Load(to + 11 * w));
            for (int i = 0; i < count; i++, a += alphaStride, from += next)
            {
                TLanes m0 = TLanes.Load(from), m1 = TLanes.Load(from + w), m2 = TLanes.Load(from + 2 * w), m3 = TLanes.Load(from + 3 * w);
                TLanes a2 = TLanes.Set(a[2]), d = TLanes.Set(a[1]);
                TLanes top = TLanes.Add(TLanes.Fma(TLanes.Set(a[0]), m0, TLanes.Multiply(a2, m1)),
                    TLanes.Fma(TLanes.Set(a[row]), m2, TLanes.Multiply(TLanes.Set(a[row2]), m3)));
                s0 = TLanes.Add(s0, top);
                s1 = TLanes.Fma(a2, m0, s1);
                s2 = TLanes.Fma(TLanes.Set(a[7]), m2, TLanes.Fma(TLanes.Set(a[column]), m0, s2));
                s3 = TLanes.Fma(TLanes.Set(a[column2]), m0, s3);
                d0 = TLanes.Fma(d, TLanes.Load(from + 4 * w), d0);
                d1 = TLanes.Fma(d, TLanes.Load(from + 5 * w), d1);
                d2 = TLanes.Fma(d, TLanes.Load(from + 6 * w), d2);
                d3 = TLanes.Fma(d, TLanes.Load(from + 7 * w), d3);
                d4 = TLanes.Fma(d, TLanes.Load(from + 8 * w), d4);
                d5 = TLanes.Fma(d, TLanes.Load(from + 9 * w), d5);
                d6 = TLanes.Fma(d, TLanes.Load(from + 10 * w), d6);
                d7 = TLanes.Fma(d, TLanes.Load(from + 11 * w), d7);
            }

            TLanes.Store(s0, to);
            TLanes.Store(s1, to + w);
            TLanes.Store(s2, to + 2 * w);
            TLanes.Store(s3, to + 3 * w);
            TLanes.Store(TLanes.Multiply(TLanes.Set(signs[0]), d0), to + 4 * w);
            TLanes.Store(TLanes.Multiply(TLanes.Set(signs[1]), d1), to + 5 * w);
            TLanes.Store(TLanes.Multiply(TLanes.Set(signs[2]), d2), to + 6 * w);
            TLanes.Store(TLanes.Multiply(TLanes.Set(signs[3]), d3), to + 7 * w);
            TLanes.Store(TLanes.Multiply(TLanes.Set(signs[4]), d4), to + 8 * w);
            TLanes.Store(TLanes.Multiply(TLanes.Set(signs[5]), d5), to + 9 * w);
            TLanes.Store(TLanes.Multiply(TLanes.Set(signs[6]), d6), to + 10 * w);
            TLanes.Store(TLanes.Multiply(TLanes.Set(signs[7]), d7), to + 11 * w);
        }

        GC.KeepAlive(lists);
    }

    internal readonly struct GradientWork(AlphaFactorLists lists, float* m, nint mStride, float* s, nint sStride, int chunks, int count,
        float* gradient, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Gradient<TLanes>(lists, m, mStride, s, sStride, chunks, count, gradient, width);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Gradient<TLanes>(AlphaFactorLists lists, float* m, nint mStride, float* s, nint sStride, int chunks, int count,
        float* gradient, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        float* signs = lists.Signs;
        nint w = width, next = BasisFunctions.FactorCount * w;
        for (int j = 0; j < count; j++, m += next, gradient += BasisFunctions.Count)
        {
            // Sums of their own for the products of d, which get their signs at the end.
            TLanes g0 = TLanes.Zero, g2 = g0, g2b = g0, g3 = g0, g4 = g0, g5 = g0, g6 = g0, g7 = g0;
            TLanes d0 = g0, d1 = g0, d2 = g0, d3 = g0, d4 = g0, d5 = g0, d6 = g0, d7 = g0;
            float* x = m, y = s;
            for (int chunk = 0; chunk < chunks; chunk++, x += mStride, y += sStride)
            {
                for (nint lane = 0; lane < w; lane += TLanes.Count)
                {
                    float* a = x + lane, b = y + lane;
                    TLanes m0 = TLanes.Load(a), m2 = TLanes.Load(a + 2 * w), s0 = TLanes.Load(b), s2 = TLanes.Load(b + 2 * w);
                    g0 = TLanes.Fma(s0, m0, g0);
                    g2 = TLanes.Fma(TLanes.Load(b + w), m0, g2);
                    g2b = TLanes.Fma(s0, TLanes.Load(a + w), g2b);
                    g3 = TLanes.Fma(s0, m2, g3);
                    g4 = TLanes.Fma(s2, m0, g4);
                    g5 = TLanes.Fma(s0, TLanes.Load(a + 3 * w), g5);
                    g6 = TLanes.Fma(TLanes.Load(b + 3 * w), m0, g6);
                    g7 = TLanes.Fma(s2, m2, g7);
                    d0 = TLanes.Fma(TLanes.Load(b + 4 * w), TLanes.Load(a + 4 * w), d0);
                    d1 = TLanes.Fma(TLanes.Load(b + 5 * w), TLanes.Load(a + 5 * w), d1);
                    d2 = TLanes.Fma(TLanes.Load(b + 6 * w), TLanes.Load(a + 6 * w), d2);
                    d3 = TLanes.Fma(TLanes.Load(b + 7 * w), TLanes.Load(a + 7 * w), d3);
                    d4 = TLanes.Fma(TLanes.Load(b + 8 * w), TLanes.Load(a + 8 * w), d4);
                    d5 = TLanes.Fma(TLanes.Load(b + 9 * w), TLanes.Load(a + 9 * w), d5);
                    d6 = TLanes.Fma(TLanes.Load(b + 10 * w), TLanes.Load(a + 10 * w), d6);
                    d7 = TLanes.Fma(TLanes.Load(b + 11 * w), TLanes.Load(a + 11 * w), d7);
                }
            }

            TLanes even = TLanes.Fma(TLanes.Set(signs[2]), d2, TLanes.Multiply(TLanes.Set(signs[0]), d0)),
                odd = TLanes.Fma(TLanes.Set(signs[3]), d3, TLanes.Multiply(TLanes.Set(signs[1]), d1));
            even = TLanes.Fma(TLanes.Set(signs[6]), d6, TLanes.Fma(TLanes.Set(signs[4]), d4, even));
            odd = TLanes.Fma(TLanes.Set(signs[7]), d7, TLanes.Fma(TLanes.Set(signs[5]), d5, odd));
            gradient[0] += TLanes.Sum(g0);
            gradient[1] += TLanes.Sum(TLanes.Add(even, odd));
            gradient[2] += TLanes.Sum(TLanes.Add(g2, g2b));
            gradient[3] += TLanes.Sum(g3);
            gradient[4] += TLanes.Sum(g4);
            gradient[5] += TLanes.Sum(g5);
            gradient[6] += TLanes.Sum(g6);
            gradient[7] += TLanes.Sum(g7);
        }

        GC.KeepAlive(lists);
    }
}
