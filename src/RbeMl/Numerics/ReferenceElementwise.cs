using System.Numerics;

namespace RbeMl.Numerics;

/// <summary>Element-wise pieces, one value at a time.</summary>
internal static unsafe class ReferenceElementwise
{
    /// <summary>y = a + b.</summary>
    public static void Add<T>(T* a, T* b, T* y, long count)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (long i = 0; i < count; i++) y[i] = a[i] + b[i];
    }

    /// <summary>y[row][lane] += bias[row].</summary>
    public static void AddBias<T>(T* y, T* bias, int rows, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int r = 0; r < rows; r++)
        {
            for (int lane = 0; lane < width; lane++) y[r * width + lane] += bias[r];
        }
    }

    /// <summary>sums[row] = sum over lanes of g[row][lane].</summary>
    public static void RowSums<T>(T* g, int rows, int width, T* sums)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int r = 0; r < rows; r++)
        {
            T sum = T.Zero;
            for (int lane = 0; lane < width; lane++) sum += g[r * width + lane];
            sums[r] = sum;
        }
    }

    /// <summary>y[column][row] = x[row][column].</summary>
    public static void Transpose<T>(T* x, int rows, int columns, long ldx, T* y, long ldy)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < columns; c++) y[c * ldy + r] = x[r * ldx + c];
        }
    }

    /// <summary>y[row][0 .. count) = x[row][0 .. count).</summary>
    public static void CopyRows<T>(T* x, long ldx, T* y, long ldy, int rows, int count)
        where T : unmanaged
    {
        for (int r = 0; r < rows; r++) new Span<T>(x + (r * ldx), count).CopyTo(new Span<T>(y + (r * ldy), count));
    }
}
