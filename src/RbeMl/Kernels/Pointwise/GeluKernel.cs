using System.Numerics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
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
        else if (Vector512.IsHardwareAccelerated) GeluKernelLanes.Forward<Lanes512>(kind, (float*)x, (float*)y, count);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) GeluKernelLanes.Forward<Lanes256>(kind, (float*)x, (float*)y, count);
        else GeluKernelLanes.Forward<LanesScalar>(kind, (float*)x, (float*)y, count);
    }

    /// <summary>dx = dy * gelu'(x); dx may be dy.</summary>
    public static void Backward<T>(GeluKind kind, T* x, T* dy, T* dx, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceGelu.Backward(kind, x, dy, dx, count);
        else if (Vector512.IsHardwareAccelerated) GeluKernelLanes.Backward<Lanes512>(kind, (float*)x, (float*)dy, (float*)dx, count);
        else if (Vector256.IsHardwareAccelerated && Fma.IsSupported) GeluKernelLanes.Backward<Lanes256>(kind, (float*)x, (float*)dy, (float*)dx, count);
        else GeluKernelLanes.Backward<LanesScalar>(kind, (float*)x, (float*)dy, (float*)dx, count);
    }
}
