using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Numerics;

namespace RbeMl.Tests.Kernels;

/// <summary>Supports and lane dispatch of the sparse tests.</summary>
internal static unsafe class SparseCases
{
    /// <summary>Random places, <paramref name="runs"/> a tile.</summary>
    internal static CoefficientSupport Support(int tile, int tiles, int runLength, int runs, int seed)
    {
        Random random = new(seed);
        int[] all = [.. from row in Enumerable.Range(0, tile / runLength) from column in Enumerable.Range(0, tile) select row * runLength * tile + column];
        ushort[] starts = new ushort[tiles * runs];
        for (int t = 0; t < tiles; t++)
        {
            random.Shuffle(all);
            int[] chosen = [.. all.Take(runs).Order()];
            for (int r = 0; r < runs; r++) starts[t * runs + r] = (ushort)chosen[r];
        }

        return new CoefficientSupport(tile, tiles, runLength, starts);
    }

    internal static void Multiply(int lanes, SparsePattern p, float* values, int tileRow, int first, int last, float* x, float* y, int width)
    {
        if (lanes == 1) SparseKernel.Multiply<LanesScalar>(p, values, tileRow, first, last, x, y, width);
        else if (lanes == 8) SparseKernel.Multiply<Lanes256>(p, values, tileRow, first, last, x, y, width);
        else SparseKernel.Multiply<Lanes512>(p, values, tileRow, first, last, x, y, width);
    }

    internal static void MultiplyTransposed(int lanes, SparsePattern p, float* values, int tileColumn, int first, int last, float* y, float* x, int width)
    {
        if (lanes == 1) SparseKernel.MultiplyTransposed<LanesScalar>(p, values, tileColumn, first, last, y, x, width);
        else if (lanes == 8) SparseKernel.MultiplyTransposed<Lanes256>(p, values, tileColumn, first, last, y, x, width);
        else SparseKernel.MultiplyTransposed<Lanes512>(p, values, tileColumn, first, last, y, x, width);
    }

    internal static void Gradient(int lanes, SparsePattern p, int tileRow, float* x, long xStride, float* g, long gStride, int chunks, int width, float* gradients)
    {
        if (lanes == 1) SparseKernel.Gradient<LanesScalar>(p, tileRow, x, xStride, g, gStride, chunks, width, gradients);
        else if (lanes == 8) SparseKernel.Gradient<Lanes256>(p, tileRow, x, xStride, g, gStride, chunks, width, gradients);
        else SparseKernel.Gradient<Lanes512>(p, tileRow, x, xStride, g, gStride, chunks, width, gradients);
    }
}
