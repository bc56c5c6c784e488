using System.Numerics;

namespace RbeMl.Numerics;

/// <summary>Element-wise pieces.</summary>
internal static unsafe class Elementwise
{
    /// <summary>y = a + b.</summary>
    public static void Add<T>(T* a, T* b, T* y, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceElementwise.Add(a, b, y, count);
        else Wide.Run(new ElementwiseLanes.AddWork((float*)a, (float*)b, (float*)y, count));
    }

    /// <summary>y[row][lane] += bias[row].</summary>
    public static void AddBias<T>(T* y, T* bias, int rows, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceElementwise.AddBias(y, bias, rows, width);
        else Wide.Run(new ElementwiseLanes.AddBiasWork((float*)y, (float*)bias, rows, width));
    }

    /// <summary>sums[row] = sum over lanes of g[row][lane], in an order that depends on nothing but the width and the machine's vectors.</summary>
    public static void RowSums<T>(T* g, int rows, int width, T* sums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (typeof(T) != typeof(float)) ReferenceElementwise.RowSums(g, rows, width, sums);
        else Wide.Run(new ElementwiseLanes.RowSumsWork((float*)g, rows, width, (float*)sums));
    }

    /// <summary>y[row][0 .. count) = x[row][0 .. count) of matrices that do not overlap.</summary>
    public static void CopyRows<T>(T* x, long ldx, T* y, long ldy, int rows, int count)
        where T : unmanaged
    {
        if (sizeof(T) == sizeof(float)) Wide.Run(new ElementwiseLanes.CopyRowsWork((float*)x, ldx, (float*)y, ldy, rows, count));
        else ReferenceElementwise.CopyRows(x, ldx, y, ldy, rows, count);
    }

    /// <summary>y[column][row] = x[row][column].</summary>
    public static void Transpose<T>(T* x, int rows, int columns, long ldx, T* y, long ldy)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        if (sizeof(T) == sizeof(float)) ElementwiseTranspose.Transpose((float*)x, rows, columns, ldx, (float*)y, ldy);
        else ReferenceElementwise.Transpose(x, rows, columns, ldx, y, ldy);
    }
}
