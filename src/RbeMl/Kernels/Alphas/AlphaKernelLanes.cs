using System.Runtime.CompilerServices;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The fast <see cref="AlphaKernel"/>: moments and their expansion are products with runs of four and eight factors.</summary>
internal static unsafe class AlphaKernelLanes
{
    internal readonly struct MomentsWork(AlphaFactorLists lists, float* block, float* moments, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            new Span<float>(moments, BasisFunctions.FactorCount * width).Clear();
            AlphaFactorList functions = lists.Functions, distance = lists.Distance;
            SparseKernelRuns.Group<TLanes>(functions.Steps, functions.Steps + functions.Count, functions.Values, functions.Length, block, moments, width);
            SparseKernelRuns.Group<TLanes>(distance.Steps, distance.Steps + distance.Count, distance.Values, distance.Length, block,
                moments + functions.Length * width, width);
            GC.KeepAlive(lists);
        }
    }

    internal readonly struct ExpandWork(AlphaFactorLists lists, float* moments, float* block, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            AlphaFactorList functions = lists.Functions, distance = lists.Distance;
            SparseKernelRunsTransposed.Group<TLanes>(functions.Steps, functions.Steps + functions.Count, functions.Values, functions.Length,
                moments, block, width);
            SparseKernelRunsTransposed.Group<TLanes>(distance.Steps, distance.Steps + distance.Count, distance.Values, distance.Length,
                moments + functions.Length * width, block, width);
            GC.KeepAlive(lists);
        }
    }

    internal readonly struct GradientWork(AlphaFactorLists lists, float* m, float* s, float* gradient, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Gradient<TLanes>(lists, m, s, gradient, width);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Gradient<TLanes>(AlphaFactorLists lists, float* m, float* s, float* gradient, int width)
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
}
