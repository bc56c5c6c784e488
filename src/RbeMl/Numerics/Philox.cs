using System.Runtime.CompilerServices;

namespace RbeMl.Numerics;

/// <summary>Where a random number is used. Numbers of different sites are independent.</summary>
internal enum DropoutSite : uint
{
    /// <summary>Attention probabilities.</summary>
    Attention = 1,

    /// <summary>Output of the attention half, before its residual.</summary>
    AttentionResidual = 2,

    /// <summary>Output of the feed-forward half, before its residual.</summary>
    FeedForwardResidual = 3,

    /// <summary>Sum of token and position embeddings.</summary>
    Embedding = 4,

    /// <summary>Sampling of generated tokens, shuffles and initial values.</summary>
    Other = 5,

    /// <summary>Input of a classifier's head.</summary>
    Head = 6,
}

/// <summary>Names a stream of random numbers: with the (row, column) of an element it fixes the number, whoever computes it and when.</summary>
/// <param name="Seed">Seed of the run.</param>
/// <param name="Step">Optimiser step (and micro-batch).</param>
/// <param name="Layer">Layer index.</param>
/// <param name="Site">Use within the layer.</param>
internal readonly record struct RandomKey(ulong Seed, uint Step, ushort Layer, DropoutSite Site);

/// <summary>
/// Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3"). The counter is (row low, row high, column / 4, step) with the key
/// (seed low ^ site-and-layer mix, seed high); word column % 4 of the result belongs to the element.
/// </summary>
internal static class Philox
{
    internal const uint M0 = 0xD2511F53, M1 = 0xCD9E8D57, W0 = 0x9E3779B9, W1 = 0xBB67AE85;

    /// <summary>The key words of a stream.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (uint K0, uint K1) KeyOf(RandomKey key) =>
        ((uint)key.Seed ^ (((uint)key.Layer << 8 | (uint)key.Site) * 0x85EBCA6Bu), (uint)(key.Seed >> 32));

    /// <summary>Four words for columns 4 * group .. 4 * group + 3 of a row.</summary>
    public static (uint X0, uint X1, uint X2, uint X3) Words(RandomKey key, ulong row, uint group)
    {
        (uint k0, uint k1) = KeyOf(key);
        return Rounds((uint)row, (uint)(row >> 32), group, key.Step, k0, k1);
    }

    /// <summary>The ten rounds of the generator on a counter and a key.</summary>
    internal static (uint X0, uint X1, uint X2, uint X3) Rounds(uint x0, uint x1, uint x2, uint x3, uint k0, uint k1)
    {
        for (int round = 0; round < 10; round++)
        {
            ulong p0 = (ulong)M0 * x0, p1 = (ulong)M1 * x2;
            (x0, x1, x2, x3) = ((uint)(p1 >> 32) ^ x1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ x3 ^ k1, (uint)p0);
            k0 += W0;
            k1 += W1;
        }

        return (x0, x1, x2, x3);
    }

    /// <summary>The word of one element.</summary>
    public static uint Word(RandomKey key, ulong row, uint column)
    {
        (uint x0, uint x1, uint x2, uint x3) = Words(key, row, column / 4);
        return (column % 4) switch { 0 => x0, 1 => x1, 2 => x2, _ => x3 };
    }

    /// <summary>An element is dropped when its word is below this: p * 2^32.</summary>
    public static uint Threshold(float probability) => (uint)Math.Min(Math.Round(probability * 4294967296.0), uint.MaxValue);

    /// <summary>A uniform number in [0, 1) from the upper 24 bits of a word.</summary>
    public static float ToUnit(uint word) => (word >> 8) * (1f / (1 << 24));
}
