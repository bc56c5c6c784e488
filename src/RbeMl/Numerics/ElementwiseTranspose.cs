using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Numerics;

/// <summary>Transposition of floats by 8 x 8 blocks in registers.</summary>
internal static unsafe partial class ElementwiseTranspose
{
    /// <summary>y[column][row] = x[row][column]; touches nothing outside the two matrices.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Transpose(float* x, int rows, int columns, long ldx, float* y, long ldy)
    {
        int wholeRows = rows & ~7, wholeColumns = columns & ~7;

        // Runs along the columns of y within 16 rows of x, so that whole cache lines of y are written.
        for (int r = 0; r < wholeRows; r += 16)
        {
            bool two = r + 16 <= wholeRows;
            for (int c = 0; c < wholeColumns; c += 8)
            {
                Block(x + r * ldx + c, ldx, y + c * ldy + r, ldy);
                if (two) Block(x + (r + 8) * ldx + c, ldx, y + c * ldy + r + 8, ldy);
            }
        }

        ReferenceElementwise.Transpose(x + wholeColumns, wholeRows, columns - wholeColumns, ldx, y + wholeColumns * ldy, ldy);
        ReferenceElementwise.Transpose(x + wholeRows * ldx, rows - wholeRows, columns, ldx, y + wholeRows, ldy);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Block(float* x, long ldx, float* y, long ldy)
    {
        if (HasEight)
        {
            Eight(x, ldx, y, ldy);
            return;
        }

        Four(x, ldx, y, ldy);
        Four(x + 4, ldx, y + 4 * ldy, ldy);
        Four(x + 4 * ldx, ldx, y + 4, ldy);
        Four(x + 4 * ldx + 4, ldx, y + 4 * ldy + 4, ldy);
    }

    // Two rows' pairs side by side, then the first and second elements of pairs together.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four(float* x, long ldx, float* y, long ldy)
    {
        Vector128<ulong> a = Vector128.Load((ulong*)x), b = Vector128.Load((ulong*)(x + ldx)), c = Vector128.Load((ulong*)(x + 2 * ldx)),
            d = Vector128.Load((ulong*)(x + 3 * ldx));
        Pairs(Vector128.Create(a.GetLower(), c.GetLower()), Vector128.Create(b.GetLower(), d.GetLower()), y, ldy);
        Pairs(Vector128.Create(a.GetUpper(), c.GetUpper()), Vector128.Create(b.GetUpper(), d.GetUpper()), y + 2 * ldy, ldy);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pairs(Vector128<ulong> even, Vector128<ulong> odd, float* y, long ldy)
    {
        ((even & Vector128.Create((ulong)uint.MaxValue)) | (odd << 32)).AsSingle().Store(y);
        ((even >>> 32) | (odd & Vector128.Create(~(ulong)uint.MaxValue))).AsSingle().Store(y + ldy);
    }
}
