using System.Text.Json.Nodes;
using RbeMl.Storage;

namespace RbeMl.Codec;

/// <summary>
/// All coefficients of a tile in few bits, frozen: the base of a matrix. Optionally the largest ones are kept exactly, and a trainable sparse
/// delta rides on top. A format of this kind says how coefficients become codes and back, how codes are packed and stored, and what decodes
/// them while a model runs; calls are for each matrix or tile, loops over coefficients are its own.
/// </summary>
public abstract record FrozenFormat : RbeFormat
{
    /// <summary>The most outliers a tile may have.</summary>
    public const int MostOutliers = 64;

    private protected FrozenFormat(int bits, int outliers)
    {
        Bits = bits;
        Outliers = outliers;
        StandardOutliers = outliers;
    }

    /// <summary>Bits of a code.</summary>
    public int Bits { get; init; }

    /// <summary>The largest coefficients of a tile that are kept in fp16 beside the codes, 0 .. 64; those beyond 65504 saturate.</summary>
    public int Outliers { get; init; }

    /// <summary>
    /// A trainable sparse delta riding on the frozen base, or null. TopK and Runs take the places where the base errs most; the values start as
    /// what the base leaves there, so that the delta also repairs the base.
    /// </summary>
    public SparseFormat? Delta { get; init; }

    /// <inheritdoc/>
    internal override SparseFormat? Places => Delta;

    /// <summary>Outliers of a tile unless told otherwise; files name others.</summary>
    internal int StandardOutliers { get; }

    /// <summary>The bits that it offers, ascending.</summary>
    internal abstract IReadOnlyList<int> BitChoices { get; }

    /// <summary>The most bits whose codes are its own.</summary>
    internal int MostBits => BitChoices.Last(bits => (this with { Bits = bits }).Coded.Name == Name);

    /// <summary>The format whose codes it stores: itself, unless some of its bits are another format's.</summary>
    internal virtual FrozenFormat Coded => this;

    /// <summary>What a copy for fast inference turns it into; null where its codes are fast already.</summary>
    internal virtual FrozenFormat? Fast => null;

    /// <summary>Columns that <see cref="CreateFeedbackCoder"/> rounds together.</summary>
    internal virtual int FeedbackColumns => 1;

    /// <summary>The same where errors are passed down too.</summary>
    internal virtual int FeedbackColumnsDown => 1;

    /// <summary>Rows that it rounds together there.</summary>
    internal virtual int FeedbackRowsDown => 1;

    /// <summary>Most fits of a tile that reaches beyond the matrix: fewer where coding a tile takes long.</summary>
    internal virtual int MostFills => 24;

    /// <summary>Scales of a tile.</summary>
    /// <param name="tile">B.</param>
    internal abstract int ScalesOf(int tile);

    /// <summary>Bytes of the packed codes of a matrix.</summary>
    /// <param name="tile">B.</param>
    /// <param name="tileCount">Tiles.</param>
    internal virtual long CodeBytes(int tile, int tileCount) => (long)tileCount * (tile * tile * Bits / 8);

    /// <summary>A coder of single tiles, for one thread.</summary>
    /// <param name="tile">B.</param>
    internal abstract TileCoder CreateCoder(int tile);

    /// <summary>A coder of rows of tiles that passes errors on to later columns, for one thread.</summary>
    /// <param name="outliers">Outliers of a tile.</param>
    /// <param name="factor">Where errors go.</param>
    /// <param name="tile">B.</param>
    internal abstract FeedbackCoder CreateFeedbackCoder(int outliers, FeedbackFactor factor, int tile);

    /// <summary>Packs the codes of a tile into B² bits / 8 bytes.</summary>
    internal abstract void Pack(ReadOnlySpan<byte> codes, Span<byte> packed);

    /// <summary>The tiles of a matrix, ready to be decoded.</summary>
    /// <param name="coded">Scales, packed codes, outliers.</param>
    internal abstract FrozenTiles CreateTiles(CodedTiles coded);

    /// <summary>The tiles of a matrix in a file.</summary>
    internal virtual FrozenTiles ReadTiles(IPartReader parts) => CreateTiles(new CodedTiles(parts.Tile, parts.TileCount,
        parts.Scales(ScalesOf(parts.Tile)), parts.ReadBytes("codes", parts.TileCount, parts.Tile * parts.Tile * Bits / 8), parts.Outliers()));

    /// <inheritdoc/>
    internal override FormatPlan Plan(RbeOptions options)
    {
        if (!BitChoices.Contains(Bits)) throw new InvalidSettingException("bits", Bits, $"use {BitWords(" .. ")}.");
        if (Outliers is < 0 or > MostOutliers) throw new InvalidSettingException("outliers", Outliers, $"use 0 .. {MostOutliers}.");
        FormatPlan plan = Delta is null ? new FormatPlan(options.Alphas, Coded, 0, 1, null, false, false)
            : FormatPlan.OfPlaces(options, Delta, Coded);
        return plan with { Outliers = Outliers };
    }

    /// <summary>Its bits in words, such as "3 to 8" or "2 to 6, or 8".</summary>
    /// <inheritdoc cref="InWords"/>
    internal string BitWords(string to, string or = " or ") => InWords(BitChoices, to, or);

    /// <summary>Numbers in words, such as "3 to 8" or "2 to 6, or 8".</summary>
    /// <param name="numbers">Ascending.</param>
    /// <param name="to">What stands between the first and the last of a range.</param>
    /// <param name="or">What stands between ranges.</param>
    internal static string InWords(IEnumerable<int> numbers, string to, string or)
    {
        List<(int First, int Last)> ranges = [];
        foreach (int number in numbers)
        {
            if (ranges.Count > 0 && ranges[^1].Last == number - 1) ranges[^1] = (ranges[^1].First, number);
            else ranges.Add((number, number));
        }

        return string.Join(or, ranges.Select(range => range.First == range.Last ? $"{range.First}" : $"{range.First}{to}{range.Last}"));
    }

    /// <inheritdoc/>
    internal override string DescribeRange() =>
        $"{Name} codes of {Bits} bits keep: their scales are fp16 numbers, of 6e-8 to 65504. Scale the matrix, leave it out by name, or use "
        + "a sparse format.";

    private protected override void DescribeOptions(JsonObject entry)
    {
        entry["bits"] = Bits;
        entry["delta"] = Delta?.Describe();
        if (Outliers != StandardOutliers) entry["outliers"] = Outliers;
    }

    private protected override RbeFormat ReadOptions(JsonFields fields)
    {
        int bits = fields.Whole("bits", BitChoices[0], BitChoices[^1]);
        if (!BitChoices.Contains(bits))
        {
            throw new RbeFileException(fields.Path, $"{fields.Where}.bits is {bits}; {Name} has {BitWords(" to ", ", or ")}. Write it again.");
        }

        return this with
        {
            Bits = bits,
            Outliers = fields.OptionalWhole("outliers", 0, MostOutliers) ?? StandardOutliers,
            Delta = fields.OptionalObject("delta") is { } delta ? SparseFormat.ReadPlaces(delta) : null,
        };
    }
}
