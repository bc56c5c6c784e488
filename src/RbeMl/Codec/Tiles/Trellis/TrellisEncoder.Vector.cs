using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <content>
/// A sample on 16 or 8 lanes. A lane is a group u; the members s = u + j * groups of consecutive groups are consecutive, so table values are plain loads.
/// Lanes share the cost of their predecessor, group s >> k, or it changes every 2^k lanes. Two vectors go together: their chains of minima hide each
/// other's latency.
/// </content>
internal sealed unsafe partial class TrellisEncoder
{
    private const int LoadAhead = 4; // costs that a load for spreading reads

    /// <summary>The costs of the predecessors of consecutive states; <c>costs</c> points at that of the first.</summary>
    private interface ICosts<TVector>
    {
        static abstract TVector Load(float* costs);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Step16<TCosts>(float x, int bits, float* table, float* costs, float* next, byte* back)
        where TCosts : struct, ICosts<Vector512<float>>
    {
        int groups = TrellisCodebook.States >> bits, members = 1 << bits, stride = groups >> bits;
        Vector512<float> sample = Vector512.Create(x);
        for (int u = 0; u < groups; u += 32)
        {
            Vector512<float> least0 = Vector512.Create(float.PositiveInfinity), least1 = least0;
            Vector512<int> named0 = default, named1 = default, name = default;
            float* values = table + u, from0 = costs + (u >> bits), from1 = costs + (u + 16 >> bits);
            for (int j = 0; j < members; j++)
            {
                Vector512<float> d0 = sample - Vector512.Load(values), d1 = sample - Vector512.Load(values + 16);
                Vector512<float> cost0 = Avx512F.FusedMultiplyAdd(d0, d0, TCosts.Load(from0)), cost1 = Avx512F.FusedMultiplyAdd(d1, d1, TCosts.Load(from1));
                named0 = Vector512.ConditionalSelect(Vector512.LessThan(cost0, least0).AsInt32(), name, named0);
                named1 = Vector512.ConditionalSelect(Vector512.LessThan(cost1, least1).AsInt32(), name, named1);
                least0 = Avx512F.Min(cost0, least0);
                least1 = Avx512F.Min(cost1, least1);
                name += Vector512<int>.One;
                values += groups;
                from0 += stride;
                from1 += stride;
            }

            least0.Store(next + u);
            least1.Store(next + u + 16);
            Avx512F.ConvertToVector128Byte(named0).Store(back + u);
            Avx512F.ConvertToVector128Byte(named1).Store(back + u + 16);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Step8<TCosts>(float x, int bits, float* table, float* costs, float* next, byte* back)
        where TCosts : struct, ICosts<Vector256<float>>
    {
        int groups = TrellisCodebook.States >> bits, members = 1 << bits, stride = groups >> bits;
        Vector256<float> sample = Vector256.Create(x);
        for (int u = 0; u < groups; u += 16)
        {
            Vector256<float> least0 = Vector256.Create(float.PositiveInfinity), least1 = least0;
            Vector256<int> named0 = default, named1 = default, name = default;
            float* values = table + u, from0 = costs + (u >> bits), from1 = costs + (u + 8 >> bits);
            for (int j = 0; j < members; j++)
            {
                Vector256<float> d0 = sample - Vector256.Load(values), d1 = sample - Vector256.Load(values + 8);
                Vector256<float> cost0 = Fma.MultiplyAdd(d0, d0, TCosts.Load(from0)), cost1 = Fma.MultiplyAdd(d1, d1, TCosts.Load(from1));
                named0 = Vector256.ConditionalSelect(Vector256.LessThan(cost0, least0).AsInt32(), name, named0);
                named1 = Vector256.ConditionalSelect(Vector256.LessThan(cost1, least1).AsInt32(), name, named1);
                least0 = Avx.Min(cost0, least0);
                least1 = Avx.Min(cost1, least1);
                name += Vector256<int>.One;
                values += groups;
                from0 += stride;
                from1 += stride;
            }

            least0.Store(next + u);
            least1.Store(next + u + 8);
            Vector256<short> words = Vector256.Narrow(named0, named1);
            Vector128.Narrow(words.GetLower().AsUInt16(), words.GetUpper().AsUInt16()).Store(back + u);
        }
    }

    private readonly struct Same16 : ICosts<Vector512<float>>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(float* costs) => Vector512.Create(*costs);
    }

    // k = 3: eight lanes each.
    private readonly struct Eights16 : ICosts<Vector512<float>>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(float* costs) =>
            Avx512F.PermuteVar4x32(Avx512F.BroadcastVector128ToVector512(costs), Vector512.Create(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
    }

    // k = 2: four lanes each.
    private readonly struct Fours16 : ICosts<Vector512<float>>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector512<float> Load(float* costs) =>
            Avx512F.PermuteVar4x32(Avx512F.BroadcastVector128ToVector512(costs), Vector512.Create(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3));
    }

    private readonly struct Same8 : ICosts<Vector256<float>>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Load(float* costs) => Vector256.Create(*costs);
    }

    private readonly struct Fours8 : ICosts<Vector256<float>>
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static Vector256<float> Load(float* costs) => Avx.PermuteVar(Avx.BroadcastVector128ToVector256(costs), Vector256.Create(0, 0, 0, 0, 1, 1, 1, 1));
    }
}
