using System.Runtime.CompilerServices;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The fast <see cref="AlphaKernel"/>: moments and their expansion are products with runs of four and eight factors.</summary>
internal static unsafe class AlphaKernelLanes
{
    internal static void Moments<TLanes>(AlphaFactorLists lists, float* block, float* moments, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        new Span<float>(moments, BasisFunctions.FactorCount * width).Clear();
        AlphaFactorList functions = lists.Functions, distance = lists.Distance;
        SparseKernelRuns.Group<TLanes>(functions.Steps, functions.Steps + functions.Count, functions.Values, functions.Length, block, moments, width);
        SparseKernelRuns.Group<TLanes>(distance.Steps, distance.Steps + distance.Count, distance.Values, distance.Length, block, moments + functions.Length * width, width);
        GC.KeepAlive(lists);
    }

    internal static void Expand<TLanes>(AlphaFactorLists lists, float* moments, float* block, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        AlphaFactorList functions = lists.Functions, distance = lists.Distance;
        SparseKernelRunsTransposed.Group<TLanes>(functions.Steps, functions.Steps + functions.Count, functions.Values, functions.Length, moments, block, width);
        SparseKernelRunsTransposed.Group<TLanes>(distance.Steps, distance.Steps + distance.Count, distance.Values, distance.Length, moments + functions.Length * width, block, width);
        GC.KeepAlive(lists);
    }

    internal static void Mix<TLanes>(AlphaFactorLists lists, float* alphas, float* m, float* s, int width)
        where TLanes : unmanaged, ILanes<TLanes> =>
        Mix<TLanes>(lists, alphas, alphas[3], alphas[4], alphas[5], alphas[6], m, s, width);

    // A' swaps cos(pi x) with cos(pi y) and cos(2 pi x) with cos(2 pi y).
    internal static void MixTransposed<TLanes>(AlphaFactorLists lists, float* alphas, float* s, float* m, int width)
        where TLanes : unmanaged, ILanes<TLanes> =>
        Mix<TLanes>(lists, alphas, alphas[4], alphas[3], alphas[6], alphas[5], s, m, width);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Gradient<TLanes>(AlphaFactorLists lists, float* m, float* s, float* gradient, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes g0 = TLanes.Zero, g1 = g0, g2 = g0, g3 = g0, g4 = g0, g5 = g0, g6 = g0, g7 = g0;
        for (nint lane = 0, lanes = TLanes.Count, w = width; lane < w; lane += lanes)
        {
            float* a = m + lane, b = s + lane;
            TLanes m0 = TLanes.Load(a), m1 = TLanes.Load(a + w), m2 = TLanes.Load(a + 2 * w), m3 = TLanes.Load(a + 3 * w);
            TLanes s0 = TLanes.Load(b), s1 = TLanes.Load(b + w), s2 = TLanes.Load(b + 2 * w), s3 = TLanes.Load(b + 3 * w);
            g0 = TLanes.Fma(s0, m0, g0);
            g2 = TLanes.Fma(s1, m0, TLanes.Fma(s0, m1, g2));
            g3 = TLanes.Fma(s0, m2, g3);
            g4 = TLanes.Fma(s2, m0, g4);
            g5 = TLanes.Fma(s0, m3, g5);
            g6 = TLanes.Fma(s3, m0, g6);
            g7 = TLanes.Fma(s2, m2, g7);
            for (nint r = 0; r < BasisFunctions.DistanceRank; r++)
            {
                TLanes signed = TLanes.Multiply(TLanes.Set(lists.Signs[r]), TLanes.Load(b + (4 + r) * w));
                g1 = TLanes.Fma(signed, TLanes.Load(a + (4 + r) * w), g1);
            }
        }

        gradient[0] += TLanes.Sum(g0);
        gradient[1] += TLanes.Sum(g1);
        gradient[2] += TLanes.Sum(g2);
        gradient[3] += TLanes.Sum(g3);
        gradient[4] += TLanes.Sum(g4);
        gradient[5] += TLanes.Sum(g5);
        gradient[6] += TLanes.Sum(g6);
        gradient[7] += TLanes.Sum(g7);
    }

    // to += A from, A's entries (row, column): (0, 0) alpha0, (0, 1) and (1, 0) alpha2, (0, 2) c02, (2, 0) c20, (0, 3) c03, (3, 0) c30, (2, 2) alpha7,
    // and alpha1 with the signs of d down the rest of the diagonal.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Mix<TLanes>(AlphaFactorLists lists, float* alphas, float c02, float c20, float c03, float c30, float* from, float* to, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes a0 = TLanes.Set(alphas[0]), a2 = TLanes.Set(alphas[2]), a7 = TLanes.Set(alphas[7]);
        TLanes a02 = TLanes.Set(c02), a20 = TLanes.Set(c20), a03 = TLanes.Set(c03), a30 = TLanes.Set(c30);
        for (nint lane = 0, lanes = TLanes.Count, w = width; lane < w; lane += lanes)
        {
            float* m = from + lane, s = to + lane;
            TLanes m0 = TLanes.Load(m), m1 = TLanes.Load(m + w), m2 = TLanes.Load(m + 2 * w), m3 = TLanes.Load(m + 3 * w);
            TLanes top = TLanes.Add(TLanes.Fma(a0, m0, TLanes.Multiply(a2, m1)), TLanes.Fma(a02, m2, TLanes.Multiply(a03, m3)));
            TLanes.Store(TLanes.Add(TLanes.Load(s), top), s);
            TLanes.Store(TLanes.Fma(a2, m0, TLanes.Load(s + w)), s + w);
            TLanes.Store(TLanes.Fma(a7, m2, TLanes.Fma(a20, m0, TLanes.Load(s + 2 * w))), s + 2 * w);
            TLanes.Store(TLanes.Fma(a30, m0, TLanes.Load(s + 3 * w)), s + 3 * w);
        }

        for (nint r = 0; r < BasisFunctions.DistanceRank; r++)
        {
            TLanes a1 = TLanes.Set(alphas[1] * lists.Signs[r]);
            float* m = from + (4 + r) * (nint)width, s = to + (4 + r) * (nint)width;
            for (nint lane = 0, lanes = TLanes.Count; lane < width; lane += lanes) TLanes.Store(TLanes.Fma(a1, TLanes.Load(m + lane), TLanes.Load(s + lane)), s + lane);
        }
    }
}
