using System.Numerics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Products over the kept coefficients of a matrix. Blocks are <c>[tile][width]</c>, width a multiple of 16, at most 64.</summary>
internal static unsafe class SparseKernel
{
    /// <summary>y += sum over tile columns j in [first, last) of C(tileRow, j) x(j); x points at block <paramref name="first"/>.</summary>
    public static void Multiply<T>(SparsityPattern pattern, T* values, int tileRow, int first, int last, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceSparse.Multiply(pattern, values, tileRow, first, last, x, y, width);
        else Wide.Run(new MultiplyWork(pattern, (float*)values, tileRow, first, last, (float*)x, (float*)y, width));
    }

    /// <summary>x += sum over tile rows i in [first, last) of C(i, tileColumn)' y(i); y points at block <paramref name="first"/>.</summary>
    public static void MultiplyTransposed<T>(SparsityPattern pattern, T* values, int tileColumn, int first, int last, T* y, T* x, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceSparse.MultiplyTransposed(pattern, values, tileColumn, first, last, y, x, width);
        else Wide.Run(new MultiplyTransposedWork(pattern, (float*)values, tileColumn, first, last, (float*)y, (float*)x, width));
    }

    /// <summary>
    /// gradients(tileRow, j, e) += sum over chunks and lanes of g(row) x(column), for every tile column j. x and g point at the first chunk's
    /// first block; strides are elements from chunk to chunk; gradients are laid out like the values of the whole matrix.
    /// </summary>
    public static void Gradient<T>(SparsityPattern pattern, int tileRow, T* x, long xStride, T* g, long gStride, int chunks, int width, T* gradients)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceSparse.Gradient(pattern, tileRow, x, xStride, g, gStride, chunks, width, gradients);
        else Wide.Run(new GradientWork(pattern, tileRow, (float*)x, xStride, (float*)g, gStride, chunks, width, (float*)gradients));
    }

    internal readonly struct MultiplyWork(
        SparsityPattern pattern, float* values, int tileRow, int first, int last, float* x, float* y, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            if (SparseKernelFull.Takes<TLanes>(pattern)) SparseKernelFull.Multiply<TLanes>(pattern, values, tileRow, first, last, x, y, width);
            else if (pattern.Runs is { } runs) SparseKernelRuns.Multiply<TLanes>(pattern, runs, values, tileRow, first, last, x, y, width);
            else SparseKernelPositions.Multiply<TLanes>(pattern, values, tileRow, first, last, x, y, width);
            GC.KeepAlive(pattern); // its native memory
        }
    }

    internal readonly struct MultiplyTransposedWork(
        SparsityPattern pattern, float* values, int tileColumn, int first, int last, float* y, float* x, int width) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            if (pattern.Runs is { } runs) SparseKernelRunsTransposed.Multiply<TLanes>(pattern, runs, values, tileColumn, first, last, y, x, width);
            else SparseKernelPositions.MultiplyTransposed<TLanes>(pattern, values, tileColumn, first, last, y, x, width);
            GC.KeepAlive(pattern); // its native memory
        }
    }

    internal readonly struct GradientWork(
        SparsityPattern pattern, int tileRow, float* x, long xStride, float* g, long gStride, int chunks, int width, float* gradients) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            if (pattern.Runs is { } runs) SparseKernelRunsGradient.Gradient<TLanes>(pattern, runs, tileRow, x, xStride, g, gStride, chunks, width, gradients);
            else SparseKernelPositionsGradient.Gradient<TLanes>(pattern, tileRow, x, xStride, g, gStride, chunks, width, gradients);
            GC.KeepAlive(pattern); // its native memory
        }
    }
}
