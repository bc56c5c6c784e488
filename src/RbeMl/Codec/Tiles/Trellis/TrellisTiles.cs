using System.Collections.Immutable;
using System.Text.Json.Nodes;

namespace RbeMl.Codec;

/// <summary>The order in which the trellis runs through the coefficients of a tile.</summary>
public enum TrellisScan
{
    /// <summary>Row by row.</summary>
    RowMajor,

    /// <summary>Column by column: what encoders need that pass the error of one column on to the next ones.</summary>
    ColumnMajor,
}

/// <summary>
/// The frozen base of a matrix: all B² coefficients of every tile trellis-coded at <see cref="FrozenTiles.Bits"/> bits with one fp16 scale a tile.
/// The state of sample t is the last 12 bits of its tile's payload up to and including symbol t, with zeros before the start, so every value depends
/// on a window of 12 bits only; value = scale * Table[state]. Trellis-coded quantisation (Marcellin and Fischer 1990) in its bitshift form
/// (Mao et al. 1992; Tseng et al. 2024).
/// </summary>
internal sealed unsafe class TrellisTiles : FrozenTiles
{
    /// <summary>Bytes after the last tile, so that vectors may read past it. Their values do not matter.</summary>
    public const int PadBytes = 8;

    /// <summary>Creates a base from its parts.</summary>
    /// <param name="tile">B.</param>
    /// <param name="tileCount">Tiles, row-major.</param>
    /// <param name="bits">2 .. 6.</param>
    /// <param name="scan">Order of the samples.</param>
    /// <param name="scales"><c>[tile]</c>, not negative.</param>
    /// <param name="codes">Payloads: tile t starts at byte t * B² * bits / 8, symbols most significant bit first; <see cref="PadBytes"/>
    /// more at the end.</param>
    /// <param name="outliers">Coefficients kept exactly, or null.</param>
    /// <exception cref="InvalidSettingException">Tile, bits, scan or a scale is out of range.</exception>
    /// <exception cref="ShapeMismatchException">The parts do not have these lengths.</exception>
    public TrellisTiles(int tile, int tileCount, int bits, TrellisScan scan, ReadOnlySpan<Half> scales, ReadOnlyMemory<byte> codes,
        TileOutliers? outliers = null)
        : base(tile, tileCount, bits, codes, outliers)
    {
        if (bits is < TrellisCodebook.LeastBits or > TrellisCodebook.MostBits) throw new InvalidSettingException("bits", bits, "use 2 .. 6.");
        if (!Enum.IsDefined(scan)) throw new InvalidSettingException("scan", scan, "use RowMajor or ColumnMajor.");
        if (scales.Length != tileCount) throw new ShapeMismatchException("scales", $"{tileCount}", $"{scales.Length}", "Give one for each tile.");
        for (int t = 0; t < scales.Length; t++)
        {
            if (!(scales[t] >= Half.Zero && Half.IsFinite(scales[t])))
            {
                throw new InvalidSettingException("scale", scales[t], $"tile {t} needs one that is finite and not negative.");
            }
        }

        long bytes = CodeBytes(tile, tileCount, bits);
        if (codes.Length != bytes)
        {
            throw new ShapeMismatchException("packed codes", $"{Amount.Of(bytes, "byte")}", $"{codes.Length}",
                "Pack all tiles without gaps and pad the last one.");
        }

        Scan = scan;
        Scales = [.. scales];
    }

    /// <summary>Order of the samples.</summary>
    public TrellisScan Scan { get; }

    /// <summary><c>[tile]</c>.</summary>
    internal override ImmutableArray<Half> Scales { get; }

    /// <inheritdoc/>
    public override long StoredBits => (8L * Codes.Length) + (16L * Scales.Length) + (Outliers?.StoredBits ?? 0);

    /// <summary>Bytes of all payloads, padding included.</summary>
    public static long CodeBytes(int tile, int tileCount, int bits) => (long)tileCount * (tile * tile * bits / 8) + PadBytes;

    /// <summary>The value of every state, <c>[4096]</c>, for coefficients of unit variance.</summary>
    /// <exception cref="InvalidSettingException">Bits are not 2 .. 6.</exception>
    public static ReadOnlySpan<float> TableFor(int bits) =>
        bits is < TrellisCodebook.LeastBits or > TrellisCodebook.MostBits ? throw new InvalidSettingException("bits", bits, "use 2 .. 6.")
            : TrellisCodebook.For(bits);

    /// <summary>Row * B + column of sample <paramref name="t"/>.</summary>
    internal static int PlaceOf(int t, int tile, TrellisScan scan) => scan == TrellisScan.RowMajor ? t : t % tile * tile + t / tile;

    /// <summary>Writes the payload of a tile.</summary>
    /// <param name="symbols"><c>[B²]</c> in the order of the samples.</param>
    /// <param name="bits">Bits of a symbol.</param>
    /// <param name="payload"><c>[B² * bits / 8]</c>.</param>
    internal static void Pack(ReadOnlySpan<byte> symbols, int bits, Span<byte> payload)
    {
        uint pending = 0;
        int held = 0, n = 0;
        foreach (byte symbol in symbols)
        {
            pending = pending << bits | symbol;
            held += bits;
            if (held < 8) continue;
            held -= 8;
            payload[n++] = (byte)(pending >> held);
        }
    }

    /// <inheritdoc/>
    internal override void WriteParts(IPartWriter parts)
    {
        parts.Write("scales", Scales, TileCount, 1);
        parts.Write("codes", Codes, Codes.Length);
        base.WriteParts(parts);
    }

    /// <inheritdoc/>
    internal override void Describe(JsonObject entry)
    {
        base.Describe(entry);
        entry["scan"] = Scan.ToString();
    }

    /// <inheritdoc/>
    internal override FrozenTiles WithScales(ReadOnlySpan<Half> scales) => new TrellisTiles(Tile, TileCount, Bits, Scan, scales, Codes, Outliers);

    /// <inheritdoc/>
    internal override void Decode(int tileIndex, Span<float> coefficients) => TrellisDecoder.Decode(this, tileIndex, coefficients);

    /// <inheritdoc/>
    private protected override void Levels(int tileIndex, byte* levels) => TrellisLevels.Levels(this, tileIndex, levels);

    /// <inheritdoc/>
    private protected override void LevelsScalar(int tileIndex, byte* levels) => TrellisLevels.LevelsScalar(this, tileIndex, levels);

    /// <inheritdoc/>
    private protected override void LevelScales(int tileIndex, float* scales) => TrellisLevels.Scales(this, tileIndex, scales);

    /// <inheritdoc/>
    private protected override bool Product(int firstTile, int count, float* x, float* y, float* scratch)
    {
        TrellisProducts.Product(this, firstTile, count, x, y, scratch);
        return true;
    }
}
