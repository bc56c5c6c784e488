using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// Coefficient gradients over runs: a run's rows of g meet its row of x in registers over all chunks; lanes are summed once, at the end, sixteen or
/// more coefficients together. Chunks go in batches, so that the rows of g of one group stay in the nearest cache while its runs are walked.
/// </summary>
internal static unsafe class SparseKernelRunsGradient
{
    private const int ChunkBatch = 8;
    private const int LargestBatch = 32; // coefficients
    private const int LargestLanes = 16;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Gradient<TLanes>(
        SparsityPattern pattern, SparseRunOrder order, int tileRow, float* x, long xStride, float* g, long gStride, int chunks, int width, float* gradients)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int tile = pattern.Support.Tile, runLength = pattern.Support.RunLength;
        for (int chunk = 0; chunk < chunks; chunk += ChunkBatch)
        {
            int count = Math.Min(ChunkBatch, chunks - chunk);
            for (int group = 0; group < order.Groups; group++)
            {
                float* gs = g + chunk * gStride + ((nint)tileRow * tile + group * runLength) * width;
                int* starts = order.StartsOf(tileRow, group);
                for (int firstTile = 0; firstTile < pattern.TileColumns; firstTile += order.Segment)
                {
                    float* xs = x + chunk * xStride + (nint)firstTile * tile * width;
                    float* c = gradients + ((nint)tileRow * pattern.TileColumns + firstTile) * pattern.Support.CoefficientsPerTile;
                    RunStep* from = order.Steps + starts[firstTile], to = order.Steps + starts[Math.Min(pattern.TileColumns, firstTile + order.Segment)];
                    Walk<TLanes>(from, to, runLength, xs, (nint)xStride, gs, (nint)gStride, count, width, c);
                }
            }
        }
    }

    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Walk<TLanes>(
        RunStep* step, RunStep* end, int runLength, float* x, nint xStride, float* g, nint gStride, int chunks, nint width, float* gradients)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        byte* memory = stackalloc byte[LargestBatch * (LargestLanes + 1) * sizeof(float) + 64];
        float* partials = (float*)(((nint)memory + 63) & ~63), sums = partials + LargestBatch * LargestLanes;
        nint lanes = TLanes.Count;
        new Span<float>(partials, LargestBatch * LargestLanes).Clear();
        int batch = runLength == 4 ? 4 : 2;
        while (step < end)
        {
            int steps = (int)Math.Min(batch, end - step);
            for (int s = 0; s < steps; s += 2)
            {
                RunStep* other = s + 1 < steps ? step + s + 1 : step + s; // a lone run keeps itself company; its second sums are not used
                float* x0 = x + step[s].Column * width, x1 = x + other->Column * width, p = partials + s * runLength * lanes;
                float* later0 = x0, later1 = x1; // the next two columns
                if (end - step > s + 3)
                {
                    later0 = x + step[s + 2].Column * width;
                    later1 = x + step[s + 3].Column * width;
                }

                if (runLength == 4)
                {
                    Twox4<TLanes>(x0, x1, xStride, g, gStride, chunks, width, runLength, p);
                    continue;
                }

                for (int row = 0; row < runLength; row += 8)
                {
                    if (TLanes.Count == LargestLanes)
                    {
                        Twox8<TLanes>(x0, x1, row + 8 < runLength ? later0
                            : later1, xStride, g + row * width, gStride, chunks, width, runLength, p + row * lanes);
                    }
                    else
                    {
                        Onex8<TLanes>(x0, xStride, g + row * width, gStride, chunks, width, p + row * lanes);
                        if (s + 1 < steps) Onex8<TLanes>(x1, xStride, g + row * width, gStride, chunks, width, p + (runLength + row) * lanes);
                    }
                }
            }

            for (int k = 0; k < steps * runLength; k += TLanes.Count) TLanes.Store(TLanes.SumRows(partials + k * lanes), sums + k);
            for (int s = 0; s < steps; s++)
            {
                float* c = gradients + step[s].Run * (nint)runLength;
                for (int k = 0; k < runLength; k += 4) (Vector128.Load(c + k) + Vector128.Load(sums + s * runLength + k)).Store(c + k);
            }

            step += steps;
        }
    }

    // 2 columns of x against 8 rows of g, over all chunks; partials are [2][rows][lanes], of which this writes 8 rows. Columns lie where chance put them,
    // a page or more apart from chunk to chunk, so a later one is asked for in time.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Twox8<TLanes>(float* x0, float* x1, float* later, nint xStride, float* g, nint gStride, int chunks, nint width,
        nint rows, float* partials)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        TLanes p0 = TLanes.Zero, p1 = TLanes.Zero, p2 = TLanes.Zero, p3 = TLanes.Zero, p4 = TLanes.Zero, p5 = TLanes.Zero, p6 = TLanes.Zero, p7 = TLanes.Zero;
        TLanes q0 = TLanes.Zero, q1 = TLanes.Zero, q2 = TLanes.Zero, q3 = TLanes.Zero, q4 = TLanes.Zero, q5 = TLanes.Zero, q6 = TLanes.Zero, q7 = TLanes.Zero;
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            for (nint lane = 0; lane < width; lane += lanes)
            {
                Prefetch.Near(later + lane);
                float* gs = g + lane;
                TLanes v0 = TLanes.Load(x0 + lane), v1 = TLanes.Load(x1 + lane);
                TLanes g0 = TLanes.Load(gs);
                (p0, q0) = (TLanes.Fma(v0, g0, p0), TLanes.Fma(v1, g0, q0));
                TLanes g1 = TLanes.Load(gs + width);
                (p1, q1) = (TLanes.Fma(v0, g1, p1), TLanes.Fma(v1, g1, q1));
                TLanes g2 = TLanes.Load(gs + 2 * width);
                (p2, q2) = (TLanes.Fma(v0, g2, p2), TLanes.Fma(v1, g2, q2));
                TLanes g3 = TLanes.Load(gs + 3 * width);
                (p3, q3) = (TLanes.Fma(v0, g3, p3), TLanes.Fma(v1, g3, q3));
                TLanes g4 = TLanes.Load(gs + 4 * width);
                (p4, q4) = (TLanes.Fma(v0, g4, p4), TLanes.Fma(v1, g4, q4));
                TLanes g5 = TLanes.Load(gs + 5 * width);
                (p5, q5) = (TLanes.Fma(v0, g5, p5), TLanes.Fma(v1, g5, q5));
                TLanes g6 = TLanes.Load(gs + 6 * width);
                (p6, q6) = (TLanes.Fma(v0, g6, p6), TLanes.Fma(v1, g6, q6));
                TLanes g7 = TLanes.Load(gs + 7 * width);
                (p7, q7) = (TLanes.Fma(v0, g7, p7), TLanes.Fma(v1, g7, q7));
            }

            x0 += xStride;
            x1 += xStride;
            later += xStride;
            g += gStride;
        }

        TLanes.Store(p0, partials);
        TLanes.Store(p1, partials + lanes);
        TLanes.Store(p2, partials + 2 * lanes);
        TLanes.Store(p3, partials + 3 * lanes);
        TLanes.Store(p4, partials + 4 * lanes);
        TLanes.Store(p5, partials + 5 * lanes);
        TLanes.Store(p6, partials + 6 * lanes);
        TLanes.Store(p7, partials + 7 * lanes);
        TLanes.Store(q0, partials + rows * lanes);
        TLanes.Store(q1, partials + (rows + 1) * lanes);
        TLanes.Store(q2, partials + (rows + 2) * lanes);
        TLanes.Store(q3, partials + (rows + 3) * lanes);
        TLanes.Store(q4, partials + (rows + 4) * lanes);
        TLanes.Store(q5, partials + (rows + 5) * lanes);
        TLanes.Store(q6, partials + (rows + 6) * lanes);
        TLanes.Store(q7, partials + (rows + 7) * lanes);
    }

    // 1 column of x against 8 rows of g, over all chunks; partials are [1][rows][lanes], of which this writes 8 rows.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Onex8<TLanes>(float* x0, nint xStride, float* g, nint gStride, int chunks, nint width, float* partials)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        TLanes p0 = TLanes.Zero, p1 = TLanes.Zero, p2 = TLanes.Zero, p3 = TLanes.Zero, p4 = TLanes.Zero, p5 = TLanes.Zero, p6 = TLanes.Zero, p7 = TLanes.Zero;
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            for (nint lane = 0; lane < width; lane += lanes)
            {
                float* gs = g + lane;
                TLanes v0 = TLanes.Load(x0 + lane);
                p0 = TLanes.Fma(v0, TLanes.Load(gs), p0);
                p1 = TLanes.Fma(v0, TLanes.Load(gs + width), p1);
                p2 = TLanes.Fma(v0, TLanes.Load(gs + 2 * width), p2);
                p3 = TLanes.Fma(v0, TLanes.Load(gs + 3 * width), p3);
                p4 = TLanes.Fma(v0, TLanes.Load(gs + 4 * width), p4);
                p5 = TLanes.Fma(v0, TLanes.Load(gs + 5 * width), p5);
                p6 = TLanes.Fma(v0, TLanes.Load(gs + 6 * width), p6);
                p7 = TLanes.Fma(v0, TLanes.Load(gs + 7 * width), p7);
            }

            x0 += xStride;
            g += gStride;
        }

        TLanes.Store(p0, partials);
        TLanes.Store(p1, partials + lanes);
        TLanes.Store(p2, partials + 2 * lanes);
        TLanes.Store(p3, partials + 3 * lanes);
        TLanes.Store(p4, partials + 4 * lanes);
        TLanes.Store(p5, partials + 5 * lanes);
        TLanes.Store(p6, partials + 6 * lanes);
        TLanes.Store(p7, partials + 7 * lanes);
    }

    // 2 columns of x against 4 rows of g, over all chunks; partials are [2][rows][lanes], of which this writes 4 rows.
    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static void Twox4<TLanes>(float* x0, float* x1, nint xStride, float* g, nint gStride, int chunks, nint width, nint rows, float* partials)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint lanes = TLanes.Count;
        TLanes p0 = TLanes.Zero, p1 = TLanes.Zero, p2 = TLanes.Zero, p3 = TLanes.Zero;
        TLanes q0 = TLanes.Zero, q1 = TLanes.Zero, q2 = TLanes.Zero, q3 = TLanes.Zero;
        for (int chunk = 0; chunk < chunks; chunk++)
        {
            for (nint lane = 0; lane < width; lane += lanes)
            {
                float* gs = g + lane;
                TLanes v0 = TLanes.Load(x0 + lane), v1 = TLanes.Load(x1 + lane);
                TLanes g0 = TLanes.Load(gs);
                (p0, q0) = (TLanes.Fma(v0, g0, p0), TLanes.Fma(v1, g0, q0));
                TLanes g1 = TLanes.Load(gs + width);
                (p1, q1) = (TLanes.Fma(v0, g1, p1), TLanes.Fma(v1, g1, q1));
                TLanes g2 = TLanes.Load(gs + 2 * width);
                (p2, q2) = (TLanes.Fma(v0, g2, p2), TLanes.Fma(v1, g2, q2));
                TLanes g3 = TLanes.Load(gs + 3 * width);
                (p3, q3) = (TLanes.Fma(v0, g3, p3), TLanes.Fma(v1, g3, q3));
            }

            x0 += xStride;
            x1 += xStride;
            g += gStride;
        }

        TLanes.Store(p0, partials);
        TLanes.Store(p1, partials + lanes);
        TLanes.Store(p2, partials + 2 * lanes);
        TLanes.Store(p3, partials + 3 * lanes);
        TLanes.Store(q0, partials + rows * lanes);
        TLanes.Store(q1, partials + (rows + 1) * lanes);
        TLanes.Store(q2, partials + (rows + 2) * lanes);
        TLanes.Store(q3, partials + (rows + 3) * lanes);
    }
}
