using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Numerics;

/// <content>Eight rows at a time on AVX.</content>
internal static unsafe partial class ElementwiseTranspose
{
    private static bool HasEight
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Avx.IsSupported;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Eight(float* x, long ldx, float* y, long ldy)
    {
        // Rows 0..3 of x with rows 4..7 in the upper halves, then a 4 x 4 transposition in both halves at once.
        float* z = x + 4 * ldx;
        Vector256<float> a = Vector256.Create(Vector128.Load(x), Vector128.Load(z));
        Vector256<float> b = Vector256.Create(Vector128.Load(x + ldx), Vector128.Load(z + ldx));
        Vector256<float> c = Vector256.Create(Vector128.Load(x + 2 * ldx), Vector128.Load(z + 2 * ldx));
        Vector256<float> d = Vector256.Create(Vector128.Load(x + 3 * ldx), Vector128.Load(z + 3 * ldx));
        Quarters(a, b, c, d, y, ldy);
        a = Vector256.Create(Vector128.Load(x + 4), Vector128.Load(z + 4));
        b = Vector256.Create(Vector128.Load(x + ldx + 4), Vector128.Load(z + ldx + 4));
        c = Vector256.Create(Vector128.Load(x + 2 * ldx + 4), Vector128.Load(z + 2 * ldx + 4));
        d = Vector256.Create(Vector128.Load(x + 3 * ldx + 4), Vector128.Load(z + 3 * ldx + 4));
        Quarters(a, b, c, d, y + 4 * ldy, ldy);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quarters(Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d, float* y, long ldy)
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
