using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// y += C x over runs that cover whole tiles. The runs of the same L rows and all B columns of a tile are then a dense matrix, <c>[B][L]</c> in memory, for
/// which the dense product needs no lists.
/// </summary>
internal static unsafe class SparseKernelFull
{
    /// <summary>Whether the pattern is of that kind, and its runs are whole vectors.</summary>
    internal static bool Takes<TLanes>(SparsityPattern pattern)
        where TLanes : unmanaged, ILanes<TLanes> =>
        TLanes.Count > 1 && pattern.Support.RunLength % TLanes.Count == 0
            && pattern.Support.CoefficientsPerTile == pattern.Support.Tile * pattern.Support.Tile;

    /// <summary>y += C x over tile columns, as the entry of <see cref="SparseKernel"/> says.</summary>
    internal static void Multiply<TLanes>(SparsityPattern pattern, float* values, int tileRow, int first, int last, float* x, float* y, int width)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int tile = pattern.Support.Tile, run = pattern.Support.RunLength;
        float* c = values + ((nint)tileRow * pattern.TileColumns + first) * tile * tile;
        for (int j = first; j < last; j++, x += (nint)tile * width)
        {
            for (int row = 0; row < tile; row += run, c += tile * run)
            {
                GemmLanes.Multiply<TLanes>(run, width, tile, c, 1, run, x, width, y + (nint)row * width, width, accumulate: true);
            }
        }
    }
}
