namespace RbeMl.Codec;

/// <summary>
/// The frozen base of a matrix: all B² coefficients of every tile in few bits, decoded tile by tile and in any order. Codes may lie in a mapped
/// file; everything else is small and in arrays.
/// </summary>
public abstract unsafe partial class FrozenTiles
{
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

    /// <summary>Decodes the codes of one tile; arguments are checked.</summary>
    private protected abstract void Decode(int tileIndex, Span<float> coefficients);
}
