using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// x += C' y over runs, tile by tile so that y stays in the nearest cache. Up to four runs of the same rows share the loads of y; a step has a
/// fixed length, so that steps overlap freely.
/// </summary>
internal static unsafe class SparseKernelRunsTransposed
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Multiply<TLanes>(SparsityPattern pattern, SparseRunOrder order, float* values, int tileColumn, int first, int last,
        float* y, float* x, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int tile = pattern.Support.Tile, runLength = pattern.Support.RunLength, runs = pattern.Support.RunsPerTile;
        int shift = BitOperations.Log2((uint)tile), mask = tile - 1; // the tile is a power of two
        fixed (ushort* places = pattern.Support.Starts.AsSpan())
        {
            for (int i = first; i < last; i++)
            {
                nint t = (nint)i * pattern.TileColumns + tileColumn;
                ushort* starts = places + t * runs;
                float* c = values + t * runs * runLength, ys = y + (nint)(i - first) * tile * width;
                int* stepStarts = order.TransposedStarts + 3 * t;
                ushort* step = order.Transposed + stepStarts[0], twos = order.Transposed + stepStarts[1];
                ushort* ones = order.Transposed + stepStarts[2], end = order.Transposed + stepStarts[3];
                if (i + 1 < last) PrefetchTile(c + (nint)pattern.TileColumns * runs * runLength, runs * runLength);
                for (; step < twos; step++)
                {
                    ushort* at = starts + *step;
                    float* block = c + *step * runLength, rows = ys + (at[0] >> shift) * width;
                    float* x0 = x + (at[0] & mask) * width, x1 = x + (at[1] & mask) * width, x2 = x + (at[2] & mask) * width, x3 = x + (at[3] & mask) * width;
                    if (TLanes.Count == Lanes512.Count)
                    {
                        Four<TLanes>(runLength, block, rows, x0, x1, x2, x3, width);
                    }
                    else
                    {
                        Two<TLanes>(runLength, block, rows, x0, x1, width);
                        Two<TLanes>(runLength, block + 2 * runLength, rows, x2, x3, width);
                    }
                }

                for (; step < ones; step++)
                {
                    ushort* at = starts + *step;
                    Two<TLanes>(runLength, c + *step * runLength, ys + (at[0] >> shift) * width, x + (at[0] & mask) * width, x + (at[1] & mask) * width, width);
                }

                for (; step < end; step++)
                {
                    int place = starts[*step];
                    One<TLanes>(runLength, c + *step * runLength, ys + (place >> shift) * width, x + (place & mask) * width, width);
                }
            }
        }
    }

    // The next tile of a column lies a row of tiles further on, where the hardware does not look for it.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void PrefetchTile(float* values, int count)
    {
        const int Line = 16;
        for (int k = 0; k < count; k += Line) Prefetch.Near(values + k);
    }

    /// <summary>Runs of one group of rows: x(column of a step) += its values' y; y is <c>[runLength][width]</c>, values <c>[step][runLength]</c>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Group<TLanes>(RunStep* step, RunStep* end, float* values, int runLength, float* y, float* x, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        for (; TLanes.Count == Lanes512.Count && step + 4 <= end; step += 4, values += 4 * runLength)
        {
            Four<TLanes>(runLength, values, y, x + step[0].Column * width, x + step[1].Column * width, x + step[2].Column * width,
                x + step[3].Column * width, width);
        }

        for (; step + 2 <= end; step += 2, values += 2 * runLength)
        {
            Two<TLanes>(runLength, values, y, x + step[0].Column * width, x + step[1].Column * width, width);
        }

        if (step < end) One<TLanes>(runLength, values, y, x + step->Column * width, width);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four<TLanes>(nint rows, float* c, float* y, float* x0, float* x1, float* x2, float* x3, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count, lane = 0;
        for (; lane + 4 * lanes <= width; lane += 4 * lanes)
        {
            TLanes p0 = TLanes.Load(x0 + lane), p1 = TLanes.Load(x0 + lane + lanes), p2 = TLanes.Load(x0 + lane + 2 * lanes),
                p3 = TLanes.Load(x0 + lane + 3 * lanes);
            TLanes q0 = TLanes.Load(x1 + lane), q1 = TLanes.Load(x1 + lane + lanes), q2 = TLanes.Load(x1 + lane + 2 * lanes),
                q3 = TLanes.Load(x1 + lane + 3 * lanes);
            TLanes r0 = TLanes.Load(x2 + lane), r1 = TLanes.Load(x2 + lane + lanes), r2 = TLanes.Load(x2 + lane + 2 * lanes),
                r3 = TLanes.Load(x2 + lane + 3 * lanes);
            TLanes s0 = TLanes.Load(x3 + lane), s1 = TLanes.Load(x3 + lane + lanes), s2 = TLanes.Load(x3 + lane + 2 * lanes),
                s3 = TLanes.Load(x3 + lane + 3 * lanes);
            float* ys = y + lane;
            for (nint k = 0; k < rows; k++, ys += width)
            {
                TLanes c0 = TLanes.Set(c[k]), c1 = TLanes.Set(c[rows + k]), c2 = TLanes.Set(c[2 * rows + k]), c3 = TLanes.Set(c[3 * rows + k]);
                TLanes v = TLanes.Load(ys);
                (p0, q0, r0, s0) = (TLanes.Fma(c0, v, p0), TLanes.Fma(c1, v, q0), TLanes.Fma(c2, v, r0), TLanes.Fma(c3, v, s0));
                v = TLanes.Load(ys + lanes);
                (p1, q1, r1, s1) = (TLanes.Fma(c0, v, p1), TLanes.Fma(c1, v, q1), TLanes.Fma(c2, v, r1), TLanes.Fma(c3, v, s1));
                v = TLanes.Load(ys + 2 * lanes);
                (p2, q2, r2, s2) = (TLanes.Fma(c0, v, p2), TLanes.Fma(c1, v, q2), TLanes.Fma(c2, v, r2), TLanes.Fma(c3, v, s2));
                v = TLanes.Load(ys + 3 * lanes);
                (p3, q3, r3, s3) = (TLanes.Fma(c0, v, p3), TLanes.Fma(c1, v, q3), TLanes.Fma(c2, v, r3), TLanes.Fma(c3, v, s3));
            }

            TLanes.Store(p0, x0 + lane);
            TLanes.Store(p1, x0 + lane + lanes);
            TLanes.Store(p2, x0 + lane + 2 * lanes);
            TLanes.Store(p3, x0 + lane + 3 * lanes);
            TLanes.Store(q0, x1 + lane);
            TLanes.Store(q1, x1 + lane + lanes);
            TLanes.Store(q2, x1 + lane + 2 * lanes);
            TLanes.Store(q3, x1 + lane + 3 * lanes);
            TLanes.Store(r0, x2 + lane);
            TLanes.Store(r1, x2 + lane + lanes);
            TLanes.Store(r2, x2 + lane + 2 * lanes);
            TLanes.Store(r3, x2 + lane + 3 * lanes);
            TLanes.Store(s0, x3 + lane);
            TLanes.Store(s1, x3 + lane + lanes);
            TLanes.Store(s2, x3 + lane + 2 * lanes);
            TLanes.Store(s3, x3 + lane + 3 * lanes);
        }

        for (; lane < width; lane += lanes)
        {
            TLanes p0 = TLanes.Load(x0 + lane), q0 = TLanes.Load(x1 + lane), r0 = TLanes.Load(x2 + lane), s0 = TLanes.Load(x3 + lane);
            for (nint k = 0; k < rows; k++)
            {
                TLanes v = TLanes.Load(y + k * width + lane);
                p0 = TLanes.Fma(TLanes.Set(c[k]), v, p0);
                q0 = TLanes.Fma(TLanes.Set(c[rows + k]), v, q0);
                r0 = TLanes.Fma(TLanes.Set(c[2 * rows + k]), v, r0);
                s0 = TLanes.Fma(TLanes.Set(c[3 * rows + k]), v, s0);
            }

            TLanes.Store(p0, x0 + lane);
            TLanes.Store(q0, x1 + lane);
            TLanes.Store(r0, x2 + lane);
            TLanes.Store(s0, x3 + lane);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Two<TLanes>(nint rows, float* c, float* y, float* x0, float* x1, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count, lane = 0;
        for (; lane + 4 * lanes <= width; lane += 4 * lanes)
        {
            TLanes p0 = TLanes.Load(x0 + lane), p1 = TLanes.Load(x0 + lane + lanes), p2 = TLanes.Load(x0 + lane + 2 * lanes),
                p3 = TLanes.Load(x0 + lane + 3 * lanes);
            TLanes q0 = TLanes.Load(x1 + lane), q1 = TLanes.Load(x1 + lane + lanes), q2 = TLanes.Load(x1 + lane + 2 * lanes),
                q3 = TLanes.Load(x1 + lane + 3 * lanes);
            float* ys = y + lane;
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

            TLanes.Store(p0, x0 + lane);
            TLanes.Store(p1, x0 + lane + lanes);
            TLanes.Store(p2, x0 + lane + 2 * lanes);
            TLanes.Store(p3, x0 + lane + 3 * lanes);
            TLanes.Store(q0, x1 + lane);
            TLanes.Store(q1, x1 + lane + lanes);
            TLanes.Store(q2, x1 + lane + 2 * lanes);
            TLanes.Store(q3, x1 + lane + 3 * lanes);
        }

        for (; lane < width; lane += lanes)
        {
            TLanes p0 = TLanes.Load(x0 + lane), q0 = TLanes.Load(x1 + lane);
            for (nint k = 0; k < rows; k++)
            {
                TLanes v = TLanes.Load(y + k * width + lane);
                p0 = TLanes.Fma(TLanes.Set(c[k]), v, p0);
                q0 = TLanes.Fma(TLanes.Set(c[rows + k]), v, q0);
            }

            TLanes.Store(p0, x0 + lane);
            TLanes.Store(q0, x1 + lane);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void One<TLanes>(nint rows, float* c, float* y, float* x0, nint width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count, lane = 0;
        for (; lane + 4 * lanes <= width; lane += 4 * lanes)
        {
            TLanes p0 = TLanes.Load(x0 + lane), p1 = TLanes.Load(x0 + lane + lanes), p2 = TLanes.Load(x0 + lane + 2 * lanes),
                p3 = TLanes.Load(x0 + lane + 3 * lanes);
            float* ys = y + lane;
            for (nint k = 0; k < rows; k++, ys += width)
            {
                TLanes c0 = TLanes.Set(c[k]);
                TLanes v = TLanes.Load(ys);
                p0 = TLanes.Fma(c0, v, p0);
                v = TLanes.Load(ys + lanes);
                p1 = TLanes.Fma(c0, v, p1);
                v = TLanes.Load(ys + 2 * lanes);
                p2 = TLanes.Fma(c0, v, p2);
                v = TLanes.Load(ys + 3 * lanes);
                p3 = TLanes.Fma(c0, v, p3);
            }

            TLanes.Store(p0, x0 + lane);
            TLanes.Store(p1, x0 + lane + lanes);
            TLanes.Store(p2, x0 + lane + 2 * lanes);
            TLanes.Store(p3, x0 + lane + 3 * lanes);
        }

        for (; lane < width; lane += lanes)
        {
            TLanes p0 = TLanes.Load(x0 + lane);
            for (nint k = 0; k < rows; k++)
            {
                TLanes v = TLanes.Load(y + k * width + lane);
                p0 = TLanes.Fma(TLanes.Set(c[k]), v, p0);
            }

            TLanes.Store(p0, x0 + lane);
        }
    }
}
