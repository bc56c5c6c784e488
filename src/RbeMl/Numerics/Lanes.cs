using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Numerics;

/// <summary>
/// A group of float lanes. Fast kernels are written once, generic over this, and run on 512-bit, 256-bit and scalar lanes;
/// the JIT makes separate code for each, as tight as intrinsics written out.
/// </summary>
/// <typeparam name="TSelf">The implementing type.</typeparam>
internal unsafe partial interface ILanes<TSelf>
    where TSelf : unmanaged, ILanes<TSelf>
{
    /// <summary>Lanes of a group: 16, 8 or 1.</summary>
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
}

/// <summary>Sixteen lanes.</summary>
internal readonly unsafe partial struct Lanes512 : ILanes<Lanes512>
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
    public static Lanes512 SelectLess(Lanes512 x, Lanes512 y, Lanes512 a, Lanes512 b) => new(Vector512.ConditionalSelect(Vector512.LessThan(x.V, y.V), a.V, b.V));

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
}

/// <summary>Eight lanes.</summary>
internal readonly unsafe partial struct Lanes256 : ILanes<Lanes256>
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
    public static Lanes256 SelectLess(Lanes256 x, Lanes256 y, Lanes256 a, Lanes256 b) => new(Vector256.ConditionalSelect(Vector256.LessThan(x.V, y.V), a.V, b.V));

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
}

/// <summary>One lane: the path of machines without vectors.</summary>
internal readonly unsafe partial struct LanesScalar : ILanes<LanesScalar>
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
}
