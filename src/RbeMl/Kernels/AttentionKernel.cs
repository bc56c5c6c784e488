using System.Numerics;
using RbeMl.Kernels.Reference;

namespace RbeMl.Kernels;

/// <summary>Attention of one head, forward and backward.</summary>
public static unsafe class AttentionKernel
{
    /// <summary>Fills Output, LogSumExp and, when asked for, Weights.</summary>
    public static void Forward<T>(in AttentionProblem<T> p)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceAttention.Forward(in p);

    /// <summary>Fills the gradients of q, k and v from OutputGradient; needs nothing of the forward but q, k, v.</summary>
    public static void Backward<T>(in AttentionProblem<T> p)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceAttention.Backward(in p);
}
