using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Kernels;

/// <summary>Integer products of four unsigned weights with four signed codes each of eight tokens. All ways are exact, so they give the same bits.</summary>
internal interface IDotLanes
{
    /// <summary>sum + the products of the bytes of <paramref name="weights"/> with those of each 32-bit lane of <paramref name="codes"/>.</summary>
    static abstract Vector256<int> Dot(Vector256<int> sum, uint weights, Vector256<sbyte> codes);
}

/// <summary>One instruction of AVX-VNNI.</summary>
internal readonly struct DotVnni : IDotLanes
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, uint weights, Vector256<sbyte> codes) => AvxVnni.MultiplyWideningAndAdd(sum, Vector256.Create(weights).AsByte(), codes);
}

/// <summary>AVX2, even and odd bytes apart as 16-bit numbers: the instruction that multiplies bytes adds pairs of them in 16 bits, which these would overflow.</summary>
internal readonly struct DotAvx2 : IDotLanes
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, uint weights, Vector256<sbyte> codes)
    {
        Vector256<short> pairs = codes.AsInt16(), even = (pairs << 8) >> 8, odd = pairs >> 8;
        Vector256<short> evenWeights = Vector256.Create(weights & 0x00FF00FF).AsInt16(), oddWeights = Vector256.Create((weights >> 8) & 0x00FF00FF).AsInt16();
        return sum + (Avx2.MultiplyAddAdjacent(evenWeights, even) + Avx2.MultiplyAddAdjacent(oddWeights, odd));
    }
}

/// <summary>Any machine.</summary>
internal readonly struct DotPortable : IDotLanes
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, uint weights, Vector256<sbyte> codes)
    {
        Vector256<int> words = codes.AsInt32();
        for (int shift = 0; shift < 32; shift += 8) sum += ((words << (24 - shift)) >> 24) * (int)((weights >> shift) & 0xFF);
        return sum;
    }
}
