using System.Runtime.CompilerServices;

namespace RbeMl.Numerics;

/// <summary>Four groups of lanes side by side: kernels generic over lanes handle a whole row of a panel at a time with it.</summary>
/// <typeparam name="TLanes">One of the four.</typeparam>
internal readonly unsafe struct QuadLanes<TLanes> : ILanes<QuadLanes<TLanes>>
    where TLanes : unmanaged, ILanes<TLanes>
{
    private readonly TLanes _a, _b, _c, _d;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private QuadLanes(TLanes a, TLanes b, TLanes c, TLanes d)
    {
        _a = a;
        _b = b;
        _c = c;
        _d = d;
    }

    public static int Count => 4 * TLanes.Count;

    public static QuadLanes<TLanes> Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(TLanes.Zero, TLanes.Zero, TLanes.Zero, TLanes.Zero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Load(float* p) =>
        new(TLanes.Load(p), TLanes.Load(p + TLanes.Count), TLanes.Load(p + 2 * TLanes.Count), TLanes.Load(p + 3 * TLanes.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(QuadLanes<TLanes> a, float* p)
    {
        TLanes.Store(a._a, p);
        TLanes.Store(a._b, p + TLanes.Count);
        TLanes.Store(a._c, p + 2 * TLanes.Count);
        TLanes.Store(a._d, p + 3 * TLanes.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Set(float value)
    {
        TLanes a = TLanes.Set(value);
        return new(a, a, a, a);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Add(QuadLanes<TLanes> a, QuadLanes<TLanes> b) =>
        new(TLanes.Add(a._a, b._a), TLanes.Add(a._b, b._b), TLanes.Add(a._c, b._c), TLanes.Add(a._d, b._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Subtract(QuadLanes<TLanes> a, QuadLanes<TLanes> b) =>
        new(TLanes.Subtract(a._a, b._a), TLanes.Subtract(a._b, b._b), TLanes.Subtract(a._c, b._c), TLanes.Subtract(a._d, b._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Multiply(QuadLanes<TLanes> a, QuadLanes<TLanes> b) =>
        new(TLanes.Multiply(a._a, b._a), TLanes.Multiply(a._b, b._b), TLanes.Multiply(a._c, b._c), TLanes.Multiply(a._d, b._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Divide(QuadLanes<TLanes> a, QuadLanes<TLanes> b) =>
        new(TLanes.Divide(a._a, b._a), TLanes.Divide(a._b, b._b), TLanes.Divide(a._c, b._c), TLanes.Divide(a._d, b._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Fma(QuadLanes<TLanes> a, QuadLanes<TLanes> b, QuadLanes<TLanes> c) =>
        new(TLanes.Fma(a._a, b._a, c._a), TLanes.Fma(a._b, b._b, c._b), TLanes.Fma(a._c, b._c, c._c), TLanes.Fma(a._d, b._d, c._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> FmaNegated(QuadLanes<TLanes> a, QuadLanes<TLanes> b, QuadLanes<TLanes> c) =>
        new(TLanes.FmaNegated(a._a, b._a, c._a), TLanes.FmaNegated(a._b, b._b, c._b), TLanes.FmaNegated(a._c, b._c, c._c), TLanes.FmaNegated(a._d, b._d, c._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Max(QuadLanes<TLanes> a, QuadLanes<TLanes> b) =>
        new(TLanes.Max(a._a, b._a), TLanes.Max(a._b, b._b), TLanes.Max(a._c, b._c), TLanes.Max(a._d, b._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Min(QuadLanes<TLanes> a, QuadLanes<TLanes> b) =>
        new(TLanes.Min(a._a, b._a), TLanes.Min(a._b, b._b), TLanes.Min(a._c, b._c), TLanes.Min(a._d, b._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Sqrt(QuadLanes<TLanes> a) =>
        new(TLanes.Sqrt(a._a), TLanes.Sqrt(a._b), TLanes.Sqrt(a._c), TLanes.Sqrt(a._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Round(QuadLanes<TLanes> a) =>
        new(TLanes.Round(a._a), TLanes.Round(a._b), TLanes.Round(a._c), TLanes.Round(a._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> Scale(QuadLanes<TLanes> a, QuadLanes<TLanes> n) =>
        new(TLanes.Scale(a._a, n._a), TLanes.Scale(a._b, n._b), TLanes.Scale(a._c, n._c), TLanes.Scale(a._d, n._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> SelectLess(QuadLanes<TLanes> x, QuadLanes<TLanes> y, QuadLanes<TLanes> a, QuadLanes<TLanes> b) =>
        new(TLanes.SelectLess(x._a, y._a, a._a, b._a), TLanes.SelectLess(x._b, y._b, a._b, b._b), TLanes.SelectLess(x._c, y._c, a._c, b._c),
            TLanes.SelectLess(x._d, y._d, a._d, b._d));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(QuadLanes<TLanes> a) => TLanes.Sum(TLanes.Add(TLanes.Add(a._a, a._b), TLanes.Add(a._c, a._d)));

    public static QuadLanes<TLanes> SumRows(float* rows)
    {
        float* sums = stackalloc float[Count];
        for (int row = 0; row < Count; row++) sums[row] = Sum(Load(rows + row * Count));
        return Load(sums);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> LoadSpread(float* p, int times) =>
        new(TLanes.LoadSpread(p, times), TLanes.LoadSpread(p + TLanes.Count / times, times),
            TLanes.LoadSpread(p + 2 * TLanes.Count / times, times), TLanes.LoadSpread(p + 3 * TLanes.Count / times, times));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> LoadHalf(ushort* p) =>
        new(TLanes.LoadHalf(p), TLanes.LoadHalf(p + TLanes.Count), TLanes.LoadHalf(p + 2 * TLanes.Count), TLanes.LoadHalf(p + 3 * TLanes.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreHalf(QuadLanes<TLanes> a, ushort* p)
    {
        TLanes.StoreHalf(a._a, p);
        TLanes.StoreHalf(a._b, p + TLanes.Count);
        TLanes.StoreHalf(a._c, p + 2 * TLanes.Count);
        TLanes.StoreHalf(a._d, p + 3 * TLanes.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> LoadByte(sbyte* p) =>
        new(TLanes.LoadByte(p), TLanes.LoadByte(p + TLanes.Count), TLanes.LoadByte(p + 2 * TLanes.Count), TLanes.LoadByte(p + 3 * TLanes.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreByte(QuadLanes<TLanes> a, sbyte* p)
    {
        TLanes.StoreByte(a._a, p);
        TLanes.StoreByte(a._b, p + TLanes.Count);
        TLanes.StoreByte(a._c, p + 2 * TLanes.Count);
        TLanes.StoreByte(a._d, p + 3 * TLanes.Count);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static QuadLanes<TLanes> LoadBFloat16(ushort* p) =>
        new(TLanes.LoadBFloat16(p), TLanes.LoadBFloat16(p + TLanes.Count), TLanes.LoadBFloat16(p + 2 * TLanes.Count),
            TLanes.LoadBFloat16(p + 3 * TLanes.Count));
}
