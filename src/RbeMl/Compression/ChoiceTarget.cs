using RbeMl.Codec;

namespace RbeMl.Compression;

/// <summary>What a choice of formats aims at: a size, with the least error, or an error, with the fewest bits.</summary>
public sealed record ChoiceTarget
{
    private ChoiceTarget()
    {
    }

    /// <summary>Most bits for each weight of the matrices, or null.</summary>
    public double? BitsPerWeight { get; private init; }

    /// <summary>Most relative error of the output (of the weights for a bare matrix), or null.</summary>
    public double? Error { get; private init; }

    /// <summary>Least error within a size.</summary>
    /// <param name="bitsPerWeight">Above 0, at most 40.</param>
    /// <exception cref="InvalidSettingException">The size is out of range.</exception>
    public static ChoiceTarget Bits(double bitsPerWeight)
    {
        if (!(bitsPerWeight > 0 && bitsPerWeight <= 40))
        {
            throw new InvalidSettingException("bits a weight", bitsPerWeight, "use a number above 0 and at most 40; dense weights take 32.");
        }

        return new ChoiceTarget { BitsPerWeight = bitsPerWeight };
    }

    /// <summary>Least error with at least that share of the dense size saved.</summary>
    /// <param name="share">0 up to, but not, 1.</param>
    /// <exception cref="InvalidSettingException">The share is out of range.</exception>
    public static ChoiceTarget Saved(double share)
    {
        if (!(share >= 0 && share < 1)) throw new InvalidSettingException("saved share", share, "use a number from 0 up to, but not, 1.");
        return Bits(32 * (1 - share));
    }

    /// <summary>Fewest bits within an error.</summary>
    /// <param name="relativeError">Above 0, finite.</param>
    /// <exception cref="InvalidSettingException">The error is out of range.</exception>
    public static ChoiceTarget MostError(double relativeError)
    {
        if (!(relativeError > 0) || !double.IsFinite(relativeError)) throw new InvalidSettingException("error", relativeError, "use a positive finite number.");
        return new ChoiceTarget { Error = relativeError };
    }
}

/// <summary>How formats are chosen.</summary>
public sealed record ChoiceSettings
{
    /// <summary>Ways to store a matrix; of one tile size and transform.</summary>
    public IReadOnlyList<RbeOptions> Candidates { get; init => field = Items.Checked(value, nameof(Candidates)); } = CandidatesFor(64, TileTransform.Dct);

    /// <summary>What sensitivities are measured with.</summary>
    public RbeFormat Probe { get; init; } = RbeFormat.Quantized(4);

    /// <summary>Tiles on which a candidate is tried.</summary>
    public int Tiles { get; init; } = RateCurve.DefaultTiles;

    /// <summary>Seed of the draw of tiles.</summary>
    public ulong Seed { get; init; }

    /// <summary>Threads and cancellation of what is compressed on the way.</summary>
    public ParallelOptions Parallel { get; init; } = new();

    /// <summary>Of what shall err least, the gradient of each block's output on the activations; null counts all outputs of a matrix alike.</summary>
    internal IReadOnlyList<BlockActivationData>? OutputGradients { get; init; }

    /// <summary>Most blocks that are compressed and measured on the way to an error.</summary>
    public int Rounds { get; init; } = 6;

    /// <summary>
    /// What every format offers for a choice: the largest few coefficients with alphas, and frozen codes of every number of bits, with and
    /// without outliers where they have some, without alphas.
    /// </summary>
    /// <param name="tile">B.</param>
    /// <param name="transform">Transform of all.</param>
    public static IReadOnlyList<RbeOptions> CandidatesFor(int tile, TileTransform transform) =>
        [.. RbeFormat.All.SelectMany(format => format.Candidates(tile)).Select(options => options with { Tile = tile, Transform = transform })];
}
