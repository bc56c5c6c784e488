using System.Runtime.CompilerServices;

namespace RbeMl.Numerics;

/// <summary>
/// <see cref="Philox"/> for as many consecutive rows as there are lanes. Rows of even and odd lanes run apart, a 64-bit element each: a product is then
/// one instruction, and what is above 32 bits does not matter until the end.
/// </summary>
internal static unsafe partial class PhiloxLanes
{
    /// <summary>
    /// For columns 4 * group .. 4 * group + 3 and the rows of the lanes, <paramref name="row"/> and the following: 0 where the element's word is below
    /// the stream's threshold, else the factor of what is kept.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Factors<TLanes>(in DropoutStream stream, ulong row, uint group, out TLanes f0, out TLanes f1, out TLanes f2, out TLanes f3)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        if (typeof(TLanes) == typeof(Lanes512))
        {
            Factors512(stream, row, group, out Lanes512 a, out Lanes512 b, out Lanes512 c, out Lanes512 d);
            (f0, f1, f2, f3) =
                (Unsafe.BitCast<Lanes512, TLanes>(a), Unsafe.BitCast<Lanes512, TLanes>(b), Unsafe.BitCast<Lanes512, TLanes>(c),
                    Unsafe.BitCast<Lanes512, TLanes>(d));
        }
        else if (typeof(TLanes) == typeof(Lanes256))
        {
            Factors256(stream, row, group, out Lanes256 a, out Lanes256 b, out Lanes256 c, out Lanes256 d);
            (f0, f1, f2, f3) =
                (Unsafe.BitCast<Lanes256, TLanes>(a), Unsafe.BitCast<Lanes256, TLanes>(b), Unsafe.BitCast<Lanes256, TLanes>(c),
                    Unsafe.BitCast<Lanes256, TLanes>(d));
        }
        else Each(stream, row, group, out f0, out f1, out f2, out f3);
    }

    // A row after the other; not inlined, as the caller has a loop and this takes stack.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Each<TLanes>(in DropoutStream stream, ulong row, uint group, out TLanes f0, out TLanes f1, out TLanes f2, out TLanes f3)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        int lanes = TLanes.Count;
        float* factors = stackalloc float[4 * lanes];
        for (int lane = 0; lane < lanes; lane++, row++)
        {
            (uint x0, uint x1, uint x2, uint x3) = Philox.Rounds((uint)row, (uint)(row >> 32), group, stream.Step, stream.K0, stream.K1);
            factors[lane] = x0 < stream.Threshold ? 0f : stream.Keep;
            factors[lanes + lane] = x1 < stream.Threshold ? 0f : stream.Keep;
            factors[2 * lanes + lane] = x2 < stream.Threshold ? 0f : stream.Keep;
            factors[3 * lanes + lane] = x3 < stream.Threshold ? 0f : stream.Keep;
        }

        (f0, f1, f2, f3) = (TLanes.Load(factors), TLanes.Load(factors + lanes), TLanes.Load(factors + 2 * lanes), TLanes.Load(factors + 3 * lanes));
    }
}

/// <summary>A stream of random numbers used for dropout: the words of its key, the threshold below which an element is dropped, 1 / (1 - p).</summary>
internal readonly struct DropoutStream
{
    internal readonly uint K0, K1, Step, Threshold;
    internal readonly float Keep;

    internal DropoutStream(RandomKey key, float probability)
    {
        (K0, K1) = Philox.KeyOf(key);
        Step = key.Step;
        Threshold = Philox.Threshold(probability);
        Keep = 1f / (1f - probability);
    }
}
