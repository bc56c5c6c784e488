using System.Numerics;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>Products with a quantised base by their definition. Blocks are <c>[tile][width]</c>; scratch holds one tile.</summary>
internal static unsafe class ReferenceQuantized
{
    /// <summary>y += sum over tile columns j in [first, last) of Q(tileRow, j) x(j); x points at block <paramref name="first"/>.</summary>
    public static void Multiply<T>(FrozenTiles q, int tileColumns, int tileRow, int first, int last, T* x, T* y, int width, T* scratch)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(q);
        int tile = q.Tile;
        for (int j = first; j < last; j++)
        {
            Decode(q, tileRow * tileColumns + j, scratch);
            for (int row = 0; row < tile; row++)
            {
                for (int column = 0; column < tile; column++)
                {
                    T c = scratch[row * tile + column];
                    for (int lane = 0; lane < width; lane++) y[row * width + lane] += c * x[((j - first) * tile + column) * width + lane];
                }
            }
        }
    }

    /// <summary>x += sum over tile rows i in [first, last) of Q(i, tileColumn)' y(i); y points at block <paramref name="first"/>.</summary>
    public static void MultiplyTransposed<T>(FrozenTiles q, int tileColumns, int tileColumn, int first, int last, T* y, T* x, int width, T* scratch)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        ArgumentNullException.ThrowIfNull(q);
        int tile = q.Tile;
        for (int i = first; i < last; i++)
        {
            Decode(q, i * tileColumns + tileColumn, scratch);
            for (int row = 0; row < tile; row++)
            {
                for (int column = 0; column < tile; column++)
                {
                    T c = scratch[row * tile + column];
                    for (int lane = 0; lane < width; lane++) x[column * width + lane] += c * y[((i - first) * tile + row) * width + lane];
                }
            }
        }
    }

    private static void Decode<T>(FrozenTiles q, int tileIndex, T* coefficients)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        float[] decoded = new float[q.Tile * q.Tile];
        q.Dequantize(tileIndex, decoded);
        for (int e = 0; e < decoded.Length; e++) coefficients[e] = T.CreateTruncating(decoded[e]);
    }
}
