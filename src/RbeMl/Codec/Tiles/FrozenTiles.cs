using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace RbeMl.Codec;

/// <summary>
/// The frozen base of a matrix: all B² coefficients of every tile in few bits, decoded tile by tile and in any order. Codes may lie in a mapped
/// file; everything else is small and in arrays.
/// </summary>
public abstract unsafe partial class FrozenTiles
{
    /// <summary>What is added to a signed level, so that it is an unsigned byte.</summary>
    internal const int WideOffset = 128;

    /// <summary>The same of narrow levels, which it makes 127 at most.</summary>
    internal const int NarrowOffset = 64;

    private protected FrozenTiles(int tile, int tileCount, int bits, ReadOnlyMemory<byte> codes, TileOutliers? outliers)
    {
        if (tile is not (32 or 64 or 128)) throw new InvalidSettingException("tile", tile, "use 32, 64 or 128.");
        ArgumentOutOfRangeException.ThrowIfNegative(tileCount);
        if (outliers is not null && (outliers.Tile != tile || outliers.TileCount != tileCount))
        {
            throw new ShapeMismatchException("outliers", $"{tileCount} tiles of {tile}", $"{outliers.TileCount} of {outliers.Tile}",
                "Give those of this matrix.");
        }

        Tile = tile;
        TileCount = tileCount;
        Bits = bits;
        Codes = codes;
        Outliers = outliers;
    }

    /// <summary>Tile edge B.</summary>
    public int Tile { get; }

    /// <summary>Tiles.</summary>
    public int TileCount { get; }

    /// <summary>Bits of a code.</summary>
    public int Bits { get; }

    /// <summary>Packed codes of all tiles, the same number of bytes for each.</summary>
    public ReadOnlyMemory<byte> Codes { get; }

    /// <summary>Coefficients kept exactly, or null.</summary>
    internal TileOutliers? Outliers { get; }

    /// <summary>Whether levels are at most 64 in size.</summary>
    internal virtual bool HasNarrowLevels => false;

    /// <summary>What is added to the levels.</summary>
    internal int LevelOffset => HasNarrowLevels ? NarrowOffset : WideOffset;

    /// <summary>Stored bits, outliers included.</summary>
    public abstract long StoredBits { get; }

    /// <summary>The coefficients of one tile, <c>[B * B]</c> row-major.</summary>
    /// <exception cref="ShapeMismatchException">The span does not hold B² values.</exception>
    public void Dequantize(int tileIndex, Span<float> coefficients)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tileIndex);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(tileIndex, TileCount);
        int area = Tile * Tile;
        if (coefficients.Length != area)
        {
            throw new ShapeMismatchException("coefficients of a tile", $"{Tile} x {Tile} = {area} values", $"{coefficients.Length}",
                "Pass a buffer of exactly that length.");
        }

        Decode(tileIndex, coefficients);
        Outliers?.Apply(tileIndex, coefficients);
        GC.KeepAlive(this); // and with it the mapping that codes may lie in
    }

    /// <summary>Hands over the tensors that the tiles are stored as: codes, scales and what else there is, then outliers.</summary>
    internal virtual void WriteParts(IPartWriter parts)
    {
        if (Outliers is not { } outliers) return;
        parts.Write("outlierPlaces", outliers.Places, TileCount, outliers.PerTile);
        parts.Write("outlierValues", outliers.Values, TileCount, outliers.PerTile);
    }

    /// <summary>Adds what a reader must know beside the tensors to the metadata of the matrix. Keys that came later are there only where they
    /// say something.</summary>
    internal virtual void Describe(JsonObject entry)
    {
        if (Outliers is { } outliers) entry["outliers"] = outliers.PerTile;
    }

    /// <summary>The scales of all tiles.</summary>
    internal abstract ImmutableArray<Half> Scales { get; }

    /// <summary>The same codes and outliers with other scales, as many as there are.</summary>
    internal abstract FrozenTiles WithScales(ReadOnlySpan<Half> scales);

    /// <summary>Decodes the codes of one tile without outliers; arguments are checked.</summary>
    internal abstract void Decode(int tileIndex, Span<float> coefficients);

    /// <summary>
    /// Levels <c>[B * B]</c> of one tile row-major, plus their offset, those of outliers zero, and scales <c>[B][B / 64]</c>, one a row with tiles up to
    /// 64.
    /// </summary>
    internal void DecodeLevels(int tileIndex, byte* levels, float* scales)
    {
        Levels(tileIndex, levels);
        FinishLevels(tileIndex, levels, scales);
    }

    /// <summary>The definition, code by code: what the vector paths are checked against.</summary>
    internal void DecodeLevelsScalar(int tileIndex, byte* levels, float* scales)
    {
        LevelsScalar(tileIndex, levels);
        FinishLevels(tileIndex, levels, scales);
    }

    /// <summary>Levels without regard to outliers.</summary>
    private protected abstract void Levels(int tileIndex, byte* levels);

    /// <summary>The same, code by code.</summary>
    private protected abstract void LevelsScalar(int tileIndex, byte* levels);

    /// <summary>Scales of the rows' segments.</summary>
    private protected abstract void LevelScales(int tileIndex, float* scales);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void FinishLevels(int tileIndex, byte* levels, float* scales)
    {
        LevelScales(tileIndex, scales);
        if (Outliers is { } outliers)
        {
            for (int e = tileIndex * outliers.PerTile; e < (tileIndex + 1) * outliers.PerTile; e++) levels[outliers.Places[e]] = (byte)LevelOffset;
        }

        GC.KeepAlive(this); // and with it the mapping that codes may lie in
    }
}
