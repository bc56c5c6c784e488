using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Kernels;

/// <summary>Integer products of four unsigned weights with four signed codes each of eight tokens. All ways are exact, so they give the same bits.</summary>
internal interface IDotLanes
{
    /// <summary>sum + in each 32-bit lane the four products of the bytes of <paramref name="weights"/> and <paramref name="codes"/>.</summary>
    static abstract Vector256<int> Dot(Vector256<int> sum, Vector256<byte> weights, Vector256<sbyte> codes);

    /// <summary>Four levels in every lane.</summary>
    static abstract unsafe Vector256<byte> Four(byte* levels);
}

/// <summary>A way to multiply the levels of a segment with the codes of it. All ways are exact, so they give the same bits.</summary>
internal unsafe interface IInt8Segments
{
    /// <summary>
    /// y <c>[tile][width]</c> += the products of a segment of the features: levels are <c>[tile][tile]</c>, of which the segment's come
    /// first, scales lie <paramref name="scaleStride"/> apart, <paramref name="s"/> is the segment of x.
    /// </summary>
    static abstract void Multiply(int tile, int segment, byte* levels, float* scales, int scaleStride, Int8Activations x, int s, float* y, int width,
        int lanes, bool narrow);
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static unsafe Vector256<byte> Four(byte* levels) => Vector256.Create(*(uint*)levels).AsByte();
}
