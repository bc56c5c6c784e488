using System.Runtime.CompilerServices;

namespace RbeMl.Numerics;

/// <summary>
/// A group of float lanes. Fast kernels are written once, generic over this, and run on lanes of 512, 256 and 128 bits, and on one for what is left over;
/// the JIT makes separate code for each, as tight as intrinsics written out.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
internal unsafe interface ILanes<TSelf>
    where TSelf : unmanaged, ILanes<TSelf>
{
    /// <summary>Lanes of a group: 16, 8, 4 or 1.</summary>
    static abstract int Count { get; }

    static abstract TSelf Zero { get; }

    static abstract TSelf Load(float* p);

    static abstract void Store(TSelf a, float* p);

    static abstract TSelf Set(float value);

    static abstract TSelf Add(TSelf a, TSelf b);

    static abstract TSelf Subtract(TSelf a, TSelf b);

    static abstract TSelf Multiply(TSelf a, TSelf b);

    static abstract TSelf Divide(TSelf a, TSelf b);

    /// <summary>a * b + c, rounded once.</summary>
    static abstract TSelf Fma(TSelf a, TSelf b, TSelf c);

    /// <summary>c - a * b, rounded once.</summary>
    static abstract TSelf FmaNegated(TSelf a, TSelf b, TSelf c);

    static abstract TSelf Max(TSelf a, TSelf b);

    static abstract TSelf Min(TSelf a, TSelf b);

    static abstract TSelf Sqrt(TSelf a);

    /// <summary>The nearest integers, ties to even.</summary>
    static abstract TSelf Round(TSelf a);

    /// <summary>a * 2^n for integers n in [-126, 127].</summary>
    static abstract TSelf Scale(TSelf a, TSelf n);

    /// <summary>a where x &lt; y, else b.</summary>
    static abstract TSelf SelectLess(TSelf x, TSelf y, TSelf a, TSelf b);

    /// <summary>Sum of the lanes, in a fixed order.</summary>
    static abstract float Sum(TSelf a);

    /// <summary>Lane k is the sum of row k of <see cref="Count"/> consecutive groups.</summary>
    static abstract TSelf SumRows(float* rows);

    /// <summary>Lane i is p[i / times]; times is 4, 8 or 16, and four elements are read.</summary>
    static abstract TSelf LoadSpread(float* p, int times);

    /// <summary>Widens finite halves.</summary>
    static abstract TSelf LoadHalf(ushort* p);

    /// <summary>Rounds to halves.</summary>
    static abstract void StoreHalf(TSelf a, ushort* p);

    /// <summary>Widens signed bytes.</summary>
    static abstract TSelf LoadByte(sbyte* p);

    /// <summary>Stores integers from -128 to 127 as bytes.</summary>
    static abstract void StoreByte(TSelf a, sbyte* p);

    /// <summary>Widens bfloat16.</summary>
    static abstract TSelf LoadBFloat16(ushort* p);
}

/// <summary>One lane: what is left over of whole groups.</summary>
internal readonly unsafe struct LanesScalar : ILanes<LanesScalar>
{
    internal readonly float V;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal LanesScalar(float v) => V = v;

    public static int Count => 1;

    public static LanesScalar Zero => default;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Load(float* p) => new(*p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(LanesScalar a, float* p) => *p = a.V;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Set(float value) => new(value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Add(LanesScalar a, LanesScalar b) => new(a.V + b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Subtract(LanesScalar a, LanesScalar b) => new(a.V - b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Multiply(LanesScalar a, LanesScalar b) => new(a.V * b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Divide(LanesScalar a, LanesScalar b) => new(a.V / b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Fma(LanesScalar a, LanesScalar b, LanesScalar c) => new(MathF.FusedMultiplyAdd(a.V, b.V, c.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar FmaNegated(LanesScalar a, LanesScalar b, LanesScalar c) => new(MathF.FusedMultiplyAdd(-a.V, b.V, c.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Max(LanesScalar a, LanesScalar b) => new(a.V > b.V ? a.V : b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Min(LanesScalar a, LanesScalar b) => new(a.V < b.V ? a.V : b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Sqrt(LanesScalar a) => new(MathF.Sqrt(a.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Round(LanesScalar a) => new(MathF.Round(a.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar Scale(LanesScalar a, LanesScalar n) => new(a.V * BitConverter.Int32BitsToSingle(((int)n.V + 127) << 23));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar SelectLess(LanesScalar x, LanesScalar y, LanesScalar a, LanesScalar b) => x.V < y.V ? a : b;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(LanesScalar a) => a.V;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar SumRows(float* rows) => new(*rows);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar LoadSpread(float* p, int times) => new(*p);

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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static LanesScalar LoadBFloat16(ushort* p) => new(BitConverter.UInt32BitsToSingle((uint)*p << 16));
}

/// <summary>
/// Bits of the two floating-point formats. A normal half is its 15 bits below the sign, shifted into a float's exponent and mantissa, with
/// 112 added to the exponent: n. Half of a subnormal one is n - 2^-15, so n + min(0, n - 2^-14) is right for both, exactly, and no step
/// meets a subnormal float, which processors are slow at. The way back rounds to the nearest, ties to even, as IEEE 754 does; its input is
/// at most 65504 after rounding.
/// </summary>
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

    /// <summary>
    /// Takes 112 from the exponent and adds just less than half a unit of the last place kept; the last bit kept, added too, makes ties
    /// even.
    /// </summary>
    internal const uint Rounding = unchecked(0u - (112u << 23)) + 0xFFF;

    /// <summary>A half below <see cref="SmallestNormal"/> is the mantissa of 0.5 + x, which the addition rounds.</summary>
    internal const float SubnormalShift = 0.5f;

    internal const uint SubnormalBits = 126u << 23;
}
