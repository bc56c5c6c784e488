using System.Numerics;
using RbeMl.Kernels.Reference;

namespace RbeMl.Kernels;

/// <summary>Softmax cross-entropy.</summary>
public static unsafe class CrossEntropyKernel
{
    /// <summary>
    /// losses[lane] = log-sum-exp - logit of the target; 0 where the target is negative. With a gradient, logits become
    /// (softmax - onehot) * scale, zero in lanes without a target.
    /// </summary>
    public static void Loss<T>(T* logits, int vocabulary, int width, int* targets, T* losses, bool gradient, T scale)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceCrossEntropy.Loss(logits, vocabulary, width, targets, losses, gradient, scale);
}
