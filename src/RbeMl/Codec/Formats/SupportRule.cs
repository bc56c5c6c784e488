namespace RbeMl.Codec;

/// <summary>How the places of the kept coefficients of a tile are chosen.</summary>
public enum SupportKind
{
    /// <summary>The largest by magnitude; needs weights to fit.</summary>
    TopK,

    /// <summary>Uniformly at random, from a seed.</summary>
    Random,

    /// <summary>The lowest frequencies, by u + v and then by u.</summary>
    LowFrequency,

    /// <summary>Runs of 4, 8 or 16 consecutive output frequencies at one input frequency; with weights to fit the runs of most energy, without
    /// at random from a seed. A run starts at a multiple of its length.</summary>
    Runs,
}

/// <summary>Which coefficients of a tile are kept.</summary>
/// <param name="Kind">The rule.</param>
/// <param name="RunLength">4, 8 or 16 for <see cref="SupportKind.Runs"/>, otherwise 1.</param>
/// <param name="Seed">Seed of random choices.</param>
public sealed record SupportRule(SupportKind Kind, int RunLength = 1, int Seed = 0)
{
    /// <summary>Largest coefficients by magnitude.</summary>
    public static SupportRule TopK { get; } = new(SupportKind.TopK);

    /// <summary>Lowest frequencies.</summary>
    public static SupportRule LowFrequency { get; } = new(SupportKind.LowFrequency);

    /// <summary>Random places.</summary>
    public static SupportRule Random(int seed = 0) => new(SupportKind.Random, 1, seed);

    /// <summary>Runs of <paramref name="length"/> = 4, 8 or 16.</summary>
    public static SupportRule Runs(int length, int seed = 0) => new(SupportKind.Runs, length, seed);
}
