using System.Numerics;

namespace RbeMl.Numerics;

/// <summary>Products with a single vector by their definition.</summary>
internal static unsafe class ReferenceVector
{
    /// <summary>y = M x, M being stored by columns: <c>[terms][size]</c>.</summary>
    public static void Transform<T>(T* columns, T* x, T* y, int size, int terms)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int r = 0; r < size; r++)
        {
            y[r] = T.Zero;
            for (int k = 0; k < terms; k++) y[r] += columns[((long)k * size) + r] * x[k];
        }
    }
}
