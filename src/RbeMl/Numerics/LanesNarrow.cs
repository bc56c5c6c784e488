using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Numerics;

/// <content>
/// Narrow elements. A normal half is its 15 bits below the sign, shifted into a float's exponent and mantissa, with 112 added to the exponent: n. Half of a
/// subnormal one is n - 2^-15, so n + min(0, n - 2^-14) is right for both, exactly, and no step meets a subnormal float, which processors are slow at.
/// The way back rounds to the nearest, ties to even, as IEEE 754 does; its input is at most 65504 after rounding.
/// </content>
internal unsafe partial interface ILanes<TSelf>
{
    /// <summary>Widens finite halves.</summary>
    static abstract TSelf LoadHalf(ushort* p);

    /// <summary>Rounds to halves.</summary>
    static abstract void StoreHalf(TSelf a, ushort* p);

    /// <summary>Widens signed bytes.</summary>
    static abstract TSelf LoadByte(sbyte* p);

    /// <summary>Stores integers from -128 to 127 as bytes.</summary>
    static abstract void StoreByte(TSelf a, sbyte* p);
}

/// <summary>Bits of the two floating-point formats.</summary>
internal static class HalfBits
{
    /// <summary>Exponent and mantissa of a half after its shift.</summary>
    internal const uint Shifted = 0x0FFFE000;

    internal const uint Sign = 0x80000000;

    /// <summary>Difference of the exponents' biases, in place.</summary>
    internal const uint Bias = 112u << 23;

    /// <summary>2^-14.</summary>
    internal const float Smallest = 6.103515625e-05f;

    /// <summary>2^-14, the smallest normal half, as the bits of a float.</summary>
    internal const uint SmallestNormal = 113u << 23;

    /// <summary>Takes 112 from the exponent and adds just less than half a unit of the last place kept; the last bit kept, added too, makes ties even.</summary>
    internal const uint Rounding = unchecked(0u - (112u << 23)) + 0xFFF;

    /// <summary>A half below <see cref="SmallestNormal"/> is the mantissa of 0.5 + x, which the addition rounds.</summary>
    internal const float SubnormalShift = 0.5f;

    internal const uint SubnormalBits = 126u << 23;
}

internal readonly unsafe partial struct Lanes512
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 LoadHalf(ushort* p)
    {
        Vector512<uint> bits = (Avx512F.ConvertToVector512Int32(Vector256.Load((short*)p)) << 13).AsUInt32();
        Vector512<float> n = ((bits & Vector512.Create(HalfBits.Shifted)) + Vector512.Create(HalfBits.Bias)).AsSingle();
        n += Vector512.MinNative(Vector512<float>.Zero, n - Vector512.Create(HalfBits.Smallest));
        return new((n.AsUInt32() | (bits & Vector512.Create(HalfBits.Sign))).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalf(Lanes512 a, ushort* p)
    {
        Vector512<uint> bits = a.V.AsUInt32(), size = bits & Vector512.Create(0x7FFFFFFFu), odd = (size >> 13) & Vector512<uint>.One;
        Vector512<uint> normal = (size + Vector512.Create(HalfBits.Rounding) + odd) >> 13;
        Vector512<uint> small = (size.AsSingle() + Vector512.Create(HalfBits.SubnormalShift)).AsUInt32() - Vector512.Create(HalfBits.SubnormalBits);
        Vector512<uint> half = Vector512.ConditionalSelect(Vector512.LessThan(size, Vector512.Create(HalfBits.SmallestNormal)), small, normal);
        Avx512F.ConvertToVector256UInt16(half | ((bits ^ size) >> 16)).Store(p);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 LoadByte(sbyte* p) => new(Vector512.ConvertToSingle(Avx512F.ConvertToVector512Int32(Vector128.Load(p))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreByte(Lanes512 a, sbyte* p) => Avx512F.ConvertToVector128SByte(Vector512.ConvertToInt32Native(a.V)).Store(p);
}

internal readonly unsafe partial struct Lanes256
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadHalf(ushort* p)
    {
        Vector256<uint> bits = (Avx2.ConvertToVector256Int32(Vector128.Load((short*)p)) << 13).AsUInt32();
        Vector256<float> n = ((bits & Vector256.Create(HalfBits.Shifted)) + Vector256.Create(HalfBits.Bias)).AsSingle();
        n += Vector256.MinNative(Vector256<float>.Zero, n - Vector256.Create(HalfBits.Smallest));
        return new((n.AsUInt32() | (bits & Vector256.Create(HalfBits.Sign))).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalf(Lanes256 a, ushort* p)
    {
        Vector256<uint> bits = a.V.AsUInt32(), size = bits & Vector256.Create(0x7FFFFFFFu), odd = (size >> 13) & Vector256<uint>.One;
        Vector256<uint> normal = (size + Vector256.Create(HalfBits.Rounding) + odd) >> 13;
        Vector256<uint> small = (size.AsSingle() + Vector256.Create(HalfBits.SubnormalShift)).AsUInt32() - Vector256.Create(HalfBits.SubnormalBits);
        Vector256<uint> half = Vector256.ConditionalSelect(Vector256.LessThan(size, Vector256.Create(HalfBits.SmallestNormal)), small, normal) | ((bits ^ size) >> 16);
        Vector128.Narrow(half.GetLower(), half.GetUpper()).Store(p);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadByte(sbyte* p) => new(Vector256.ConvertToSingle(Avx2.ConvertToVector256Int32(p)));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreByte(Lanes256 a, sbyte* p)
    {
        Vector256<int> n = Vector256.ConvertToInt32Native(a.V);
        Vector128<short> shorts = Vector128.Narrow(n.GetLower(), n.GetUpper());
        Vector128.Narrow(shorts, shorts).GetLower().Store(p);
    }
}

internal readonly unsafe partial struct LanesScalar
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar LoadHalf(ushort* p)
    {
        uint bits = (uint)((short)*p << 13);
        float n = BitConverter.UInt32BitsToSingle((bits & HalfBits.Shifted) + HalfBits.Bias);
        n += MathF.Min(0f, n - HalfBits.Smallest);
        return new(BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits(n) | (bits & HalfBits.Sign)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalf(LanesScalar a, ushort* p)
    {
        uint bits = BitConverter.SingleToUInt32Bits(a.V), size = bits & 0x7FFFFFFF;
        uint normal = unchecked(size + HalfBits.Rounding + ((size >> 13) & 1)) >> 13;
        uint small = BitConverter.SingleToUInt32Bits(BitConverter.UInt32BitsToSingle(size) + HalfBits.SubnormalShift) - HalfBits.SubnormalBits;
        *p = (ushort)((size < HalfBits.SmallestNormal ? small : normal) | ((bits ^ size) >> 16));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar LoadByte(sbyte* p) => new(*p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreByte(LanesScalar a, sbyte* p) => *p = (sbyte)(int)a.V;
}
