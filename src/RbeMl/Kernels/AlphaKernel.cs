using System.Numerics;
using RbeMl.Kernels.Reference;

namespace RbeMl.Kernels;

/// <summary>The eight basis functions through twelve moments.</summary>
public static unsafe class AlphaKernel
{
    /// <summary>moments = F block (overwrites).</summary>
    public static void Moments<T>(AlphaFactors<T> factors, T* block, T* moments, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceAlpha.Moments(factors, block, moments, width);

    /// <summary>block += F' moments.</summary>
    public static void Expand<T>(AlphaFactors<T> factors, T* moments, T* block, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceAlpha.Expand(factors, moments, block, width);

    /// <summary>s += A m, A being the 12 x 12 matrix of one tile's eight alphas.</summary>
    public static void Mix<T>(AlphaFactors<T> factors, T* alphas, T* m, T* s, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceAlpha.Mix(factors, alphas, m, s, width);

    /// <summary>m += A' s.</summary>
    public static void MixTransposed<T>(AlphaFactors<T> factors, T* alphas, T* s, T* m, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceAlpha.MixTransposed(factors, alphas, s, m, width);

    /// <summary>gradient[k] += sum over lanes of the derivative of s'A m by alpha k; m are input moments, s moments of the output gradient.</summary>
    public static void Gradient<T>(AlphaFactors<T> factors, T* m, T* s, T* gradient, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceAlpha.Gradient(factors, m, s, gradient, width);
}
