using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>The eight basis functions through twelve moments. Blocks are <c>[tile][width]</c>, moments <c>[12][width]</c>, width 64 or 16.</summary>
internal static unsafe class AlphaKernel
{
    /// <summary>moments = F block (overwrites).</summary>
    public static void Moments<T>(AlphaFactors<T> factors, T* block, T* moments, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Compact is not { } lists) ReferenceAlpha.Moments(factors, block, moments, width);
        else if (Vector512.IsHardwareAccelerated) AlphaKernelLanes.Moments<Lanes512>(lists, (float*)block, (float*)moments, width);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) AlphaKernelLanes.Moments<Lanes256>(lists, (float*)block, (float*)moments, width);
        else AlphaKernelLanes.Moments<LanesScalar>(lists, (float*)block, (float*)moments, width);
    }

    /// <summary>block += F' moments.</summary>
    public static void Expand<T>(AlphaFactors<T> factors, T* moments, T* block, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Compact is not { } lists) ReferenceAlpha.Expand(factors, moments, block, width);
        else if (Vector512.IsHardwareAccelerated) AlphaKernelLanes.Expand<Lanes512>(lists, (float*)moments, (float*)block, width);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) AlphaKernelLanes.Expand<Lanes256>(lists, (float*)moments, (float*)block, width);
        else AlphaKernelLanes.Expand<LanesScalar>(lists, (float*)moments, (float*)block, width);
    }

    /// <summary>s += A m, A being the 12 x 12 matrix of one tile's eight alphas.</summary>
    public static void Mix<T>(AlphaFactors<T> factors, T* alphas, T* m, T* s, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Compact is not { } lists) ReferenceAlpha.Mix(factors, alphas, m, s, width);
        else if (Vector512.IsHardwareAccelerated) AlphaKernelLanes.Mix<Lanes512>(lists, (float*)alphas, (float*)m, (float*)s, width);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) AlphaKernelLanes.Mix<Lanes256>(lists, (float*)alphas, (float*)m, (float*)s, width);
        else AlphaKernelLanes.Mix<LanesScalar>(lists, (float*)alphas, (float*)m, (float*)s, width);
    }

    /// <summary>m += A' s.</summary>
    public static void MixTransposed<T>(AlphaFactors<T> factors, T* alphas, T* s, T* m, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Compact is not { } lists) ReferenceAlpha.MixTransposed(factors, alphas, s, m, width);
        else if (Vector512.IsHardwareAccelerated) AlphaKernelLanes.MixTransposed<Lanes512>(lists, (float*)alphas, (float*)s, (float*)m, width);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) AlphaKernelLanes.MixTransposed<Lanes256>(lists, (float*)alphas, (float*)s, (float*)m, width);
        else AlphaKernelLanes.MixTransposed<LanesScalar>(lists, (float*)alphas, (float*)s, (float*)m, width);
    }

    /// <summary>gradient[k] += sum over lanes of the derivative of s'A m by alpha k; m are input moments, s moments of the output gradient.</summary>
    public static void Gradient<T>(AlphaFactors<T> factors, T* m, T* s, T* gradient, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Compact is not { } lists) ReferenceAlpha.Gradient(factors, m, s, gradient, width);
        else if (Vector512.IsHardwareAccelerated) AlphaKernelLanes.Gradient<Lanes512>(lists, (float*)m, (float*)s, (float*)gradient, width);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) AlphaKernelLanes.Gradient<Lanes256>(lists, (float*)m, (float*)s, (float*)gradient, width);
        else AlphaKernelLanes.Gradient<LanesScalar>(lists, (float*)m, (float*)s, (float*)gradient, width);
    }

    /// <summary>
    /// s += sum over <paramref name="count"/> tiles of A m, or of A' m when <paramref name="transposed"/>; bit for bit what <see cref="Mix"/> or
    /// <see cref="MixTransposed"/> adds tile by tile. Moments of a tile follow each other; alphas lie <paramref name="alphaStride"/> elements apart.
    /// </summary>
    public static void MixTiles<T>(AlphaFactors<T> factors, T* alphas, long alphaStride, T* m, int count, bool transposed, T* s, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Compact is not { } lists)
        {
            for (int i = 0; i < count; i++, alphas += alphaStride, m += BasisFunctions.FactorCount * width)
            {
                if (transposed) ReferenceAlpha.MixTransposed(factors, alphas, m, s, width);
                else ReferenceAlpha.Mix(factors, alphas, m, s, width);
            }
        }
        else if (Vector512.IsHardwareAccelerated) AlphaKernelTiles.Mix<Lanes512>(lists, (float*)alphas, (nint)alphaStride, (float*)m, count, transposed, (float*)s, width);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) AlphaKernelTiles.Mix<Lanes256>(lists, (float*)alphas, (nint)alphaStride, (float*)m, count, transposed, (float*)s, width);
        else AlphaKernelTiles.Mix<LanesScalar>(lists, (float*)alphas, (nint)alphaStride, (float*)m, count, transposed, (float*)s, width);
    }

    /// <summary>
    /// <see cref="Gradient"/> of the tiles of a row over all chunks: gradient[j][k] += sum over chunks and lanes. m points at the first tile's moments
    /// of the first chunk, those of the next tile follow; strides are elements from chunk to chunk.
    /// </summary>
    public static void GradientTiles<T>(AlphaFactors<T> factors, T* m, long mStride, T* s, long sStride, int chunks, int count, T* gradient, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (factors.Compact is not { } lists)
        {
            for (int chunk = 0; chunk < chunks; chunk++)
            {
                for (int j = 0; j < count; j++)
                {
                    ReferenceAlpha.Gradient(factors, m + chunk * mStride + (long)j * BasisFunctions.FactorCount * width, s + chunk * sStride, gradient + j * BasisFunctions.Count, width);
                }
            }
        }
        else if (Vector512.IsHardwareAccelerated) AlphaKernelTiles.Gradient<Lanes512>(lists, (float*)m, (nint)mStride, (float*)s, (nint)sStride, chunks, count, (float*)gradient, width);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) AlphaKernelTiles.Gradient<Lanes256>(lists, (float*)m, (nint)mStride, (float*)s, (nint)sStride, chunks, count, (float*)gradient, width);
        else AlphaKernelTiles.Gradient<LanesScalar>(lists, (float*)m, (nint)mStride, (float*)s, (nint)sStride, chunks, count, (float*)gradient, width);
    }
}
