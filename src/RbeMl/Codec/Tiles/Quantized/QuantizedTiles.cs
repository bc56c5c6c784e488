using System.Collections.Immutable;

namespace RbeMl.Codec;

/// <summary>
/// The frozen base of a matrix: all B² coefficients of every tile at <see cref="FrozenTiles.Bits"/> bits, in groups of 64 consecutive
/// coefficients (row-major in the tile) that share an fp16 scale. value = scale * Levels[code].
/// </summary>
internal sealed partial class QuantizedTiles : FrozenTiles
{
    /// <summary>Creates a base from its parts.</summary>
    /// <param name="tile">B.</param>
    /// <param name="tileCount">Tiles, row-major.</param>
    /// <param name="bits">3 .. 8.</param>
    /// <param name="scales"><c>[tile][B² / 64]</c>.</param>
    /// <param name="codes">Packed codes: tile t starts at byte t * B² * bits / 8; code e of a tile occupies bits [e * bits, (e + 1) *
    /// bits), least significant bit first.</param>
    /// <param name="outliers">Coefficients kept exactly, or null.</param>
    /// <exception cref="InvalidSettingException">Tile or bits are out of range.</exception>
    /// <exception cref="ShapeMismatchException">The parts do not have these lengths.</exception>
    public QuantizedTiles(int tile, int tileCount, int bits, ReadOnlySpan<Half> scales, ReadOnlyMemory<byte> codes, TileOutliers? outliers = null)
        : base(tile, tileCount, bits, codes, outliers)
    {
        if (bits is < 3 or > 8) throw new InvalidSettingException("bits", bits, "use 3 .. 8.");
        long groups = (long)tileCount * (tile * tile / QuantizedFormat.GroupSize), bytes = (long)tileCount * (tile * tile * bits / 8);
        if (scales.Length != groups) throw new ShapeMismatchException("scales", $"{groups}", $"{scales.Length}", "Give one for each group of 64 coefficients.");
        if (codes.Length != bytes)
        {
            throw new ShapeMismatchException("packed codes", $"{Amount.Of(bytes, "byte")}", $"{codes.Length}", "Pack all tiles without gaps.");
        }

        Scales = [.. scales];
    }

    /// <summary><c>[tile][B² / 64]</c>.</summary>
    public ImmutableArray<Half> Scales { get; }

    /// <inheritdoc/>
    public override long StoredBits => (8L * Codes.Length) + (16L * Scales.Length) + (Outliers?.StoredBits ?? 0);
}
