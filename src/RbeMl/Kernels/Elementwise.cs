using System.Numerics;
using RbeMl.Kernels.Reference;

namespace RbeMl.Kernels;

/// <summary>Element-wise pieces.</summary>
public static unsafe class Elementwise
{
    /// <summary>y = a + b.</summary>
    public static void Add<T>(T* a, T* b, T* y, long count)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceElementwise.Add(a, b, y, count);

    /// <summary>y[row][lane] += bias[row].</summary>
    public static void AddBias<T>(T* y, T* bias, int rows, int width)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceElementwise.AddBias(y, bias, rows, width);

    /// <summary>sums[row] = sum over lanes of g[row][lane].</summary>
    public static void RowSums<T>(T* g, int rows, int width, T* sums)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceElementwise.RowSums(g, rows, width, sums);

    /// <summary>y[column][row] = x[row][column].</summary>
    public static void Transpose<T>(T* x, int rows, int columns, long ldx, T* y, long ldy)
        where T : unmanaged, IFloatingPointIeee754<T> => ReferenceElementwise.Transpose(x, rows, columns, ldx, y, ldy);
}
