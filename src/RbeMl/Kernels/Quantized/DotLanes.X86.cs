using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Kernels;

/// <summary>One instruction of AVX-VNNI.</summary>
internal readonly struct DotVnni : IDotLanes
{
    /// <summary>Whether this machine has it.</summary>
    public static bool IsSupported => AvxVnni.IsSupported;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> codes) =>
        AvxVnni.MultiplyWideningAndAdd(sum, weights, codes);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Vector256<byte> Four(byte* levels) => DotAvx2.Four(levels);
}

/// <summary>
/// AVX2, even and odd bytes apart as 16-bit numbers: the instruction that multiplies bytes adds pairs of them in 16 bits, which these would
/// overflow.
/// </summary>
internal readonly struct DotAvx2 : IDotLanes
{
    /// <summary>Whether this machine has it.</summary>
    public static bool IsSupported => Avx2.IsSupported;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Dot(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> codes)
    {
        Vector256<short> pairs = codes.AsInt16(), even = (pairs << 8) >> 8, odd = pairs >> 8;
        Vector256<short> evenWeights = weights.AsInt16() & Vector256.Create((short)0xFF), oddWeights = weights.AsInt16() >>> 8;
        return sum + (Avx2.MultiplyAddAdjacent(evenWeights, even) + Avx2.MultiplyAddAdjacent(oddWeights, odd));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    // from memory: a broadcast from a register would take the time of a product
    public static unsafe Vector256<byte> Four(byte* levels) => Avx2.BroadcastScalarToVector256((uint*)levels).AsByte();
}
