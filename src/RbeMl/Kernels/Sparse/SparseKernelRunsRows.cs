using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// y += C x over runs: a few output rows and vectors stay in registers over all their runs; a run costs one load of x a vector and one broadcast a
/// coefficient. RowsRxV keeps R rows of V vectors. Values and x point at the first tile of the segment the steps count from.
/// </summary>
internal static unsafe class SparseKernelRunsRows
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    internal static void Rows8x2<TLanes>(RunStep* step, RunStep* end, float* values, nint runLength, float* x, float* y, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        TLanes y00 = TLanes.Load(y), y01 = TLanes.Load(y + lanes);
        TLanes y10 = TLanes.Load(y + width), y11 = TLanes.Load(y + width + lanes);
        TLanes y20 = TLanes.Load(y + 2 * width), y21 = TLanes.Load(y + 2 * width + lanes);
        TLanes y30 = TLanes.Load(y + 3 * width), y31 = TLanes.Load(y + 3 * width + lanes);
        TLanes y40 = TLanes.Load(y + 4 * width), y41 = TLanes.Load(y + 4 * width + lanes);
        TLanes y50 = TLanes.Load(y + 5 * width), y51 = TLanes.Load(y + 5 * width + lanes);
        TLanes y60 = TLanes.Load(y + 6 * width), y61 = TLanes.Load(y + 6 * width + lanes);
        TLanes y70 = TLanes.Load(y + 7 * width), y71 = TLanes.Load(y + 7 * width + lanes);
        for (; step < end; step++)
        {
            float* xs = x + step->Column * width, c = values + step->Run * runLength;
            TLanes x0 = TLanes.Load(xs);
            TLanes x1 = TLanes.Load(xs + lanes);
            TLanes c0 = TLanes.Set(c[0]);
            (y00, y01) = (TLanes.Fma(c0, x0, y00), TLanes.Fma(c0, x1, y01));
            TLanes c1 = TLanes.Set(c[1]);
            (y10, y11) = (TLanes.Fma(c1, x0, y10), TLanes.Fma(c1, x1, y11));
            TLanes c2 = TLanes.Set(c[2]);
            (y20, y21) = (TLanes.Fma(c2, x0, y20), TLanes.Fma(c2, x1, y21));
            TLanes c3 = TLanes.Set(c[3]);
            (y30, y31) = (TLanes.Fma(c3, x0, y30), TLanes.Fma(c3, x1, y31));
            TLanes c4 = TLanes.Set(c[4]);
            (y40, y41) = (TLanes.Fma(c4, x0, y40), TLanes.Fma(c4, x1, y41));
            TLanes c5 = TLanes.Set(c[5]);
            (y50, y51) = (TLanes.Fma(c5, x0, y50), TLanes.Fma(c5, x1, y51));
            TLanes c6 = TLanes.Set(c[6]);
            (y60, y61) = (TLanes.Fma(c6, x0, y60), TLanes.Fma(c6, x1, y61));
            TLanes c7 = TLanes.Set(c[7]);
            (y70, y71) = (TLanes.Fma(c7, x0, y70), TLanes.Fma(c7, x1, y71));
        }

        TLanes.Store(y00, y);
        TLanes.Store(y01, y + lanes);
        TLanes.Store(y10, y + width);
        TLanes.Store(y11, y + width + lanes);
        TLanes.Store(y20, y + 2 * width);
        TLanes.Store(y21, y + 2 * width + lanes);
        TLanes.Store(y30, y + 3 * width);
        TLanes.Store(y31, y + 3 * width + lanes);
        TLanes.Store(y40, y + 4 * width);
        TLanes.Store(y41, y + 4 * width + lanes);
        TLanes.Store(y50, y + 5 * width);
        TLanes.Store(y51, y + 5 * width + lanes);
        TLanes.Store(y60, y + 6 * width);
        TLanes.Store(y61, y + 6 * width + lanes);
        TLanes.Store(y70, y + 7 * width);
        TLanes.Store(y71, y + 7 * width + lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    internal static void Rows8x1<TLanes>(RunStep* step, RunStep* end, float* values, nint runLength, float* x, float* y, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes y00 = TLanes.Load(y);
        TLanes y10 = TLanes.Load(y + width);
        TLanes y20 = TLanes.Load(y + 2 * width);
        TLanes y30 = TLanes.Load(y + 3 * width);
        TLanes y40 = TLanes.Load(y + 4 * width);
        TLanes y50 = TLanes.Load(y + 5 * width);
        TLanes y60 = TLanes.Load(y + 6 * width);
        TLanes y70 = TLanes.Load(y + 7 * width);
        for (; step < end; step++)
        {
            float* xs = x + step->Column * width, c = values + step->Run * runLength;
            TLanes x0 = TLanes.Load(xs);
            y00 = TLanes.Fma(TLanes.Set(c[0]), x0, y00);
            y10 = TLanes.Fma(TLanes.Set(c[1]), x0, y10);
            y20 = TLanes.Fma(TLanes.Set(c[2]), x0, y20);
            y30 = TLanes.Fma(TLanes.Set(c[3]), x0, y30);
            y40 = TLanes.Fma(TLanes.Set(c[4]), x0, y40);
            y50 = TLanes.Fma(TLanes.Set(c[5]), x0, y50);
            y60 = TLanes.Fma(TLanes.Set(c[6]), x0, y60);
            y70 = TLanes.Fma(TLanes.Set(c[7]), x0, y70);
        }

        TLanes.Store(y00, y);
        TLanes.Store(y10, y + width);
        TLanes.Store(y20, y + 2 * width);
        TLanes.Store(y30, y + 3 * width);
        TLanes.Store(y40, y + 4 * width);
        TLanes.Store(y50, y + 5 * width);
        TLanes.Store(y60, y + 6 * width);
        TLanes.Store(y70, y + 7 * width);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    internal static void Rows4x4<TLanes>(RunStep* step, RunStep* end, float* values, nint runLength, float* x, float* y, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        TLanes y00 = TLanes.Load(y), y01 = TLanes.Load(y + lanes);
        TLanes y02 = TLanes.Load(y + 2 * lanes), y03 = TLanes.Load(y + 3 * lanes);
        TLanes y10 = TLanes.Load(y + width), y11 = TLanes.Load(y + width + lanes);
        TLanes y12 = TLanes.Load(y + width + 2 * lanes), y13 = TLanes.Load(y + width + 3 * lanes);
        TLanes y20 = TLanes.Load(y + 2 * width), y21 = TLanes.Load(y + 2 * width + lanes);
        TLanes y22 = TLanes.Load(y + 2 * width + 2 * lanes), y23 = TLanes.Load(y + 2 * width + 3 * lanes);
        TLanes y30 = TLanes.Load(y + 3 * width), y31 = TLanes.Load(y + 3 * width + lanes);
        TLanes y32 = TLanes.Load(y + 3 * width + 2 * lanes), y33 = TLanes.Load(y + 3 * width + 3 * lanes);
        for (; step < end; step++)
        {
            float* xs = x + step->Column * width, c = values + step->Run * runLength;
            TLanes x0 = TLanes.Load(xs);
            TLanes x1 = TLanes.Load(xs + lanes);
            TLanes x2 = TLanes.Load(xs + 2 * lanes);
            TLanes x3 = TLanes.Load(xs + 3 * lanes);
            TLanes c0 = TLanes.Set(c[0]);
            (y00, y01, y02, y03) = (TLanes.Fma(c0, x0, y00), TLanes.Fma(c0, x1, y01), TLanes.Fma(c0, x2, y02), TLanes.Fma(c0, x3, y03));
            TLanes c1 = TLanes.Set(c[1]);
            (y10, y11, y12, y13) = (TLanes.Fma(c1, x0, y10), TLanes.Fma(c1, x1, y11), TLanes.Fma(c1, x2, y12), TLanes.Fma(c1, x3, y13));
            TLanes c2 = TLanes.Set(c[2]);
            (y20, y21, y22, y23) = (TLanes.Fma(c2, x0, y20), TLanes.Fma(c2, x1, y21), TLanes.Fma(c2, x2, y22), TLanes.Fma(c2, x3, y23));
            TLanes c3 = TLanes.Set(c[3]);
            (y30, y31, y32, y33) = (TLanes.Fma(c3, x0, y30), TLanes.Fma(c3, x1, y31), TLanes.Fma(c3, x2, y32), TLanes.Fma(c3, x3, y33));
        }

        TLanes.Store(y00, y);
        TLanes.Store(y01, y + lanes);
        TLanes.Store(y02, y + 2 * lanes);
        TLanes.Store(y03, y + 3 * lanes);
        TLanes.Store(y10, y + width);
        TLanes.Store(y11, y + width + lanes);
        TLanes.Store(y12, y + width + 2 * lanes);
        TLanes.Store(y13, y + width + 3 * lanes);
        TLanes.Store(y20, y + 2 * width);
        TLanes.Store(y21, y + 2 * width + lanes);
        TLanes.Store(y22, y + 2 * width + 2 * lanes);
        TLanes.Store(y23, y + 2 * width + 3 * lanes);
        TLanes.Store(y30, y + 3 * width);
        TLanes.Store(y31, y + 3 * width + lanes);
        TLanes.Store(y32, y + 3 * width + 2 * lanes);
        TLanes.Store(y33, y + 3 * width + 3 * lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    internal static void Rows4x2<TLanes>(RunStep* step, RunStep* end, float* values, nint runLength, float* x, float* y, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        TLanes y00 = TLanes.Load(y), y01 = TLanes.Load(y + lanes);
        TLanes y10 = TLanes.Load(y + width), y11 = TLanes.Load(y + width + lanes);
        TLanes y20 = TLanes.Load(y + 2 * width), y21 = TLanes.Load(y + 2 * width + lanes);
        TLanes y30 = TLanes.Load(y + 3 * width), y31 = TLanes.Load(y + 3 * width + lanes);
        for (; step < end; step++)
        {
            float* xs = x + step->Column * width, c = values + step->Run * runLength;
            TLanes x0 = TLanes.Load(xs);
            TLanes x1 = TLanes.Load(xs + lanes);
            TLanes c0 = TLanes.Set(c[0]);
            (y00, y01) = (TLanes.Fma(c0, x0, y00), TLanes.Fma(c0, x1, y01));
            TLanes c1 = TLanes.Set(c[1]);
            (y10, y11) = (TLanes.Fma(c1, x0, y10), TLanes.Fma(c1, x1, y11));
            TLanes c2 = TLanes.Set(c[2]);
            (y20, y21) = (TLanes.Fma(c2, x0, y20), TLanes.Fma(c2, x1, y21));
            TLanes c3 = TLanes.Set(c[3]);
            (y30, y31) = (TLanes.Fma(c3, x0, y30), TLanes.Fma(c3, x1, y31));
        }

        TLanes.Store(y00, y);
        TLanes.Store(y01, y + lanes);
        TLanes.Store(y10, y + width);
        TLanes.Store(y11, y + width + lanes);
        TLanes.Store(y20, y + 2 * width);
        TLanes.Store(y21, y + 2 * width + lanes);
        TLanes.Store(y30, y + 3 * width);
        TLanes.Store(y31, y + 3 * width + lanes);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    internal static void Rows4x1<TLanes>(RunStep* step, RunStep* end, float* values, nint runLength, float* x, float* y, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        TLanes y00 = TLanes.Load(y);
        TLanes y10 = TLanes.Load(y + width);
        TLanes y20 = TLanes.Load(y + 2 * width);
        TLanes y30 = TLanes.Load(y + 3 * width);
        for (; step < end; step++)
        {
            float* xs = x + step->Column * width, c = values + step->Run * runLength;
            TLanes x0 = TLanes.Load(xs);
            y00 = TLanes.Fma(TLanes.Set(c[0]), x0, y00);
            y10 = TLanes.Fma(TLanes.Set(c[1]), x0, y10);
            y20 = TLanes.Fma(TLanes.Set(c[2]), x0, y20);
            y30 = TLanes.Fma(TLanes.Set(c[3]), x0, y30);
        }

        TLanes.Store(y00, y);
        TLanes.Store(y10, y + width);
        TLanes.Store(y20, y + 2 * width);
        TLanes.Store(y30, y + 3 * width);
    }
}
