using System.Runtime.CompilerServices;

namespace RbeMl.Kernels;

/// <summary>The fast <see cref="Elementwise"/>.</summary>
internal static unsafe class ElementwiseLanes
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Add<TLanes>(float* a, float* b, float* y, long count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        long i = 0;
        for (; i + TLanes.Count <= count; i += TLanes.Count) TLanes.Store(TLanes.Add(TLanes.Load(a + i), TLanes.Load(b + i)), y + i);
        for (; i < count; i++) y[i] = a[i] + b[i];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void AddBias<TLanes>(float* y, float* bias, int rows, int width)
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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void RowSums<TLanes>(float* g, int rows, int width, float* sums)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (int r = 0; r < rows; r++, g += width)
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
