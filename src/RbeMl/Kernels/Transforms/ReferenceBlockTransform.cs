using System.Numerics;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>y = S' x and y = S x by the definition; x and y are <c>[tile][width]</c>.</summary>
internal static unsafe class ReferenceBlockTransform
{
    /// <summary>y = S' x.</summary>
    public static void Forward<T>(TileTransform transform, int tile, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => Apply(TransformMatrix.Synthesis(transform, tile), 1, tile, x, y, width);

    /// <summary>y = S x.</summary>
    public static void Inverse<T>(TileTransform transform, int tile, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => Apply(TransformMatrix.Synthesis(transform, tile), tile, 1, x, y, width);

    private static void Apply<T>(double[] m, int rowStride, int columnStride, T* x, T* y, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int n = rowStride * columnStride;
        T* column = stackalloc T[n];
        for (int lane = 0; lane < width; lane++)
        {
            for (int i = 0; i < n; i++) column[i] = x[i * width + lane];
            for (int u = 0; u < n; u++)
            {
                T sum = T.Zero;
                for (int i = 0; i < n; i++) sum += T.CreateTruncating(m[u * rowStride + i * columnStride]) * column[i];
                y[u * width + lane] = sum;
            }
        }
    }
}
