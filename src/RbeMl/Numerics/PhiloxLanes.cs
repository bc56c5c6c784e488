using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Numerics;

/// <summary>
/// <see cref="Philox"/> for as many consecutive rows as there are lanes. Rows of even and odd lanes run apart, a 64-bit element each: a product is then
/// one instruction, and what is above 32 bits does not matter until the end.
/// </summary>
internal static unsafe class PhiloxLanes
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
            (f0, f1, f2, f3) = (Unsafe.BitCast<Lanes512, TLanes>(a), Unsafe.BitCast<Lanes512, TLanes>(b), Unsafe.BitCast<Lanes512, TLanes>(c), Unsafe.BitCast<Lanes512, TLanes>(d));
        }
        else if (typeof(TLanes) == typeof(Lanes256))
        {
            Factors256(stream, row, group, out Lanes256 a, out Lanes256 b, out Lanes256 c, out Lanes256 d);
            (f0, f1, f2, f3) = (Unsafe.BitCast<Lanes256, TLanes>(a), Unsafe.BitCast<Lanes256, TLanes>(b), Unsafe.BitCast<Lanes256, TLanes>(c), Unsafe.BitCast<Lanes256, TLanes>(d));
        }
        else
        {
            (uint x0, uint x1, uint x2, uint x3) = Philox.Rounds((uint)row, (uint)(row >> 32), group, stream.Step, stream.K0, stream.K1);
            f0 = TLanes.Set(x0 < stream.Threshold ? 0f : stream.Keep);
            f1 = TLanes.Set(x1 < stream.Threshold ? 0f : stream.Keep);
            f2 = TLanes.Set(x2 < stream.Threshold ? 0f : stream.Keep);
            f3 = TLanes.Set(x3 < stream.Threshold ? 0f : stream.Keep);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Factors512(in DropoutStream stream, ulong row, uint group, out Lanes512 f0, out Lanes512 f1, out Lanes512 f2, out Lanes512 f3)
    {
        Vector512<ulong> a0 = Vector512.Create(row) + Vector512<ulong>.Indices * 2, b0 = a0 + Vector512<ulong>.One;
        Vector512<ulong> a1 = a0 >> 32, b1 = b0 >> 32, a2 = Vector512.Create((ulong)group), b2 = a2, a3 = Vector512.Create((ulong)stream.Step), b3 = a3;
        Vector512<uint> m0 = Vector512.Create(Philox.M0), m1 = Vector512.Create(Philox.M1);
        uint k0 = stream.K0, k1 = stream.K1;
        for (int round = 0; round < 10; round++)
        {
            Vector512<ulong> key0 = Vector512.Create((ulong)k0), key1 = Vector512.Create((ulong)k1);
            Vector512<ulong> p = Avx512F.Multiply(a0.AsUInt32(), m0), q = Avx512F.Multiply(a2.AsUInt32(), m1);
            (a0, a1, a2, a3) = ((q >> 32) ^ a1 ^ key0, q, (p >> 32) ^ a3 ^ key1, p);
            p = Avx512F.Multiply(b0.AsUInt32(), m0);
            q = Avx512F.Multiply(b2.AsUInt32(), m1);
            (b0, b1, b2, b3) = ((q >> 32) ^ b1 ^ key0, q, (p >> 32) ^ b3 ^ key1, p);
            k0 += Philox.W0;
            k1 += Philox.W1;
        }

        f0 = Select512(stream, a0, b0);
        f1 = Select512(stream, a1, b1);
        f2 = Select512(stream, a2, b2);
        f3 = Select512(stream, a3, b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Lanes512 Select512(in DropoutStream stream, Vector512<ulong> even, Vector512<ulong> odd)
    {
        Vector512<uint> words = ((even & Vector512.Create(0xFFFFFFFFUL)) | (odd << 32)).AsUInt32();
        return new(Vector512.ConditionalSelect(Vector512.LessThan(words, Vector512.Create(stream.Threshold)).AsSingle(), Vector512<float>.Zero, Vector512.Create(stream.Keep)));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Factors256(in DropoutStream stream, ulong row, uint group, out Lanes256 f0, out Lanes256 f1, out Lanes256 f2, out Lanes256 f3)
    {
        Vector256<ulong> a0 = Vector256.Create(row) + Vector256<ulong>.Indices * 2, b0 = a0 + Vector256<ulong>.One;
        Vector256<ulong> a1 = a0 >> 32, b1 = b0 >> 32, a2 = Vector256.Create((ulong)group), b2 = a2, a3 = Vector256.Create((ulong)stream.Step), b3 = a3;
        Vector256<uint> m0 = Vector256.Create(Philox.M0), m1 = Vector256.Create(Philox.M1);
        uint k0 = stream.K0, k1 = stream.K1;
        for (int round = 0; round < 10; round++)
        {
            Vector256<ulong> key0 = Vector256.Create((ulong)k0), key1 = Vector256.Create((ulong)k1);
            Vector256<ulong> p = Avx2.Multiply(a0.AsUInt32(), m0), q = Avx2.Multiply(a2.AsUInt32(), m1);
            (a0, a1, a2, a3) = ((q >> 32) ^ a1 ^ key0, q, (p >> 32) ^ a3 ^ key1, p);
            p = Avx2.Multiply(b0.AsUInt32(), m0);
            q = Avx2.Multiply(b2.AsUInt32(), m1);
            (b0, b1, b2, b3) = ((q >> 32) ^ b1 ^ key0, q, (p >> 32) ^ b3 ^ key1, p);
            k0 += Philox.W0;
            k1 += Philox.W1;
        }

        f0 = Select256(stream, a0, b0);
        f1 = Select256(stream, a1, b1);
        f2 = Select256(stream, a2, b2);
        f3 = Select256(stream, a3, b3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Lanes256 Select256(in DropoutStream stream, Vector256<ulong> even, Vector256<ulong> odd)
    {
        Vector256<uint> words = ((even & Vector256.Create(0xFFFFFFFFUL)) | (odd << 32)).AsUInt32();
        return new(Vector256.ConditionalSelect(Vector256.LessThan(words, Vector256.Create(stream.Threshold)).AsSingle(), Vector256<float>.Zero, Vector256.Create(stream.Keep)));
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
