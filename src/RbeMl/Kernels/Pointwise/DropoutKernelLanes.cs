using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The fast <see cref="DropoutKernel"/>: four features, which share the rounds of the generator, by a vector of tokens at a time.</summary>
internal static unsafe class DropoutKernelLanes
{
    internal readonly struct ApplyWork(
        RandomKey key, float probability, float* block, int firstFeature, int rows, long firstToken, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            DropoutStream stream = new(key, probability);
            int whole = width - width % TLanes.Count;
            Pass<TLanes>(stream, block, firstFeature, rows, (ulong)firstToken, whole, width);
            Pass<LanesScalar>(stream, block + whole, firstFeature, rows, (ulong)(firstToken + whole), width - whole, width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Pass<TLanes>(in DropoutStream stream, float* block, int firstFeature, int rows, ulong firstToken, int lanes, long width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        // Feature numbers of a group of four start at multiples of four, which may be before the first or beyond the last.
        for (int feature = firstFeature & ~3; feature < firstFeature + rows; feature += 4)
        {
            int f = feature - firstFeature;
            for (int lane = 0; lane < lanes; lane += TLanes.Count)
            {
                PhiloxLanes.Factors(stream, firstToken + (ulong)lane, (uint)feature / 4, out TLanes f0, out TLanes f1, out TLanes f2, out TLanes f3);
                float* p = block + f * width + lane;
                if (f >= 0) Scale(p, f0, stream.Keep);
                if (f + 1 >= 0 && f + 1 < rows) Scale(p + width, f1, stream.Keep);
                if (f + 2 >= 0 && f + 2 < rows) Scale(p + 2 * width, f2, stream.Keep);
                if (f + 3 < rows) Scale(p + 3 * width, f3, stream.Keep);
            }
        }
    }

    // A dropped element is 0 even if it was not a number.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Scale<TLanes>(float* p, TLanes factor, float keep)
        where TLanes : unmanaged, ILanes<TLanes> =>
        TLanes.Store(TLanes.SelectLess(TLanes.Zero, factor, TLanes.Multiply(TLanes.Load(p), TLanes.Set(keep)), TLanes.Zero), p);
}
