using System.Numerics;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>Sparse products over the kept coefficients of a matrix, coefficient by coefficient. Blocks are <c>[tile][width]</c>.</summary>
internal static unsafe class ReferenceSparse
{
    /// <summary>y += sum over tile columns j in [first, last) of C(tileRow, j) x(j); x points at block <paramref name="first"/>.</summary>
    public static void Multiply<T>(SparsityPattern pattern, T* values, int tileRow, int first, int last, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CoefficientSupport s = pattern.Support;
        for (int j = first; j < last; j++)
        {
            int t = tileRow * pattern.TileColumns + j;
            for (int e = 0; e < s.CoefficientsPerTile; e++)
            {
                (int row, int column) = Math.DivRem(s.PositionOf(t, e), s.Tile);
                T c = values[(long)t * s.CoefficientsPerTile + e];
                for (int lane = 0; lane < width; lane++) y[row * width + lane] += c * x[((j - first) * s.Tile + column) * width + lane];
            }
        }
    }

    /// <summary>x += sum over tile rows i in [first, last) of C(i, tileColumn)' y(i); y points at block <paramref name="first"/>.</summary>
    public static void MultiplyTransposed<T>(SparsityPattern pattern, T* values, int tileColumn, int first, int last, T* y, T* x, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CoefficientSupport s = pattern.Support;
        for (int i = first; i < last; i++)
        {
            int t = i * pattern.TileColumns + tileColumn;
            for (int e = 0; e < s.CoefficientsPerTile; e++)
            {
                (int row, int column) = Math.DivRem(s.PositionOf(t, e), s.Tile);
                T c = values[(long)t * s.CoefficientsPerTile + e];
                for (int lane = 0; lane < width; lane++) x[column * width + lane] += c * y[((i - first) * s.Tile + row) * width + lane];
            }
        }
    }

    /// <summary>
    /// gradients(tileRow, j, e) += sum over chunks and lanes of g(row) x(column), for every tile column j. x and g point at the first chunk's
    /// first block; strides are elements from chunk to chunk; gradients are laid out like the values of the whole matrix.
    /// </summary>
    public static void Gradient<T>(SparsityPattern pattern, int tileRow, T* x, long xStride, T* g, long gStride, int chunks, int width, T* gradients)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        CoefficientSupport s = pattern.Support;
        for (int j = 0; j < pattern.TileColumns; j++)
        {
            int t = tileRow * pattern.TileColumns + j;
            for (int e = 0; e < s.CoefficientsPerTile; e++)
            {
                (int row, int column) = Math.DivRem(s.PositionOf(t, e), s.Tile);
                T sum = T.Zero;
                for (int chunk = 0; chunk < chunks; chunk++)
                {
                    T* xr = x + chunk * xStride + (long)(j * s.Tile + column) * width;
                    T* gr = g + chunk * gStride + (long)(tileRow * s.Tile + row) * width;
                    for (int lane = 0; lane < width; lane++) sum += xr[lane] * gr[lane];
                }

                gradients[(long)t * s.CoefficientsPerTile + e] += sum;
            }
        }
    }
}
