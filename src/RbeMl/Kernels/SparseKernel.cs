using System.Numerics;
using RbeMl.Kernels.Reference;

namespace RbeMl.Kernels;

/// <summary>Products over the kept coefficients of a matrix.</summary>
public static unsafe class SparseKernel
{
    /// <summary>y += sum over tile columns j in [first, last) of C(tileRow, j) x(j); x points at block <paramref name="first"/>.</summary>
    public static void Multiply<T>(SparsePattern pattern, T* values, int tileRow, int first, int last, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceSparse.Multiply(pattern, values, tileRow, first, last, x, y, width);

    /// <summary>x += sum over tile rows i in [first, last) of C(i, tileColumn)' y(i); y points at block <paramref name="first"/>.</summary>
    public static void MultiplyTransposed<T>(SparsePattern pattern, T* values, int tileColumn, int first, int last, T* y, T* x, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceSparse.MultiplyTransposed(pattern, values, tileColumn, first, last, y, x, width);

    /// <summary>
    /// gradients(tileRow, j, e) += sum over chunks and lanes of g(row) x(column), for every tile column j. x and g point at the first chunk's
    /// first block; strides are elements from chunk to chunk; gradients are laid out like the values of the whole matrix.
    /// </summary>
    public static void Gradient<T>(SparsePattern pattern, int tileRow, T* x, long xStride, T* g, long gStride, int chunks, int width, T* gradients)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceSparse.Gradient(pattern, tileRow, x, xStride, g, gStride, chunks, width, gradients);
}
