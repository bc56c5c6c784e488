using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Numerics;

/// <summary>Eight lanes: AVX2 and FMA.</summary>
internal readonly unsafe struct Lanes256 : ILanes<Lanes256>
{
    internal readonly Vector256<float> V;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal Lanes256(Vector256<float> v) => V = v;

    public static int Count => Vector256<float>.Count;

    public static Lanes256 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector256<float>.Zero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load(float* p) => new(Vector256.Load(p));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes256 a, float* p) => a.V.Store(p);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Set(float value) => new(Vector256.Create(value));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Add(Lanes256 a, Lanes256 b) => new(a.V + b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Subtract(Lanes256 a, Lanes256 b) => new(a.V - b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Multiply(Lanes256 a, Lanes256 b) => new(a.V * b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Divide(Lanes256 a, Lanes256 b) => new(a.V / b.V);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Fma(Lanes256 a, Lanes256 b, Lanes256 c) => new(Vector256.FusedMultiplyAdd(a.V, b.V, c.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 FmaNegated(Lanes256 a, Lanes256 b, Lanes256 c) => new(Vector256.FusedMultiplyAdd(-a.V, b.V, c.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Max(Lanes256 a, Lanes256 b) => new(Vector256.MaxNative(a.V, b.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Min(Lanes256 a, Lanes256 b) => new(Vector256.MinNative(a.V, b.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Sqrt(Lanes256 a) => new(Vector256.Sqrt(a.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Round(Lanes256 a) => new(Vector256.Round(a.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Scale(Lanes256 a, Lanes256 n) =>
        new(a.V * ((Vector256.ConvertToInt32Native(n.V) + Vector256.Create(127)) << 23).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 SelectLess(Lanes256 x, Lanes256 y, Lanes256 a, Lanes256 b) =>
        new(Vector256.ConditionalSelect(Vector256.LessThan(x.V, y.V), a.V, b.V));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Lanes256 a) => Vector256.Sum(a.V);

    public static Lanes256 SumRows(float* rows)
    {
        Vector256<float> low = SumFour(rows), high = SumFour(rows + 32);
        return new(Avx.Permute2x128(low, high, 0x20) + Avx.Permute2x128(low, high, 0x31));
    }

    // Per half (128 bits): the sums of the halves of four rows.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> SumFour(float* rows)
    {
        Vector256<double> ab = FoldPairs(Vector256.Load(rows), Vector256.Load(rows + 8)).AsDouble();
        Vector256<double> cd = FoldPairs(Vector256.Load(rows + 16), Vector256.Load(rows + 24)).AsDouble();
        return Avx.UnpackLow(ab, cd).AsSingle() + Avx.UnpackHigh(ab, cd).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> FoldPairs(Vector256<float> a, Vector256<float> b) => Avx.UnpackLow(a, b) + Avx.UnpackHigh(a, b);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadSpread(float* p, int times) =>
        times == 4 ? new(Avx.PermuteVar(Avx.BroadcastVector128ToVector256(p), Vector256.Create(0, 0, 0, 0, 1, 1, 1, 1))) : Set(*p);

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
        Vector256<uint> half =
            Vector256.ConditionalSelect(Vector256.LessThan(size, Vector256.Create(HalfBits.SmallestNormal)), small, normal) | ((bits ^ size) >> 16);
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadBFloat16(ushort* p) => new((Avx2.ConvertToVector256Int32(Vector128.Load(p)) << 16).AsSingle());
}
