using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// The unscaled 16-point DCT-II of sixteen consecutive vectors, in registers, and its transpose. The literals are c(i) of
/// <see cref="BlockTransformDct"/>.
/// </summary>
internal static unsafe class BlockTransformDct16
{
    internal const int Points = 16;

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    internal static void Forward<TLanes>(float* x)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint s = TLanes.Count;
        TLanes x0 = TLanes.Load(x), x1 = TLanes.Load(x + 1 * s), x2 = TLanes.Load(x + 2 * s), x3 = TLanes.Load(x + 3 * s);
        TLanes x4 = TLanes.Load(x + 4 * s), x5 = TLanes.Load(x + 5 * s), x6 = TLanes.Load(x + 6 * s), x7 = TLanes.Load(x + 7 * s);
        TLanes x8 = TLanes.Load(x + 8 * s), x9 = TLanes.Load(x + 9 * s), x10 = TLanes.Load(x + 10 * s), x11 = TLanes.Load(x + 11 * s);
        TLanes x12 = TLanes.Load(x + 12 * s), x13 = TLanes.Load(x + 13 * s), x14 = TLanes.Load(x + 14 * s), x15 = TLanes.Load(x + 15 * s);
        Split(ref x0, ref x15, 0.502419286f);
        Split(ref x1, ref x14, 0.522498615f);
        Split(ref x2, ref x13, 0.566944035f);
        Split(ref x3, ref x12, 0.646821783f);
        Split(ref x4, ref x11, 0.788154623f);
        Split(ref x5, ref x10, 1.06067769f);
        Split(ref x6, ref x9, 1.7224471f);
        Split(ref x7, ref x8, 5.10114862f);
        Forward8(ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
        Forward8(ref x15, ref x14, ref x13, ref x12, ref x11, ref x10, ref x9, ref x8);
        TLanes.Store(x0, x);
        TLanes.Store(x1, x + 2 * s);
        TLanes.Store(x2, x + 4 * s);
        TLanes.Store(x3, x + 6 * s);
        TLanes.Store(x4, x + 8 * s);
        TLanes.Store(x5, x + 10 * s);
        TLanes.Store(x6, x + 12 * s);
        TLanes.Store(x7, x + 14 * s);
        TLanes.Store(TLanes.Add(x15, x14), x + 1 * s);
        TLanes.Store(TLanes.Add(x14, x13), x + 3 * s);
        TLanes.Store(TLanes.Add(x13, x12), x + 5 * s);
        TLanes.Store(TLanes.Add(x12, x11), x + 7 * s);
        TLanes.Store(TLanes.Add(x11, x10), x + 9 * s);
        TLanes.Store(TLanes.Add(x10, x9), x + 11 * s);
        TLanes.Store(TLanes.Add(x9, x8), x + 13 * s);
        TLanes.Store(x8, x + 15 * s);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    internal static void Inverse<TLanes>(float* x)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        nint s = TLanes.Count;
        TLanes x0 = TLanes.Load(x), x1 = TLanes.Load(x + 2 * s), x2 = TLanes.Load(x + 4 * s), x3 = TLanes.Load(x + 6 * s);
        TLanes x4 = TLanes.Load(x + 8 * s), x5 = TLanes.Load(x + 10 * s), x6 = TLanes.Load(x + 12 * s), x7 = TLanes.Load(x + 14 * s);
        TLanes x15 = TLanes.Load(x + 1 * s), x14 = TLanes.Load(x + 3 * s), x13 = TLanes.Load(x + 5 * s), x12 = TLanes.Load(x + 7 * s);
        TLanes x11 = TLanes.Load(x + 9 * s), x10 = TLanes.Load(x + 11 * s), x9 = TLanes.Load(x + 13 * s), x8 = TLanes.Load(x + 15 * s);
        x8 = TLanes.Add(x8, x9);
        x9 = TLanes.Add(x9, x10);
        x10 = TLanes.Add(x10, x11);
        x11 = TLanes.Add(x11, x12);
        x12 = TLanes.Add(x12, x13);
        x13 = TLanes.Add(x13, x14);
        x14 = TLanes.Add(x14, x15);
        Inverse8(ref x0, ref x1, ref x2, ref x3, ref x4, ref x5, ref x6, ref x7);
        Inverse8(ref x15, ref x14, ref x13, ref x12, ref x11, ref x10, ref x9, ref x8);
        Join(ref x0, ref x15, 0.502419286f);
        Join(ref x1, ref x14, 0.522498615f);
        Join(ref x2, ref x13, 0.566944035f);
        Join(ref x3, ref x12, 0.646821783f);
        Join(ref x4, ref x11, 0.788154623f);
        Join(ref x5, ref x10, 1.06067769f);
        Join(ref x6, ref x9, 1.7224471f);
        Join(ref x7, ref x8, 5.10114862f);
        TLanes.Store(x0, x);
        TLanes.Store(x1, x + 1 * s);
        TLanes.Store(x2, x + 2 * s);
        TLanes.Store(x3, x + 3 * s);
        TLanes.Store(x4, x + 4 * s);
        TLanes.Store(x5, x + 5 * s);
        TLanes.Store(x6, x + 6 * s);
        TLanes.Store(x7, x + 7 * s);
        TLanes.Store(x8, x + 8 * s);
        TLanes.Store(x9, x + 9 * s);
        TLanes.Store(x10, x + 10 * s);
        TLanes.Store(x11, x + 11 * s);
        TLanes.Store(x12, x + 12 * s);
        TLanes.Store(x13, x + 13 * s);
        TLanes.Store(x14, x + 14 * s);
        TLanes.Store(x15, x + 15 * s);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Forward8<TLanes>(
        ref TLanes x0, ref TLanes x1, ref TLanes x2, ref TLanes x3, ref TLanes x4, ref TLanes x5, ref TLanes x6, ref TLanes x7)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        Split(ref x0, ref x7, 0.509795579f);
        Split(ref x1, ref x6, 0.601344887f);
        Split(ref x2, ref x5, 0.899976223f);
        Split(ref x3, ref x4, 2.56291545f);
        Forward4(ref x0, ref x1, ref x2, ref x3);
        Forward4(ref x7, ref x6, ref x5, ref x4);
        (x1, x2, x3, x4, x5, x6, x7) = (TLanes.Add(x7, x6), x1, TLanes.Add(x6, x5), x2, TLanes.Add(x5, x4), x3, x4);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Forward4<TLanes>(ref TLanes x0, ref TLanes x1, ref TLanes x2, ref TLanes x3)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        Split(ref x0, ref x3, 0.5411961f);
        Split(ref x1, ref x2, 1.30656296f);
        Split(ref x0, ref x1, 0.707106781f);
        Split(ref x3, ref x2, 0.707106781f);
        (x1, x2, x3) = (TLanes.Add(x3, x2), x1, x2);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Inverse8<TLanes>(
        ref TLanes x0, ref TLanes x1, ref TLanes x2, ref TLanes x3, ref TLanes x4, ref TLanes x5, ref TLanes x6, ref TLanes x7)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        (x1, x2, x3, x4, x5, x6, x7) = (x2, x4, x6, TLanes.Add(x7, x5), TLanes.Add(x5, x3), TLanes.Add(x3, x1), x1);
        Inverse4(ref x0, ref x1, ref x2, ref x3);
        Inverse4(ref x7, ref x6, ref x5, ref x4);
        Join(ref x0, ref x7, 0.509795579f);
        Join(ref x1, ref x6, 0.601344887f);
        Join(ref x2, ref x5, 0.899976223f);
        Join(ref x3, ref x4, 2.56291545f);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Inverse4<TLanes>(ref TLanes x0, ref TLanes x1, ref TLanes x2, ref TLanes x3)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        (x1, x2, x3) = (x2, TLanes.Add(x3, x1), x1);
        Join(ref x0, ref x1, 0.707106781f);
        Join(ref x3, ref x2, 0.707106781f);
        Join(ref x0, ref x3, 0.5411961f);
        Join(ref x1, ref x2, 1.30656296f);
    }

    // (a, b) = (a + b, (a - b) c)
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Split<TLanes>(ref TLanes a, ref TLanes b, float c)
        where TLanes : unmanaged, ILanes<TLanes> => (a, b) = (TLanes.Add(a, b), TLanes.Multiply(TLanes.Subtract(a, b), TLanes.Set(c)));

    // (a, b) = (a + c b, a - c b)
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Join<TLanes>(ref TLanes a, ref TLanes b, float c)
        where TLanes : unmanaged, ILanes<TLanes> => (a, b) = (TLanes.Fma(b, TLanes.Set(c), a), TLanes.FmaNegated(b, TLanes.Set(c), a));
}
