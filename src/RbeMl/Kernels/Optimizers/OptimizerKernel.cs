using System.Numerics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Passes over flat vectors.</summary>
internal static unsafe class OptimizerKernel
{
    /// <summary>
    /// AdamW: m = b1 m + (1 - b1) g; v = b2 v + (1 - b2) g²; w = w (1 - rate * decay) - rate * (m / c1) / (sqrt(v / c2) + eps), g being
    /// gradient * gradientScale, c1 = 1 - b1^step, c2 = 1 - b2^step. The gradients are zero afterwards: clearing them costs nothing while they are in cache.
    /// </summary>
    public static void AdamW<T>(T* w, T* g, T* m, T* v, long count, T rate, T decay, T beta1, T beta2, T eps, T correction1, T correction2, T gradientScale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float))
        {
            ReferenceOptimizer.AdamW(w, g, m, v, count, rate, decay, beta1, beta2, eps, correction1, correction2, gradientScale);
            return;
        }

        AdamWFactors factors = new(
            float.CreateTruncating(rate), float.CreateTruncating(decay), float.CreateTruncating(beta1), float.CreateTruncating(beta2),
            float.CreateTruncating(eps),
            float.CreateTruncating(correction1), float.CreateTruncating(correction2), float.CreateTruncating(gradientScale));
        Wide.Run(new OptimizerKernelLanes.AdamWWork((float*)w, (float*)g, (float*)m, (float*)v, count, factors));
    }

    /// <summary>Sum of squares, in double.</summary>
    public static double SumOfSquares<T>(T* x, long count)
        where T : unmanaged, IFloatingPointIeee754<T> =>
        typeof(T) == typeof(float) ? OptimizerKernelLanes.SumOfSquares((float*)x, count) : ReferenceOptimizer.SumOfSquares(x, count);
}
