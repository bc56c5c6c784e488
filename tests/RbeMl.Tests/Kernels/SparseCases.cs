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

    internal static void Multiply(int lanes, SparsityPattern p, float* values, int tileRow, int first, int last, float* x, float* y, int width)
    {
        Wide.Run(lanes, new SparseKernel.MultiplyWork(p, values, tileRow, first, last, x, y, width));
    }

    internal static void MultiplyTransposed(int lanes, SparsityPattern p, float* values, int tileColumn, int first, int last, float* y, float* x, int width)
    {
        Wide.Run(lanes, new SparseKernel.MultiplyTransposedWork(p, values, tileColumn, first, last, y, x, width));
    }

    internal static void Gradient(int lanes, SparsityPattern p, int tileRow, float* x, long xStride, float* g, long gStride, int chunks,
        int width, float* gradients)
    {
        Wide.Run(lanes, new SparseKernel.GradientWork(p, tileRow, x, xStride, g, gStride, chunks, width, gradients));
    }
}
