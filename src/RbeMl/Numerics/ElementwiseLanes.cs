using System.Runtime.CompilerServices;

namespace RbeMl.Numerics;

/// <summary>The fast <see cref="Elementwise"/>.</summary>
internal static unsafe class ElementwiseLanes
{
    private const int LargestLanes = 16;

    internal readonly struct AddWork(float* a, float* b, float* y, long count) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => Add<TLanes>(a, b, y, count);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Add<TLanes>(float* a, float* b, float* y, long count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        long i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count) TLanes.Store(TLanes.Add(TLanes.Load(a + i), TLanes.Load(b + i)), y + i);
        for (; i < count; i++) y[i] = a[i] + b[i];
    }

    internal readonly struct AddBiasWork(float* y, float* bias, int rows, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => AddBias<TLanes>(y, bias, rows, width);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void AddBias<TLanes>(float* y, float* bias, int rows, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (int r = 0; r < rows; r++, y += width)
        {
            TLanes b = TLanes.Set(bias[r]);
            int i = 0;
            for (; i + TLanes.Count <= width; i += TLanes.Count) TLanes.Store(TLanes.Add(TLanes.Load(y + i), b), y + i);
            for (; i < width; i++) y[i] += bias[r];
        }
    }

    internal readonly struct CopyRowsWork(float* x, long ldx, float* y, long ldy, int rows, int count) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            if (count >= TLanes.Count) CopyRows<TLanes>(x, ldx, y, ldy, rows, count);
            else if (count >= Lanes128.Count) CopyRows<Lanes128>(x, ldx, y, ldy, rows, count);
            else if (count > 0) CopyRows<LanesScalar>(x, ldx, y, ldy, rows, count);
        }
    }

    // The last vector of a row may overlap the one before it. count is at least one vector.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void CopyRows<TLanes>(float* x, long ldx, float* y, long ldy, int rows, int count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int last = count - TLanes.Count;
        for (int r = 0; r < rows; r++, x += ldx, y += ldy)
        {
            TLanes end = TLanes.Load(x + last);
            for (int i = 0; i < last; i += TLanes.Count) TLanes.Store(TLanes.Load(x + i), y + i);
            TLanes.Store(end, y + last);
        }
    }

    internal readonly struct RowSumsWork(float* g, int rows, int width, float* sums) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes> => RowSums<TLanes>(g, rows, width, sums);
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RowSums<TLanes>(float* g, int rows, int width, float* sums)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[LargestLanes * LargestLanes * sizeof(float) + 64];
        float* partials = (float*)(((nint)memory + 63) & ~63);
        int r = 0;
        if (TLanes.Count > 1 && width > 0 && width % TLanes.Count == 0)
        {
            // A vector of rows at a time, so that their lanes are summed together.
            for (; r + TLanes.Count <= rows; r += TLanes.Count)
            {
                for (int k = 0; k < TLanes.Count; k++, g += width)
                {
                    TLanes sum = TLanes.Load(g);
                    for (int i = TLanes.Count; i < width; i += TLanes.Count) sum = TLanes.Add(sum, TLanes.Load(g + i));
                    TLanes.Store(sum, partials + k * TLanes.Count);
                }

                TLanes.Store(TLanes.SumRows(partials), sums + r);
            }
        }

        for (; r < rows; r++, g += width)
        {
            TLanes sum = TLanes.Zero;
            int i = 0;
            for (; i + TLanes.Count <= width; i += TLanes.Count) sum = TLanes.Add(sum, TLanes.Load(g + i));
            float total = TLanes.Sum(sum);
            for (; i < width; i++) total += g[i];
            sums[r] = total;
        }
    }
}
