using System.Numerics;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// The eight basis functions through twelve moments. Blocks are <c>[tile][width]</c>, moments <c>[12][width]</c>, width a multiple of 16,
/// at most 64.
/// </summary>
internal static unsafe class AlphaKernel
{
    /// <summary>moments = F block (overwrites).</summary>
    public static void Moments<T>(AlphaFactors<T> factors, T* block, T* moments, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Lists is not { } lists) ReferenceAlpha.Moments(factors, block, moments, width);
        else Wide.Run(new AlphaKernelLanes.MomentsWork(lists, (float*)block, (float*)moments, width));
    }

    /// <summary>block += F' moments.</summary>
    public static void Expand<T>(AlphaFactors<T> factors, T* moments, T* block, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Lists is not { } lists) ReferenceAlpha.Expand(factors, moments, block, width);
        else Wide.Run(new AlphaKernelLanes.ExpandWork(lists, (float*)moments, (float*)block, width));
    }

    /// <summary>gradient[k] += sum over lanes of the derivative of s'A m by alpha k; m are input moments, s moments of the output gradient.</summary>
    public static void Gradient<T>(AlphaFactors<T> factors, T* m, T* s, T* gradient, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Lists is not { } lists) ReferenceAlpha.Gradient(factors, m, s, gradient, width);
        else Wide.Run(new AlphaKernelLanes.GradientWork(lists, (float*)m, (float*)s, (float*)gradient, width));
    }

    /// <summary>
    /// s += sum over <paramref name="count"/> tiles of A m, or of A' m when <paramref name="transposed"/>, A being the 12 x 12 matrix of a
    /// tile's eight alphas; bit for bit what one tile after the other adds. Moments of a tile follow each other; alphas lie
    /// <paramref name="alphaStride"/> elements apart.
    /// </summary>
    public static void MixTiles<T>(AlphaFactors<T> factors, T* alphas, long alphaStride, T* m, int count, bool transposed, T* s, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Lists is not { } lists)
        {
            for (int i = 0; i < count; i++, alphas += alphaStride, m += BasisFunctions.FactorCount * width)
            {
                if (transposed) ReferenceAlpha.MixTransposed(factors, alphas, m, s, width);
                else ReferenceAlpha.Mix(factors, alphas, m, s, width);
            }
        }
        else Wide.Run(new AlphaKernelTiles.MixWork(lists, (float*)alphas, (nint)alphaStride, (float*)m, count, transposed, (float*)s, width));
    }

    /// <summary>
    /// <see cref="Gradient"/> of the tiles of a row over all chunks: gradient[j][k] += sum over chunks and lanes. m points at the first tile's moments
    /// of the first chunk, those of the next tile follow; strides are elements from chunk to chunk.
    /// </summary>
    public static void GradientTiles<T>(AlphaFactors<T> factors, T* m, long mStride, T* s, long sStride, int chunks, int count, T* gradient, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Lists is not { } lists)
        {
            for (int chunk = 0; chunk < chunks; chunk++)
            {
                for (int j = 0; j < count; j++)
                {
                    ReferenceAlpha.Gradient(factors, m + chunk * mStride + (long)j * BasisFunctions.FactorCount * width, s + chunk * sStride,
                        gradient + j * BasisFunctions.Count, width);
                }
            }
        }
        else Wide.Run(new AlphaKernelTiles.GradientWork(lists, (float*)m, (nint)mStride, (float*)s, (nint)sStride, chunks, count, (float*)gradient, width));
    }
}
