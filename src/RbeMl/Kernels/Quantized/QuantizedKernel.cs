using System.Numerics;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Products with a frozen quantised base, a tile at a time. Blocks are <c>[tile][width]</c>, width a multiple of 16, at most 64.</summary>
internal static unsafe class QuantizedKernel
{
    /// <summary>
    /// y += sum over tile columns j in [first, last) of Q(tileRow, j) x(j); x points at block <paramref name="first"/>; scratch holds one
    /// tile.
    /// </summary>
    public static void Multiply<T>(FrozenTiles q, int tileColumns, int tileRow, int first, int last, T* x, T* y, int width, T* scratch)
        where T : unmanaged, IFloatingPointIeee754<T> =>
        Multiply(q, tileColumns, tileRow, first, last, new ChunkPointers<T>(x, 0), new ChunkPointers<T>(y, 0), new ChunkBatch(1, width, width), scratch);

    /// <summary>
    /// The same for a few chunks, decoding each tile once; without <paramref name="accumulate"/> y is set instead of added to. Lanes without
    /// tokens may keep their y.
    /// </summary>
    internal static void Multiply<T>(FrozenTiles q, int tileColumns, int tileRow, int first, int last, ChunkPointers<T> x, ChunkPointers<T> y,
        ChunkBatch group, T* scratch, bool accumulate = true)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(q);
        if (typeof(T) != typeof(float))
        {
            for (int c = 0; c < group.Count; c++)
            {
                if (!accumulate) new Span<T>(y[c], q.Tile * group.Lanes).Clear();
                ReferenceQuantized.Multiply(q, tileColumns, tileRow, first, last, x[c], y[c], group.Lanes, scratch);
            }

            return;
        }

        Wide.Run(new MultiplyWork(q, tileColumns, tileRow, first, last, x.As<float>(), y.As<float>(), group, (float*)scratch, accumulate));
    }

    /// <summary>
    /// x += sum over tile rows i in [first, last) of Q(i, tileColumn)' y(i); y points at block <paramref name="first"/>; scratch holds one
    /// tile.
    /// </summary>
    public static void MultiplyTransposed<T>(FrozenTiles q, int tileColumns, int tileColumn, int first, int last, T* y, T* x, int width, T* scratch)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(q);
        if (typeof(T) != typeof(float)) ReferenceQuantized.MultiplyTransposed(q, tileColumns, tileColumn, first, last, y, x, width, scratch);
        else Wide.Run(new MultiplyTransposedWork(q, tileColumns, tileColumn, first, last, (float*)y, (float*)x, width, (float*)scratch));
    }

    internal readonly struct MultiplyWork(
        FrozenTiles q, int tileColumns, int tileRow, int first, int last, ChunkPointers<float> x, ChunkPointers<float> y, ChunkBatch group,
        float* scratch, bool accumulate = true) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            int tile = q.Tile, lanes = group.Lanes;
            for (int j = first; j < last; j++)
            {
                q.Dequantize(tileRow * tileColumns + j, new Span<float>(scratch, tile * tile));
                for (int c = 0; c < group.Count; c++)
                {
                    int used = group.LanesOf(c);
                    bool adds = accumulate || j > first;
                    if (!adds && used < lanes) new Span<float>(y[c], tile * lanes).Clear();
                    GemmLanes.Multiply<TLanes>(tile, used, tile, scratch, tile, 1, x[c] + (nint)(j - first) * tile * lanes, lanes, y[c], lanes, adds);
                }
            }
        }
    }

    internal readonly struct MultiplyTransposedWork(
        FrozenTiles q, int tileColumns, int tileColumn, int first, int last, float* y, float* x, int width, float* scratch) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            int tile = q.Tile;
            for (int i = first; i < last; i++)
            {
                q.Dequantize(i * tileColumns + tileColumn, new Span<float>(scratch, tile * tile));
                GemmLanes.Multiply<TLanes>(tile, width, tile, scratch, 1, tile, y + (nint)(i - first) * tile * width, width, x, width, accumulate: true);
            }
        }
    }
}
