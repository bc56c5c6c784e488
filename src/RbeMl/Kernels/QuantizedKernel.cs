using System.Numerics;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>Products with a frozen quantised base, a tile at a time.</summary>
public static unsafe class QuantizedKernel
{
    /// <summary>y += sum over tile columns j in [first, last) of Q(tileRow, j) x(j); scratch holds one tile.</summary>
    public static void Multiply<T>(QuantizedTiles q, int tileColumns, int tileRow, int first, int last, T* x, T* y, int width, T* scratch)
        where T : unmanaged, IFloatingPointIeee754<T> => throw new NotSupportedException();

    /// <summary>x += sum over tile rows i in [first, last) of Q(i, tileColumn)' y(i); scratch holds one tile.</summary>
    public static void MultiplyTransposed<T>(QuantizedTiles q, int tileColumns, int tileColumn, int first, int last, T* y, T* x, int width, T* scratch)
        where T : unmanaged, IFloatingPointIeee754<T> => throw new NotSupportedException();
}
