using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Numerics;

/// <summary>Four lanes: the portable vectors of .NET, which are NEON on ARM and SSE on x86 without AVX2.</summary>
internal readonly unsafe struct Lanes128 : ILanes<Lanes128>
{
    internal readonly Vector128<float> V;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Lanes128(Vector128<float> v) => V = v;

    public static int Count => Vector128<float>.Count;

    public static Lanes128 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector128<float>.Zero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Load(float* p) => new(Vector128.Load(p));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes128 a, float* p) => a.V.Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Set(float value) => new(Vector128.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Add(Lanes128 a, Lanes128 b) => new(a.V + b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Subtract(Lanes128 a, Lanes128 b) => new(a.V - b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Multiply(Lanes128 a, Lanes128 b) => new(a.V * b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Divide(Lanes128 a, Lanes128 b) => new(a.V / b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Fma(Lanes128 a, Lanes128 b, Lanes128 c) => new(Fused(a.V, b.V, c.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 FmaNegated(Lanes128 a, Lanes128 b, Lanes128 c) => new(Fused(-a.V, b.V, c.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    // NaN as on x86, everywhere
    public static Lanes128 Max(Lanes128 a, Lanes128 b) => new(Vector128.ConditionalSelect(Vector128.GreaterThan(a.V, b.V), a.V, b.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Min(Lanes128 a, Lanes128 b) => new(Vector128.ConditionalSelect(Vector128.LessThan(a.V, b.V), a.V, b.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Sqrt(Lanes128 a) => new(Vector128.Sqrt(a.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Round(Lanes128 a) => new(Vector128.Round(a.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 Scale(Lanes128 a, Lanes128 n) =>
        new(a.V * ((Vector128.ConvertToInt32Native(n.V) + Vector128.Create(127)) << 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 SelectLess(Lanes128 x, Lanes128 y, Lanes128 a, Lanes128 b) =>
        new(Vector128.ConditionalSelect(Vector128.LessThan(x.V, y.V), a.V, b.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Lanes128 a) => Vector128.Sum(a.V);

    public static Lanes128 SumRows(float* rows) =>
        new(Vector128.Create(Sum(Load(rows)), Sum(Load(rows + 4)), Sum(Load(rows + 8)), Sum(Load(rows + 12))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadSpread(float* p, int times) => Set(*p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadHalf(ushort* p)
    {
        Vector128<uint> bits = (Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)p).AsInt16()) << 13).AsUInt32();
        Vector128<float> n = ((bits & Vector128.Create(HalfBits.Shifted)) + Vector128.Create(HalfBits.Bias)).AsSingle();
        n += Vector128.MinNative(Vector128<float>.Zero, n - Vector128.Create(HalfBits.Smallest));
        return new((n.AsUInt32() | (bits & Vector128.Create(HalfBits.Sign))).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalf(Lanes128 a, ushort* p)
    {
        Vector128<uint> bits = a.V.AsUInt32(), size = bits & Vector128.Create(0x7FFFFFFFu), odd = (size >> 13) & Vector128<uint>.One;
        Vector128<uint> normal = (size + Vector128.Create(HalfBits.Rounding) + odd) >> 13;
        Vector128<uint> small = (size.AsSingle() + Vector128.Create(HalfBits.SubnormalShift)).AsUInt32() - Vector128.Create(HalfBits.SubnormalBits);
        Vector128<uint> half =
            Vector128.ConditionalSelect(Vector128.LessThan(size, Vector128.Create(HalfBits.SmallestNormal)), small, normal) | ((bits ^ size) >> 16);
        *(ulong*)p = Vector128.Narrow(half, half).AsUInt64().ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadByte(sbyte* p) =>
        new(Vector128.ConvertToSingle(Vector128.WidenLower(Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(uint*)p).AsSByte()))));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreByte(Lanes128 a, sbyte* p)
    {
        Vector128<int> n = Vector128.ConvertToInt32Native(a.V);
        Vector128<short> shorts = Vector128.Narrow(n, n);
        *(uint*)p = Vector128.Narrow(shorts, shorts).AsUInt32().ToScalar();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes128 LoadBFloat16(ushort* p) => new((Vector128.WidenLower(Vector128.CreateScalarUnsafe(*(ulong*)p).AsUInt16()) << 16).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Fused(Vector128<float> a, Vector128<float> b, Vector128<float> c) =>
        Wide.Fuses ? Vector128.FusedMultiplyAdd(a, b, c) : FusedInDouble(a, b, c);

    /// <summary>
    /// a * b + c, rounded once, without an instruction for it: in double the product is exact, and a sum rounded to odd can be rounded
    /// again (Boldo and Melquiond 2008).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static Vector128<float> FusedInDouble(Vector128<float> a, Vector128<float> b, Vector128<float> c)
    {
        (Vector128<double> a0, Vector128<double> a1) = Vector128.Widen(a);
        (Vector128<double> b0, Vector128<double> b1) = Vector128.Widen(b);
        (Vector128<double> c0, Vector128<double> c1) = Vector128.Widen(c);
        return Vector128.Narrow(SumToOdd(a0 * b0, c0), SumToOdd(a1 * b1, c1));
    }

    // Where the rounded sum has an error and its last bit is even, its neighbour towards the exact sum is odd.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<double> SumToOdd(Vector128<double> p, Vector128<double> c)
    {
        Vector128<double> sum = p + c, ofC = sum - p, error = (p - (sum - ofC)) + (c - ofC), zero = Vector128<double>.Zero;
        Vector128<long> bits = sum.AsInt64(), one = Vector128<long>.One,
            inexact = (Vector128.LessThan(error, zero) | Vector128.GreaterThan(error, zero)).AsInt64();
        return (bits + ((((bits ^ error.AsInt64()) >> 63) | one) & inexact & ((bits & one) - one))).AsDouble();
    }
}
