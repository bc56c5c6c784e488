using System.Runtime.CompilerServices;

namespace RbeMl.Kernels;

/// <summary>
/// x += C' y over runs, tile by tile so that y stays in the nearest cache. Two runs of the same rows share the loads of y; a step has a fixed length,
/// so that steps overlap freely.
/// </summary>
internal static unsafe class SparseKernelRunsTransposed
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Multiply<TLanes>(SparsePattern pattern, SparseRunOrder order, float* values, int tileColumn, int first, int last, float* y, float* x, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int tile = pattern.Support.Tile, runLength = pattern.Support.RunLength, runs = pattern.Support.RunsPerTile;
        fixed (ushort* places = pattern.Support.Starts)
        {
            for (int i = first; i < last; i++)
            {
                nint t = (nint)i * pattern.TileColumns + tileColumn;
                ushort* starts = places + t * runs;
                float* c = values + t * runs * runLength, ys = y + (nint)(i - first) * tile * width;
                ushort* pair = order.Pairs + order.PairStarts[2 * t], single = order.Pairs + order.PairStarts[2 * t + 1];
                ushort* end = order.Pairs + order.PairStarts[2 * t + 2];
                for (; pair < single; pair++)
                {
                    int row = starts[*pair] / tile, column0 = starts[*pair] % tile, column1 = starts[*pair + 1] % tile;
                    Two<TLanes>(runLength, c + *pair * runLength, ys + row * width, x + column0 * width, x + column1 * width, width);
                }

                for (; single < end; single++)
                {
                    int row = starts[*single] / tile, column = starts[*single] % tile;
                    One<TLanes>(runLength, c + *single * runLength, ys + row * width, x + column * width, width);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Two<TLanes>(nint rows, float* c, float* y, float* x0, float* x1, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count, lane = 0;
        for (; lane + 4 * lanes <= width; lane += 4 * lanes)
        {
            float* p = x0 + lane, q = x1 + lane, ys = y + lane;
            TLanes p0 = TLanes.Load(p), p1 = TLanes.Load(p + lanes), p2 = TLanes.Load(p + 2 * lanes), p3 = TLanes.Load(p + 3 * lanes);
            TLanes q0 = TLanes.Load(q), q1 = TLanes.Load(q + lanes), q2 = TLanes.Load(q + 2 * lanes), q3 = TLanes.Load(q + 3 * lanes);
            for (nint k = 0; k < rows; k++, ys += width)
            {
                TLanes c0 = TLanes.Set(c[k]), c1 = TLanes.Set(c[rows + k]);
                TLanes v = TLanes.Load(ys);
                (p0, q0) = (TLanes.Fma(c0, v, p0), TLanes.Fma(c1, v, q0));
                v = TLanes.Load(ys + lanes);
                (p1, q1) = (TLanes.Fma(c0, v, p1), TLanes.Fma(c1, v, q1));
                v = TLanes.Load(ys + 2 * lanes);
                (p2, q2) = (TLanes.Fma(c0, v, p2), TLanes.Fma(c1, v, q2));
                v = TLanes.Load(ys + 3 * lanes);
                (p3, q3) = (TLanes.Fma(c0, v, p3), TLanes.Fma(c1, v, q3));
            }

            TLanes.Store(p0, p);
            TLanes.Store(p1, p + lanes);
            TLanes.Store(p2, p + 2 * lanes);
            TLanes.Store(p3, p + 3 * lanes);
            TLanes.Store(q0, q);
            TLanes.Store(q1, q + lanes);
            TLanes.Store(q2, q + 2 * lanes);
            TLanes.Store(q3, q + 3 * lanes);
        }

        for (; lane < width; lane += lanes)
        {
            TLanes p0 = TLanes.Load(x0 + lane), q0 = TLanes.Load(x1 + lane);
            for (nint k = 0; k < rows; k++)
            {
                TLanes v = TLanes.Load(y + k * width + lane);
                (p0, q0) = (TLanes.Fma(TLanes.Set(c[k]), v, p0), TLanes.Fma(TLanes.Set(c[rows + k]), v, q0));
            }

            TLanes.Store(p0, x0 + lane);
            TLanes.Store(q0, x1 + lane);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void One<TLanes>(nint rows, float* c, float* y, float* x, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count, lane = 0;
        for (; lane + 4 * lanes <= width; lane += 4 * lanes)
        {
            float* p = x + lane, ys = y + lane;
            TLanes p0 = TLanes.Load(p), p1 = TLanes.Load(p + lanes), p2 = TLanes.Load(p + 2 * lanes), p3 = TLanes.Load(p + 3 * lanes);
            for (nint k = 0; k < rows; k++, ys += width)
            {
                TLanes c0 = TLanes.Set(c[k]);
                (p0, p1) = (TLanes.Fma(c0, TLanes.Load(ys), p0), TLanes.Fma(c0, TLanes.Load(ys + lanes), p1));
                (p2, p3) = (TLanes.Fma(c0, TLanes.Load(ys + 2 * lanes), p2), TLanes.Fma(c0, TLanes.Load(ys + 3 * lanes), p3));
            }

            TLanes.Store(p0, p);
            TLanes.Store(p1, p + lanes);
            TLanes.Store(p2, p + 2 * lanes);
            TLanes.Store(p3, p + 3 * lanes);
        }

        for (; lane < width; lane += lanes)
        {
            TLanes p0 = TLanes.Load(x + lane);
            for (nint k = 0; k < rows; k++) p0 = TLanes.Fma(TLanes.Set(c[k]), TLanes.Load(y + k * width + lane), p0);
            TLanes.Store(p0, x + lane);
        }
    }
}
