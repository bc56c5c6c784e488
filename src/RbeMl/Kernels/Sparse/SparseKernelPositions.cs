using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>y += C x and x += C' y over single places, tile by tile so that both blocks stay in the nearest cache.</summary>
internal static unsafe class SparseKernelPositions
{
    internal static void Multiply<TLanes>(SparsityPattern pattern, float* values, int tileRow, int first, int last, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint block = (nint)pattern.Support.Tile * width;
        int places = pattern.Support.RunsPerTile;
        for (int j = first; j < last; j++)
        {
            nint t = (nint)tileRow * pattern.TileColumns + j;
            if (width == 4 * TLanes.Count) Tile<QuadLanes<TLanes>, StoredValues>(pattern.Rows!, places, t, values, x + (j - first) * block, y, width);
            else Tile<TLanes, StoredValues>(pattern.Rows!, places, t, values, x + (j - first) * block, y, width);
        }
    }

    internal static void MultiplyTransposed<TLanes>(SparsityPattern pattern, float* values, int tileColumn, int first, int last, float* y, float* x, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint block = (nint)pattern.Support.Tile * width;
        int places = pattern.Support.RunsPerTile;
        for (int i = first; i < last; i++)
        {
            nint t = (nint)i * pattern.TileColumns + tileColumn;
            if (width == 4 * TLanes.Count) Tile<QuadLanes<TLanes>, PermutedValues>(pattern.Columns!, places, t, values, y + (i - first) * block, x, width);
            else Tile<TLanes, PermutedValues>(pattern.Columns!, places, t, values, y + (i - first) * block, x, width);
        }
    }

    // to(line) += sum over the entries of a line of value * from(across)
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile<TLanes, TOrder>(SparsePositionOrder order, int places, nint t, float* values, float* from, float* to, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
        where TOrder : struct, IValueOrder
    {
        nint lanes = TLanes.Count;
        byte* across = order.Across + t * places;
        ushort* valueOf = order.Values is null ? null : order.Values + t * places;
        values += t * places;
        PositionStep* step = order.Steps + order.Starts[3 * t], twos = order.Steps + order.Starts[3 * t + 1];
        PositionStep* ones = order.Steps + order.Starts[3 * t + 2], end = order.Steps + order.Starts[3 * t + 3];
        for (; step < twos; step++)
        {
            nint e = step->Entry;
            float* y = to + step->Line * width;
            float* x0 = from + across[e] * width, x1 = from + across[e + 1] * width, x2 = from + across[e + 2] * width, x3 = from + across[e + 3] * width;
            TLanes c0 = TLanes.Set(values[TOrder.Of(valueOf, e)]), c1 = TLanes.Set(values[TOrder.Of(valueOf, e + 1)]);
            TLanes c2 = TLanes.Set(values[TOrder.Of(valueOf, e + 2)]), c3 = TLanes.Set(values[TOrder.Of(valueOf, e + 3)]);
            for (nint lane = 0; lane < width; lane += lanes)
            {
                TLanes sum = TLanes.Fma(c0, TLanes.Load(x0 + lane), TLanes.Load(y + lane));
                sum = TLanes.Fma(c1, TLanes.Load(x1 + lane), sum);
                sum = TLanes.Fma(c2, TLanes.Load(x2 + lane), sum);
                TLanes.Store(TLanes.Fma(c3, TLanes.Load(x3 + lane), sum), y + lane);
            }
        }

        for (; step < ones; step++)
        {
            nint e = step->Entry;
            float* y = to + step->Line * width, x0 = from + across[e] * width, x1 = from + across[e + 1] * width;
            TLanes c0 = TLanes.Set(values[TOrder.Of(valueOf, e)]), c1 = TLanes.Set(values[TOrder.Of(valueOf, e + 1)]);
            for (nint lane = 0; lane < width; lane += lanes)
            {
                TLanes sum = TLanes.Fma(c0, TLanes.Load(x0 + lane), TLanes.Load(y + lane));
                TLanes.Store(TLanes.Fma(c1, TLanes.Load(x1 + lane), sum), y + lane);
            }
        }

        for (; step < end; step++)
        {
            nint e = step->Entry;
            float* y = to + step->Line * width, x0 = from + across[e] * width;
            TLanes c0 = TLanes.Set(values[TOrder.Of(valueOf, e)]);
            for (nint lane = 0; lane < width; lane += lanes) TLanes.Store(TLanes.Fma(c0, TLanes.Load(x0 + lane), TLanes.Load(y + lane)), y + lane);
        }
    }

    private interface IValueOrder
    {
        static abstract nint Of(ushort* valueOf, nint entry);
    }

    private readonly struct StoredValues : IValueOrder
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static nint Of(ushort* valueOf, nint entry) => entry;
    }

    private readonly struct PermutedValues : IValueOrder
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static nint Of(ushort* valueOf, nint entry) => valueOf[entry];
    }
}
