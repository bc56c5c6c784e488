using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
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
        if (Vector512.IsHardwareAccelerated) AttentionKernelForward.Run<Lanes512>(in problem);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) AttentionKernelForward.Run<Lanes256>(in problem);
        else AttentionKernelForward.Run<LanesScalar>(in problem);
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
        if (Vector512.IsHardwareAccelerated) AttentionKernelBackward.Run<Lanes512>(in problem);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) AttentionKernelBackward.Run<Lanes256>(in problem);
        else AttentionKernelBackward.Run<LanesScalar>(in problem);
    }
}
