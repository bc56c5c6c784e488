namespace RbeMl.Codec;

/// <summary>What the tiles of a matrix were coded to.</summary>
/// <param name="Tile">B.</param>
/// <param name="TileCount">Tiles, row-major.</param>
/// <param name="Scales"><c>[tile][scales of a tile]</c>.</param>
/// <param name="Codes">Packed codes of all tiles.</param>
/// <param name="Outliers">Coefficients kept exactly, or null.</param>
/// <param name="Calibrated">Whether a a calibration made the codes.</param>
internal sealed record CodedTiles(int Tile, int TileCount, Half[] Scales, ReadOnlyMemory<byte> Codes,
    TileOutliers? Outliers, bool Calibrated = false);
