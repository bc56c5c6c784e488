using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Numerics;

/// <content>On AVX-512 and AVX2.</content>
internal static unsafe partial class PhiloxLanes
{
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
        return new(Vector512.ConditionalSelect(Vector512.LessThan(words, Vector512.Create(stream.Threshold)).AsSingle(), Vector512<float>.Zero,
            Vector512.Create(stream.Keep)));
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
        return new(Vector256.ConditionalSelect(Vector256.LessThan(words, Vector256.Create(stream.Threshold)).AsSingle(), Vector256<float>.Zero,
            Vector256.Create(stream.Keep)));
    }
}
