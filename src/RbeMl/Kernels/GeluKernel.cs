using System.Numerics;
using RbeMl.Kernels.Reference;

namespace RbeMl.Kernels;

/// <summary>GELU and its derivative.</summary>
public static unsafe class GeluKernel
{
    /// <summary>y = gelu(x).</summary>
    public static void Forward<T>(GeluKind kind, T* x, T* y, long count)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceGelu.Forward(kind, x, y, count);

    /// <summary>dx = dy * gelu'(x); dx may be dy.</summary>
    public static void Backward<T>(GeluKind kind, T* x, T* dy, T* dx, long count)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceGelu.Backward(kind, x, dy, dx, count);
}
