using System.Numerics;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>GELU and its derivative.</summary>
internal static unsafe class GeluKernel
{
    /// <summary>y = gelu(x).</summary>
    public static void Forward<T>(GeluKind kind, T* x, T* y, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceGelu.Forward(kind, x, y, count);
        else Wide.Run(new GeluKernelLanes.ForwardWork(kind, (float*)x, (float*)y, count));
    }

    /// <summary>dx = dy * gelu'(x); dx may be dy.</summary>
    public static void Backward<T>(GeluKind kind, T* x, T* dy, T* dx, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceGelu.Backward(kind, x, dy, dx, count);
        else Wide.Run(new GeluKernelLanes.BackwardWork(kind, (float*)x, (float*)dy, (float*)dx, count));
    }
}
