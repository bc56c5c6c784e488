namespace RbeMl.Codec;

/// <summary>
/// The frozen base of a matrix: all B² coefficients of every tile at <see cref="Bits"/> bits, in groups of 64 consecutive
/// coefficients (row-major in the tile) that share an fp16 scale. value = scale * Levels[code].
/// </summary>
public sealed partial class QuantizedTiles
{
    /// <summary>Creates a base from its parts.</summary>
    /// <param name="tile">B.</param>
    /// <param name="tileCount">Tiles, row-major.</param>
    /// <param name="bits">3 .. 8.</param>
    /// <param name="scales"><c>[tile][B² / 64]</c>.</param>
    /// <param name="codes">Packed codes: tile t starts at byte t * B² * bits / 8; code e of a tile occupies bits [e * bits, (e + 1) * bits), least significant bit first.</param>
    /// <exception cref="InvalidSettingException">Tile or bits are out of range.</exception>
    /// <exception cref="ShapeMismatchException">The parts do not have these lengths.</exception>
    public QuantizedTiles(int tile, int tileCount, int bits, Half[] scales, byte[] codes)
    {
        ArgumentNullException.ThrowIfNull(scales);
        ArgumentNullException.ThrowIfNull(codes);
        if (tile is not (32 or 64 or 128)) throw new InvalidSettingException("tile", tile, "use 32, 64 or 128.");
        if (bits is < 3 or > 8) throw new InvalidSettingException("bits", bits, "use 3 .. 8.");
        long groups = (long)tileCount * (tile * tile / QuantizedFormat.GroupSize), bytes = (long)tileCount * (tile * tile * bits / 8);
        if (scales.Length != groups) throw new ShapeMismatchException("scales", $"{groups}", $"{scales.Length}", "Give one for each group of 64 coefficients.");
        if (codes.Length != bytes) throw new ShapeMismatchException("packed codes", $"{bytes} bytes", $"{codes.Length}", "Pack all tiles without gaps.");
        Tile = tile;
        TileCount = tileCount;
        Bits = bits;
        Scales = scales;
        Codes = codes;
    }

    /// <summary>Tile edge B.</summary>
    public int Tile { get; }

    /// <summary>Tiles.</summary>
    public int TileCount { get; }

    /// <summary>Bits of a code.</summary>
    public int Bits { get; }

    /// <summary><c>[tile][B² / 64]</c>.</summary>
    public Half[] Scales { get; }

    /// <summary>Packed codes.</summary>
    public byte[] Codes { get; }
}
