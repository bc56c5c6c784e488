using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>y += C x over runs: the walk over row groups, vectors and segments.</summary>
internal static unsafe class SparseKernelRuns
{
    internal static void Multiply<TLanes>(SparsityPattern pattern, SparseRunOrder order, float* values, int tileRow, int first, int last,
        float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int tile = pattern.Support.Tile, runLength = pattern.Support.RunLength;
        for (int firstTile = first - first % order.Segment; firstTile < last; firstTile += order.Segment)
        {
            int begin = Math.Max(first, firstTile), end = Math.Min(last, firstTile + order.Segment);
            float* xs = x + (nint)(firstTile - first) * tile * width;
            float* c = values + ((nint)tileRow * pattern.TileColumns + firstTile) * pattern.Support.CoefficientsPerTile;
            for (int group = 0; group < order.Groups; group++)
            {
                int* starts = order.StartsOf(tileRow, group);
                Group<TLanes>(order.Steps + starts[begin], order.Steps + starts[end], c, runLength, xs, y + (nint)group * runLength * width, width);
            }
        }
    }

    /// <summary>The rows of one group: y is <c>[runLength][width]</c>.</summary>
    internal static void Group<TLanes>(RunStep* from, RunStep* to, float* values, int runLength, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        if (from == to) return;

        // Sums that fit the registers: 16 of 32, or 8 of 16.
        bool many = TLanes.Count == Lanes512.Count;
        int vectors = width / TLanes.Count, rows = many ? Math.Min(8, runLength) : 4;
        int columns = many && rows == 4 && vectors % 4 == 0 ? 4 : vectors % 2 == 0 ? 2 : 1;
        for (int row = 0; row < runLength; row += rows)
        {
            float* ys = y + (nint)row * width, c = values + row;
            for (int lane = 0; lane < width; lane += columns * TLanes.Count)
            {
                if (rows == 8 && columns == 2) SparseKernelRunsRows.Rows8x2<TLanes>(from, to, c, runLength, x + lane, ys + lane, width);
                else if (rows == 8) SparseKernelRunsRows.Rows8x1<TLanes>(from, to, c, runLength, x + lane, ys + lane, width);
                else if (columns == 4) SparseKernelRunsRows.Rows4x4<TLanes>(from, to, c, runLength, x + lane, ys + lane, width);
                else if (columns == 2) SparseKernelRunsRows.Rows4x2<TLanes>(from, to, c, runLength, x + lane, ys + lane, width);
                else SparseKernelRunsRows.Rows4x1<TLanes>(from, to, c, runLength, x + lane, ys + lane, width);
            }
        }
    }
}
