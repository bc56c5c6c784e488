using System.Numerics;
using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// Attention of one head, forward and backward, by blocks of queries and keys: memory beyond the problem's own arrays does not grow with it
/// (Dao et al., "FlashAttention"). A query that sees no key has output 0 and passes no gradient.
/// </summary>
internal static unsafe class AttentionKernel
{
    /// <summary>Fills Output, RowStatistics and, when asked for, Weights.</summary>
    public static void Forward<T>(in AttentionProblem<T> p)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float))
        {
            ReferenceAttention.Forward(in p);
            return;
        }

        ref readonly AttentionProblem<float> problem = ref Unsafe.As<AttentionProblem<T>, AttentionProblem<float>>(ref Unsafe.AsRef(in p));
        Wide.Run(new AttentionKernelForward.RunWork(problem));
    }

    /// <summary>Fills the gradients of q, k and v from q, k, v, OutputGradient and the forward's Output and RowStatistics.</summary>
    public static void Backward<T>(in AttentionProblem<T> p)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float))
        {
            ReferenceAttention.Backward(in p);
            return;
        }

        ref readonly AttentionProblem<float> problem = ref Unsafe.As<AttentionProblem<T>, AttentionProblem<float>>(ref Unsafe.AsRef(in p));
        Wide.Run(new AttentionKernelBackward.RunWork(problem));
    }
}
