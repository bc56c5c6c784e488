using System.Numerics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>LayerNorm over the features of each lane.</summary>
internal static unsafe class LayerNormKernel
{
    /// <summary>mean[lane] and rstd[lane] = 1 / sqrt(var + eps), with the biased variance.</summary>
    public static void Statistics<T>(T* x, T* mean, T* rstd, int features, int width, T eps)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceLayerNorm.Statistics(x, mean, rstd, features, width, eps);
        else Wide.Run(new LayerNormKernelLanes.StatisticsWork((float*)x, (float*)mean, (float*)rstd, features, width, float.CreateTruncating(eps)));
    }

    /// <summary>y = (x - mean) * rstd * gamma + beta over <paramref name="rows"/> feature rows; gamma and beta start at the first of them.</summary>
    public static void Apply<T>(T* x, T* mean, T* rstd, T* gamma, T* beta, T* y, int rows, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceLayerNorm.Apply(x, mean, rstd, gamma, beta, y, rows, width);
        else Wide.Run(new LayerNormKernelLanes.ApplyWork((float*)x, (float*)mean, (float*)rstd, (float*)gamma, (float*)beta, (float*)y, rows, width));
    }

    /// <summary>dx += the input gradient; dgamma[f] and dbeta[f] = this chunk's sums (overwritten).</summary>
    public static void Backward<T>(T* x, T* mean, T* rstd, T* gamma, T* dy, T* dx, T* dgamma, T* dbeta, int features, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceLayerNorm.Backward(x, mean, rstd, gamma, dy, dx, dgamma, dbeta, features, width);
        else Wide.Run(new LayerNormKernelLanes.BackwardWork((float*)x, (float*)mean, (float*)rstd, (float*)gamma, (float*)dy, (float*)dx,
            (float*)dgamma, (float*)dbeta, features, width));
    }
}
