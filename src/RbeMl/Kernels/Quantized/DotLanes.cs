using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Kernels;

/// <summary>Integer products of four unsigned weights with four signed codes each of eight tokens. All ways are exact, so they give the same bits.</summary>
internal interface IDotLanes
{
    /// <summary>sum + in each 32-bit lane the four products of the bytes of <paramref name="weights"/> and <paramref name="codes"/>.</summary>
    static abstract Vector256<int> Dot(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> codes);
}

/// <summary>One instruction of AVX-VNNI.</summary>
internal readonly struct DotVnni : IDotLanes
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> codes) => AvxVnni.MultiplyWideningAndAdd(sum, weights, codes);
}

/// <summary>AVX2, even and odd bytes apart as 16-bit numbers: the instruction that multiplies bytes adds pairs of them in 16 bits, which these would overflow.</summary>
internal readonly struct DotAvx2 : IDotLanes
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> codes)
    {
        Vector256<short> pairs = codes.AsInt16(), even = (pairs << 8) >> 8, odd = pairs >> 8;
        Vector256<short> evenWeights = weights.AsInt16() & Vector256.Create((short)0xFF), oddWeights = weights.AsInt16() >>> 8;
        return sum + (Avx2.MultiplyAddAdjacent(evenWeights, even) + Avx2.MultiplyAddAdjacent(oddWeights, odd));
    }
}

/// <summary>Any machine.</summary>
internal readonly struct DotPortable : IDotLanes
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> codes)
    {
        Vector256<int> words = codes.AsInt32(), low = Vector256.Create(0xFF);
        for (int shift = 0; shift < 32; shift += 8) sum += ((words << (24 - shift)) >> 24) * ((weights.AsInt32() >>> shift) & low);
        return sum;
    }
}
