using RbeMl.Numerics;

namespace RbeMl.Training;

/// <summary>The order in which a data set hands out its pieces.</summary>
public enum TokenOrder
{
    /// <summary>Windows at random places of a stream, with replacement; pieces of sequences likewise.</summary>
    Random,

    /// <summary>Every piece once an epoch, in an order that changes with the epoch.</summary>
    Shuffled,

    /// <summary>Every piece in order, then again.</summary>
    Sequential,
}

/// <summary>Random choices of data, each a function of seed and index.</summary>
internal static class TokenShuffle
{
    // Keeps data apart from other uses of the same seed.
    private const ushort Stream = 0xDA7A;
    private const int Rounds = 6;

    /// <summary>A number in 0 .. <paramref name="count"/> - 1 (multiply-shift; the bias is below count / 2^64).</summary>
    public static long Uniform(ulong seed, long index, long count)
    {
        (uint x0, uint x1, _, _) = Philox.Words(new RandomKey(seed, 0, Stream, DropoutSite.Other), (ulong)index, 0);
        return (long)Math.BigMul((ulong)x0 << 32 | x1, (ulong)count, out _);
    }

    /// <summary>Where <paramref name="index"/> goes in a random permutation of 0 .. <paramref name="count"/> - 1: a Feistel network over the
    /// next even power of two, walked until it falls inside. No table, so any place of any epoch costs the same.</summary>
    public static long Permute(ulong seed, uint epoch, long index, long count)
    {
        int half = 1;
        while (1L << (2 * half) < count) half++;
        uint mask = (uint)((1L << half) - 1);
        RandomKey key = new(seed, epoch + 1, Stream, DropoutSite.Other);
        do
        {
            uint left = (uint)(index >> half), right = (uint)index & mask;
            for (uint round = 0; round < Rounds; round++) (left, right) = (right, left ^ (Philox.Words(key, right, round).X0 & mask));
            index = (long)left << half | right;
        }
        while (index >= count);
        return index;
    }
}
