using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Numerics;

/// <summary>Sixteen lanes: AVX-512.</summary>
internal readonly unsafe struct Lanes512 : ILanes<Lanes512>
{
    internal readonly Vector512<float> V;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Lanes512(Vector512<float> v) => V = v;

    public static int Count => Vector512<float>.Count;

    public static Lanes512 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector512<float>.Zero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Load(float* p) => new(Vector512.Load(p));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes512 a, float* p) => a.V.Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Set(float value) => new(Vector512.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Add(Lanes512 a, Lanes512 b) => new(a.V + b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Subtract(Lanes512 a, Lanes512 b) => new(a.V - b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Multiply(Lanes512 a, Lanes512 b) => new(a.V * b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Divide(Lanes512 a, Lanes512 b) => new(a.V / b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Fma(Lanes512 a, Lanes512 b, Lanes512 c) => new(Vector512.FusedMultiplyAdd(a.V, b.V, c.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 FmaNegated(Lanes512 a, Lanes512 b, Lanes512 c) => new(Vector512.FusedMultiplyAdd(-a.V, b.V, c.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Max(Lanes512 a, Lanes512 b) => new(Vector512.MaxNative(a.V, b.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Min(Lanes512 a, Lanes512 b) => new(Vector512.MinNative(a.V, b.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Sqrt(Lanes512 a) => new(Vector512.Sqrt(a.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Round(Lanes512 a) => new(Vector512.Round(a.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 Scale(Lanes512 a, Lanes512 n) =>
        new(a.V * ((Vector512.ConvertToInt32Native(n.V) + Vector512.Create(127)) << 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 SelectLess(Lanes512 x, Lanes512 y, Lanes512 a, Lanes512 b) =>
        new(Vector512.ConditionalSelect(Vector512.LessThan(x.V, y.V), a.V, b.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Lanes512 a) => Vector512.Sum(a.V);

    public static Lanes512 SumRows(float* rows)
    {
        Vector512<float> low = FoldQuarters(SumFour(rows), SumFour(rows + 64));
        Vector512<float> high = FoldQuarters(SumFour(rows + 128), SumFour(rows + 192));
        return new(FoldQuarters(low, high));
    }

    // Per quarter (128 bits): the sums of the quarters of four rows.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> SumFour(float* rows)
    {
        Vector512<double> ab = FoldPairs(Vector512.Load(rows), Vector512.Load(rows + 16)).AsDouble();
        Vector512<double> cd = FoldPairs(Vector512.Load(rows + 32), Vector512.Load(rows + 48)).AsDouble();
        return Avx512F.UnpackLow(ab, cd).AsSingle() + Avx512F.UnpackHigh(ab, cd).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> FoldPairs(Vector512<float> a, Vector512<float> b) => Avx512F.UnpackLow(a, b) + Avx512F.UnpackHigh(a, b);

    // Quarters (a0 + a1, a2 + a3, b0 + b1, b2 + b3).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> FoldQuarters(Vector512<float> a, Vector512<float> b) =>
        Avx512F.Shuffle4x128(a, b, 0b10_00_10_00) + Avx512F.Shuffle4x128(a, b, 0b11_01_11_01);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 LoadSpread(float* p, int times) => times switch
    {
        4 => new(Avx512F.PermuteVar4x32(Avx512F.BroadcastVector128ToVector512(p), Vector512.Create(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3))),
        8 => new(Avx512F.PermuteVar4x32(Avx512F.BroadcastVector128ToVector512(p), Vector512.Create(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1))),
        _ => Set(*p),
    };

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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes512 LoadBFloat16(ushort* p) => new((Avx512F.ConvertToVector512UInt32(Vector256.Load(p)) << 16).AsSingle());
}
