using System.Numerics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>Softmax cross-entropy.</summary>
internal static unsafe class CrossEntropyKernel
{
    /// <summary>
    /// losses[lane] = log-sum-exp - logit of the target; 0 where the target is negative. With a gradient, logits become
    /// (softmax - onehot) * scale, zero in lanes without a target.
    /// </summary>
    public static void Loss<T>(T* logits, int vocabulary, int width, int* targets, T* losses, bool gradient, T scale)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        float factor = float.CreateTruncating(scale);
        if (typeof(T) != typeof(float)) ReferenceCrossEntropy.Loss(logits, vocabulary, width, targets, losses, gradient, scale);
        else Wide.Run(new CrossEntropyKernelLanes.LossWork((float*)logits, vocabulary, width, targets, (float*)losses, gradient, factor));
    }
}
