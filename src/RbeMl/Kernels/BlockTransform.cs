using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels.Reference;

namespace RbeMl.Kernels;

/// <summary>The 1-D orthonormal transform of every lane of a block.</summary>
public static unsafe class BlockTransform
{
    /// <summary>y = M x.</summary>
    public static void Forward<T>(TileTransform transform, int tile, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceBlockTransform.Forward(transform, tile, x, y, width);

    /// <summary>y = M' x, the inverse and the adjoint.</summary>
    public static void Inverse<T>(TileTransform transform, int tile, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceBlockTransform.Inverse(transform, tile, x, y, width);
}
