using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <content>
/// The samples on lanes. A lane is a group u; the members s = u + j * groups of consecutive groups are consecutive, so table values are plain loads.
/// Lanes share the cost of their predecessor, group s >> k, or it changes every 2^k lanes. Two vectors go together: their chains of minima hide each
/// other's latency.
/// </content>
internal sealed unsafe partial class TrellisEncoder
{
    private const int LoadAhead = 4; // costs that a load for spreading reads

    /// <summary>Consecutive groups of one predecessor, 16 standing for more; a type, so that each gets code of its own.</summary>
    private interface IShare
    {
        static abstract int Groups { get; }
    }

    // All samples but the last. Costs of an even number of them end in costs, of an odd one in next.
    private readonly struct StepsWork(float* samples, int count, int bits, float* table, float* costs, float* next, byte* back) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            int groups = TrellisCodebook.States >> bits;
            float* from = costs, to = next;
            for (int t = 0; t < count; t++)
            {
                byte* named = back + (nint)t * groups;
                if (bits == 2) Step<TLanes, Four>(samples[t], bits, table, from, to, named);
                else if (bits == 3) Step<TLanes, Eight>(samples[t], bits, table, from, to, named);
                else Step<TLanes, Sixteen>(samples[t], bits, table, from, to, named);
                float* done = from;
                from = to;
                to = done;
                if (t % RenormalizeEvery == RenormalizeEvery - 1) Renormalize(new Span<float>(from, groups));
            }
        }
    }

    // next[u] = the least over j of costs[s >> k] + (x - table[s])², s = u + j * groups; back[u] = that j.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Step<TLanes, TShare>(float x, int bits, float* table, float* costs, float* next, byte* back)
        where TLanes : unmanaged, ILanes<TLanes>
        where TShare : struct, IShare
    {
        int groups = TrellisCodebook.States >> bits, members = 1 << bits, stride = groups >> bits, lanes = TLanes.Count;
        TLanes sample = TLanes.Set(x), one = TLanes.Set(1f);
        for (int u = 0; u < groups; u += 2 * lanes)
        {
            TLanes least0 = TLanes.Set(float.PositiveInfinity), least1 = least0, named0 = TLanes.Zero, named1 = named0, name = named0;
            float* values = table + u, from0 = costs + (u >> bits), from1 = costs + (u + lanes >> bits);
            for (int j = 0; j < members; j++)
            {
                TLanes d0 = TLanes.Subtract(sample, TLanes.Load(values)), d1 = TLanes.Subtract(sample, TLanes.Load(values + lanes));
                TLanes cost0 = TLanes.Fma(d0, d0, TLanes.LoadSpread(from0, TShare.Groups)), cost1 = TLanes.Fma(d1, d1, TLanes.LoadSpread(from1, TShare.Groups));
                named0 = TLanes.SelectLess(cost0, least0, name, named0);
                named1 = TLanes.SelectLess(cost1, least1, name, named1);
                least0 = TLanes.Min(cost0, least0);
                least1 = TLanes.Min(cost1, least1);
                name = TLanes.Add(name, one);
                values += groups;
                from0 += stride;
                from1 += stride;
            }

            TLanes.Store(least0, next + u);
            TLanes.Store(least1, next + u + lanes);
            TLanes.StoreByte(named0, (sbyte*)back + u);
            TLanes.StoreByte(named1, (sbyte*)back + u + lanes);
        }
    }

    private readonly struct Four : IShare
    {
        public static int Groups => 4;
    }

    private readonly struct Eight : IShare
    {
        public static int Groups => 8;
    }

    private readonly struct Sixteen : IShare
    {
        public static int Groups => 16;
    }
}
