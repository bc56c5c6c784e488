using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <summary>
/// A segment of x, 64 features or 32 with tiles of 32, as integers of 16 bits with one scale, in the order in which
/// <see cref="QuantizedPairProducts"/> meets codes: four vectors of sixteen, and what each lane starts from.
/// </summary>
[StructLayout(LayoutKind.Sequential, Size = 160)]
internal unsafe struct PairVector
{
    /// <summary>Largest integer.</summary>
    public const int Largest = 32767;

    // Below it the reciprocal of a scale overflows; such values become 0.
    private const float Least = 1e-30f;
    private fixed short _parts[64];
    private fixed int _start[8];

    /// <summary>Of codes that are used as they are, without a table: minus the sum of what their middle adds in a lane.</summary>
    public Vector256<int> Start
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector256.LoadUnsafe(ref _start[0]);
    }

    /// <summary>Sixteen integers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector256<short> Part(int part) => Vector256.LoadUnsafe(ref _parts[16 * part]);

    /// <summary>Rounds x, <c>[64]</c> or <c>[32]</c>, and returns the scale: what is not finite makes it so.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public float Set(float* x, int segment, int bits)
    {
        // As integers the bits of absolute values have the values' order, and NaN is above all.
        Vector256<int> most = Vector256<int>.Zero;
        for (int i = 0; i < segment; i += 8) most = Vector256.Max(most, Vector256.Load((int*)x + i) & Vector256.Create(int.MaxValue));
        Vector128<int> four = Vector128.Max(most.GetLower(), most.GetUpper());
        four = Vector128.Max(four, Sse2.Shuffle(four, 0b_01_00_11_10));
        float largest = Vector128.Max(four, Sse2.Shuffle(four, 0b_10_11_00_01)).AsSingle().ToScalar();
        bool small = largest < Least;
        Vector256<float> inverse = Vector256.Create(small ? 0 : Largest / largest);
        int second = segment == 32 ? 0 : 32;
        Vector256<short> c0 = Eight(x, second, inverse), c1 = Eight(x + 8, second, inverse), c2 = Eight(x + 16, second, inverse),
            c3 = Eight(x + 24, second, inverse);
        if (bits % 2 == 0)
        {
            (c0, c1) = Apart(c0, c1);
            (c2, c3) = Apart(c2, c3);
        }

        c0.StoreUnsafe(ref _parts[0]);
        c1.StoreUnsafe(ref _parts[16]);
        c2.StoreUnsafe(ref _parts[32]);
        c3.StoreUnsafe(ref _parts[48]);
        Vector256<short> middle = Vector256.Create((short)(QuantizerLevels.IsUniform(bits) ? -(1 << (bits - 1)) : 0));
        ((Avx2.MultiplyAddAdjacent(c0, middle) + Avx2.MultiplyAddAdjacent(c1, middle))
            + (Avx2.MultiplyAddAdjacent(c2, middle) + Avx2.MultiplyAddAdjacent(c3, middle))).StoreUnsafe(ref _start[0]);
        return small ? 0 : largest / Largest;
    }

    // Eight integers in the low half, and the eight that lie so far from them in the high half.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Eight(float* x, int second, Vector256<float> inverse)
    {
        Vector256<int> low = Avx.ConvertToVector256Int32(Vector256.Load(x) * inverse), high = Avx.ConvertToVector256Int32(Vector256.Load(x + second) * inverse);
        return Avx2.Permute4x64(Avx2.PackSignedSaturate(low, high).AsInt64(), 0b_11_01_10_00).AsInt16();
    }

    // Those in even places of sixteen in each half, and those in odd places.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector256<short> Even, Vector256<short> Odd) Apart(Vector256<short> a, Vector256<short> b)
    {
        Vector256<int> first = a.AsInt32(), then = b.AsInt32(), low = Vector256.Create(0xFFFF);
        return (Avx2.PackUnsignedSaturate(first & low, then & low).AsInt16(), Avx2.PackUnsignedSaturate(first >>> 16, then >>> 16).AsInt16());
    }
}
