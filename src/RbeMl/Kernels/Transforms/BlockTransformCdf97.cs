using System.Runtime.CompilerServices;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// CDF 9/7 wavelet by lifting, every level in one sweep with its four steps in registers: synthesis S as <see cref="Inverse"/>, its transpose S' as
/// <see cref="Forward"/>. The transposed steps are those of the synthesis in reverse order, each adding to the samples it read from.
/// </summary>
internal static unsafe class BlockTransformCdf97
{
    private const int LargestTile = 128;
    private const int LargestLanes = 16;

    /// <summary>y = S' x. The scaling samples of a level lie in <c>sums</c>, further apart at every level; its details are final.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Forward<TLanes>(int tile, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[LargestTile / 2 * LargestLanes * sizeof(float) + 64];
        float* sums = (float*)(((nint)memory + 63) & ~63);
        nint lanes = TLanes.Count, row = width;
        for (int lane = 0; lane < width; lane += TLanes.Count)
        {
            Split<TLanes>(tile / 2, x + lane, row, sums, lanes, y + lane + tile / 2 * row, row);
            nint step = lanes;
            for (int half = tile / 4; half >= Cdf97Lifting.CoarseSize; half /= 2, step *= 2)
            {
                Split<TLanes>(half, sums, step, sums, 2 * step, y + lane + half * row, row);
            }

            for (nint i = 0; i < Cdf97Lifting.CoarseSize; i++) TLanes.Store(TLanes.Load(sums + i * step), y + lane + i * row);
        }
    }

    /// <summary>y = S x.</summary>
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Inverse<TLanes>(int tile, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[LargestTile / 2 * LargestLanes * sizeof(float) + 64];
        float* sums = (float*)(((nint)memory + 63) & ~63);
        nint lanes = TLanes.Count, row = width;
        for (int lane = 0; lane < width; lane += TLanes.Count)
        {
            nint step = lanes * (tile / 2 / Cdf97Lifting.CoarseSize);
            for (nint i = 0; i < Cdf97Lifting.CoarseSize; i++) TLanes.Store(TLanes.Load(x + lane + i * row), sums + i * step);
            for (int half = Cdf97Lifting.CoarseSize; half < tile / 2; half *= 2, step /= 2)
            {
                Merge<TLanes>(half, sums, step, x + lane + half * row, row, sums, step / 2);
            }

            Merge<TLanes>(tile / 2, sums, lanes, x + lane + tile / 2 * row, row, y + lane, row);
        }
    }

    // One level of S': samples 0 .. 2 half - 1 at from, scaling to s, details to d. From the end to the start, so that in place (from = y, d = y + half
    // rows) nothing is written that is still to be read; s may be the even samples' own places.
    //   1: s_i -= a1 (d_i-1 + d_i), 2: d_i -= b1 (s_i + s_i+1), 3: s_i -= a2 (d_i-1 + d_i), 4: d_i -= b2 (s_i + s_i+1), then the scales.
    // The mirrored ends of S, transposed: d_-1 = 0, the last s takes its d twice; s_h = 0, the first d takes its s twice.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split<TLanes>(int half, float* from, nint fromStep, float* s, nint sStep, float* d, nint dStep)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes a1 = TLanes.Set((float)Cdf97Lifting.Predict1), b1 = TLanes.Set((float)Cdf97Lifting.Update1);
        TLanes a2 = TLanes.Set((float)Cdf97Lifting.Predict2), b2 = TLanes.Set((float)Cdf97Lifting.Update2);
        TLanes up = TLanes.Set((float)Cdf97Lifting.Scale), down = TLanes.Set((float)(1 / Cdf97Lifting.Scale));

        // d0, s1, d1, s2: values after step 0, 1, 2, 3; "next" is the index above.
        nint i = half - 1;
        TLanes d0Next = TLanes.Load(from + (2 * i + 1) * fromStep), d0 = TLanes.Load(from + (2 * i - 1) * fromStep);
        TLanes s1Next = TLanes.FmaNegated(a1, TLanes.Add(d0, TLanes.Add(d0Next, d0Next)), TLanes.Load(from + 2 * i * fromStep));
        TLanes d1Next = TLanes.FmaNegated(b1, s1Next, d0Next);
        TLanes s2Next = TLanes.Zero, d1Above = TLanes.Add(d1Next, d1Next);
        for (i = half - 2; i >= 0; i--)
        {
            TLanes below = i > 0 ? TLanes.Load(from + (2 * i - 1) * fromStep) : TLanes.Zero;
            TLanes s1 = TLanes.FmaNegated(a1, TLanes.Add(below, d0), TLanes.Load(from + 2 * i * fromStep));
            TLanes d1 = TLanes.FmaNegated(b1, TLanes.Add(i > 0 ? s1 : TLanes.Add(s1, s1), s1Next), d0);
            TLanes s2 = TLanes.FmaNegated(a2, TLanes.Add(d1, d1Above), s1Next);
            TLanes.Store(TLanes.Multiply(s2, down), s + (i + 1) * sStep);
            TLanes d2 = TLanes.FmaNegated(b2, TLanes.Add(s2, s2Next), d1Next);
            TLanes.Store(TLanes.Multiply(d2, up), d + (i + 1) * dStep);
            (d0, s1Next, d1Next, d1Above, s2Next) = (below, s1, d1, d1, s2);
        }

        TLanes first = TLanes.FmaNegated(a2, d1Next, s1Next);
        TLanes.Store(TLanes.Multiply(first, down), s);
        TLanes.Store(TLanes.Multiply(TLanes.FmaNegated(b2, TLanes.Add(TLanes.Add(first, first), s2Next), d1Next), up), d);
    }

    // One level of S: scaling at s, details at d, samples to y. From the start to the end: y may be where d lies half rows further, and the even
    // samples may be s's own places.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Merge<TLanes>(int half, float* s, nint sStep, float* d, nint dStep, float* y, nint yStep)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes a1 = TLanes.Set((float)Cdf97Lifting.Predict1), b1 = TLanes.Set((float)Cdf97Lifting.Update1);
        TLanes a2 = TLanes.Set((float)Cdf97Lifting.Predict2), b2 = TLanes.Set((float)Cdf97Lifting.Update2);
        TLanes up = TLanes.Set((float)Cdf97Lifting.Scale), down = TLanes.Set((float)(1 / Cdf97Lifting.Scale));

        // d_-1 = d_0 in the steps that change s, s_h = s_h-1 in those that change d.
        TLanes d0 = TLanes.Multiply(TLanes.Load(d), up);
        TLanes s1 = TLanes.FmaNegated(b2, TLanes.Add(d0, d0), TLanes.Multiply(TLanes.Load(s), down));
        TLanes d1Before = TLanes.Zero, s2Before = TLanes.Zero;
        for (nint i = 0; i < half; i++)
        {
            TLanes d0Next = d0, s1Next = s1;
            if (i + 1 < half)
            {
                d0Next = TLanes.Multiply(TLanes.Load(d + (i + 1) * dStep), up);
                s1Next = TLanes.FmaNegated(b2, TLanes.Add(d0, d0Next), TLanes.Multiply(TLanes.Load(s + (i + 1) * sStep), down));
            }

            TLanes d1 = TLanes.FmaNegated(a2, TLanes.Add(s1, s1Next), d0);
            TLanes s2 = TLanes.FmaNegated(b1, TLanes.Add(i > 0 ? d1Before : d1, d1), s1);
            TLanes.Store(s2, y + 2 * i * yStep);
            if (i > 0) TLanes.Store(TLanes.FmaNegated(a1, TLanes.Add(s2Before, s2), d1Before), y + (2 * i - 1) * yStep);
            (d0, s1, d1Before, s2Before) = (d0Next, s1Next, d1, s2);
        }

        TLanes.Store(TLanes.FmaNegated(a1, TLanes.Add(s2Before, s2Before), d1Before), y + (2 * half - 1) * yStep);
    }
}
