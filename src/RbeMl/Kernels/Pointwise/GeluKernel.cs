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

    /// <summary>
    /// y = gelu(x) to 4e-5 (to 1e-6 x where that is more), for results that are rounded to eight bits: a third of the operations. NaN gives
    /// NaN. All vectors give the same bits.
    /// </summary>
    public static void ForwardCoarse(GeluKind kind, float* x, float* y, long count) => Wide.Run(new GeluKernelLanes.CoarseWork(kind, x, y, count));

    /// <summary>dx = dy * gelu'(x); dx may be dy.</summary>
    public static void Backward<T>(GeluKind kind, T* x, T* dy, T* dx, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceGelu.Backward(kind, x, dy, dx, count);
        else Wide.Run(new GeluKernelLanes.BackwardWork(kind, (float*)x, (float*)dy, (float*)dx, count));
    }
}
