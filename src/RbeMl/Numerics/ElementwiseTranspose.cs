using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Numerics;

/// <summary>Transposition of floats by 8 x 8 blocks in registers.</summary>
internal static unsafe class ElementwiseTranspose
{
    /// <summary>y[column][row] = x[row][column]; touches nothing outside the two matrices.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Transpose(float* x, int rows, int columns, long ldx, float* y, long ldy)
    {
        int wholeRows = Avx.IsSupported ? rows & ~7 : 0, wholeColumns = Avx.IsSupported ? columns & ~7 : 0;

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
        // Rows 0..3 of x with rows 4..7 in the upper halves, then a 4 x 4 transposition in both halves at once.
        float* z = x + 4 * ldx;
        Vector256<float> a = Vector256.Create(Vector128.Load(x), Vector128.Load(z));
        Vector256<float> b = Vector256.Create(Vector128.Load(x + ldx), Vector128.Load(z + ldx));
        Vector256<float> c = Vector256.Create(Vector128.Load(x + 2 * ldx), Vector128.Load(z + 2 * ldx));
        Vector256<float> d = Vector256.Create(Vector128.Load(x + 3 * ldx), Vector128.Load(z + 3 * ldx));
        Four(a, b, c, d, y, ldy);
        a = Vector256.Create(Vector128.Load(x + 4), Vector128.Load(z + 4));
        b = Vector256.Create(Vector128.Load(x + ldx + 4), Vector128.Load(z + ldx + 4));
        c = Vector256.Create(Vector128.Load(x + 2 * ldx + 4), Vector128.Load(z + 2 * ldx + 4));
        d = Vector256.Create(Vector128.Load(x + 3 * ldx + 4), Vector128.Load(z + 3 * ldx + 4));
        Four(a, b, c, d, y + 4 * ldy, ldy);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Four(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d, float* y, long ldy)
    {
        Vector256<float> ab = Avx.UnpackLow(a, b), cd = Avx.UnpackLow(c, d);
        Avx.Shuffle(ab, cd, 0x44).Store(y);
        Avx.Shuffle(ab, cd, 0xEE).Store(y + ldy);
        ab = Avx.UnpackHigh(a, b);
        cd = Avx.UnpackHigh(c, d);
        Avx.Shuffle(ab, cd, 0x44).Store(y + 2 * ldy);
        Avx.Shuffle(ab, cd, 0xEE).Store(y + 3 * ldy);
    }
}
