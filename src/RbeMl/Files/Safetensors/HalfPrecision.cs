using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace RbeMl.Files;

/// <summary>
/// Conversion between float and the two 16-bit formats: exact to float, round-to-nearest-even from float. Whole vectors by bit arithmetic, the
/// rest one by one; both give the same bits on every vector width.
/// </summary>
internal static class HalfPrecision
{
    private const uint Magnitude = 0x7FFFFFFF, Infinity = 0x7F800000, QuietBit = 0x400000;
    private const uint HalfBias = 112u << 23; // 127 - 15
    private const uint HalfOverflow = 0x477FF000; // 65520, which rounds to infinity
    private const uint BrainOverflow = 0x7F7F8000;
    private const uint LeastNormalHalf = 0x38800000; // 2^-14
    private const uint OneHalf = 0x3F000000; // the spacing of floats at 0.5 is that of subnormal halves, 2^-24

    /// <summary>Stored elements to floats.</summary>
    public static void Widen(SafetensorsElement element, ReadOnlySpan<byte> stored, Span<float> values)
    {
        if (element == SafetensorsElement.F32) stored.CopyTo(MemoryMarshal.AsBytes(values));
        else if (element == SafetensorsElement.F16) FromHalf(MemoryMarshal.Cast<byte, ushort>(stored), values);
        else FromBrain(MemoryMarshal.Cast<byte, ushort>(stored), values);
    }

    /// <summary>Floats to stored elements.</summary>
    /// <returns>The index of the first finite value that would become infinite, or -1.</returns>
    public static int Narrow(SafetensorsElement element, ReadOnlySpan<float> values, Span<byte> stored)
    {
        if (element == SafetensorsElement.F16) ToHalf(values, MemoryMarshal.Cast<byte, ushort>(stored));
        else if (element == SafetensorsElement.BF16) ToBrain(values, MemoryMarshal.Cast<byte, ushort>(stored));
        else MemoryMarshal.AsBytes(values).CopyTo(stored);
        return element == SafetensorsElement.F32 ? -1 : IndexOfOverflow(values, element == SafetensorsElement.F16 ? HalfOverflow : BrainOverflow);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void FromBrain(ReadOnlySpan<ushort> stored, Span<float> values)
    {
        Span<uint> bits = MemoryMarshal.Cast<float, uint>(values)[..stored.Length];
        int i = 0, width = Vector<uint>.Count;
        for (; i <= stored.Length - 2 * width; i += 2 * width)
        {
            Vector.Widen(new Vector<ushort>(stored[i..]), out Vector<uint> low, out Vector<uint> high);
            (low << 16).CopyTo(bits[i..]);
            (high << 16).CopyTo(bits[(i + width)..]);
        }

        for (; i < stored.Length; i++) bits[i] = (uint)stored[i] << 16;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void FromHalf(ReadOnlySpan<ushort> stored, Span<float> values)
    {
        Span<uint> bits = MemoryMarshal.Cast<float, uint>(values)[..stored.Length];
        int i = 0, width = Vector<uint>.Count;
        for (; i <= stored.Length - 2 * width; i += 2 * width)
        {
            Vector.Widen(new Vector<ushort>(stored[i..]), out Vector<uint> low, out Vector<uint> high);
            FromHalf(low).CopyTo(bits[i..]);
            FromHalf(high).CopyTo(bits[(i + width)..]);
        }

        for (; i < stored.Length; i++) bits[i] = FromHalf(new Vector<uint>(stored[i]))[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void ToBrain(ReadOnlySpan<float> values, Span<ushort> stored)
    {
        ReadOnlySpan<uint> bits = MemoryMarshal.Cast<float, uint>(values);
        int i = 0, width = Vector<uint>.Count;
        for (; i <= bits.Length - 2 * width; i += 2 * width)
        {
            Vector.Narrow(ToBrain(new Vector<uint>(bits[i..])), ToBrain(new Vector<uint>(bits[(i + width)..]))).CopyTo(stored[i..]);
        }

        for (; i < bits.Length; i++) stored[i] = (ushort)ToBrain(new Vector<uint>(bits[i]))[0];
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void ToHalf(ReadOnlySpan<float> values, Span<ushort> stored)
    {
        ReadOnlySpan<uint> bits = MemoryMarshal.Cast<float, uint>(values);
        int i = 0, width = Vector<uint>.Count;
        for (; i <= bits.Length - 2 * width; i += 2 * width)
        {
            Vector.Narrow(ToHalf(new Vector<uint>(bits[i..])), ToHalf(new Vector<uint>(bits[(i + width)..]))).CopyTo(stored[i..]);
        }

        for (; i < bits.Length; i++) stored[i] = (ushort)ToHalf(new Vector<uint>(bits[i]))[0];
    }

    // A half's exponent and fraction at a float's places are 2^-112 of its value, also when it is subnormal; infinity and NaN get a float's exponent.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<uint> FromHalf(Vector<uint> half)
    {
        Vector<uint> magnitude = (half & new Vector<uint>(0x7FFF)) << 13;
        Vector<uint> value = Vector.AsVectorUInt32(Vector.AsVectorSingle(magnitude) * new Vector<float>(BitConverter.UInt32BitsToSingle((127u + 112) << 23)));
        Vector<uint> special = Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(31u << 23));
        value = Vector.ConditionalSelect(special, magnitude | new Vector<uint>(Infinity), value);
        return value | ((half & new Vector<uint>(0x8000)) << 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<uint> ToBrain(Vector<uint> bits)
    {
        Vector<uint> odd = (bits >>> 16) & Vector<uint>.One;
        Vector<uint> rounded = bits + new Vector<uint>(0x7FFF) + odd;
        Vector<uint> nan = Vector.GreaterThan(bits & new Vector<uint>(Magnitude), new Vector<uint>(Infinity));
        return Vector.ConditionalSelect(nan, bits | new Vector<uint>(QuietBit), rounded) >>> 16;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector<uint> ToHalf(Vector<uint> bits)
    {
        Vector<uint> magnitude = bits & new Vector<uint>(Magnitude);
        Vector<uint> normal = (magnitude + new Vector<uint>(0xFFF) + ((magnitude >>> 13) & Vector<uint>.One) - new Vector<uint>(HalfBias)) >>> 13;
        Vector<uint> small = Vector.AsVectorUInt32(Vector.AsVectorSingle(magnitude) + new Vector<float>(0.5f)) - new Vector<uint>(OneHalf);
        Vector<uint> half = Vector.ConditionalSelect(Vector.LessThan(magnitude, new Vector<uint>(LeastNormalHalf)), small, normal);
        half = Vector.ConditionalSelect(Vector.GreaterThanOrEqual(magnitude, new Vector<uint>(HalfOverflow)), new Vector<uint>(0x7C00), half);
        Vector<uint> nan = new Vector<uint>(0x7E00) | ((magnitude >>> 13) & new Vector<uint>(0x3FF));
        half = Vector.ConditionalSelect(Vector.GreaterThan(magnitude, new Vector<uint>(Infinity)), nan, half);
        return half | ((bits >>> 16) & new Vector<uint>(0x8000));
    }

    private static int IndexOfOverflow(ReadOnlySpan<float> values, uint limit)
    {
        ReadOnlySpan<uint> bits = MemoryMarshal.Cast<float, uint>(values);
        for (int i = 0; i < bits.Length; i++)
        {
            if ((bits[i] & Magnitude) - limit < Infinity - limit) return i;
        }

        return -1;
    }
}
