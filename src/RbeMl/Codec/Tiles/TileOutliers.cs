using System.Collections.Immutable;

namespace RbeMl.Codec;

/// <summary>
/// The largest coefficients of every tile, kept in fp16 beside the codes and put in the place of what the codes say there. Trained weights have
/// coefficients far beyond what a code of few bits reaches; a handful a tile is enough.
/// </summary>
internal sealed class TileOutliers
{
    /// <summary>Creates outliers from their parts.</summary>
    /// <param name="tile">B.</param>
    /// <param name="tileCount">Tiles, row-major.</param>
    /// <param name="perTile">Outliers of a tile, at least 1.</param>
    /// <param name="places"><c>[tile][perTile]</c>: row * B + column, ascending within a tile. Copied.</param>
    /// <param name="values"><c>[tile][perTile]</c>. Copied.</param>
    /// <exception cref="ShapeMismatchException">The parts do not have these lengths.</exception>
    /// <exception cref="InvalidSettingException">A place lies outside its tile or the places of a tile do not ascend.</exception>
    public TileOutliers(int tile, int tileCount, int perTile, ReadOnlySpan<ushort> places, ReadOnlySpan<Half> values)
    {
        if (tile is < 1 or > 256) throw new InvalidSettingException("tile", tile, "use 32, 64 or 128.");
        int area = tile * tile;
        if (perTile < 1 || perTile > area) throw new InvalidSettingException("outliers", perTile, $"use 1 .. {area} for a tile of {tile}.");
        long count = (long)tileCount * perTile;
        if (places.Length != count)
        {
            throw new ShapeMismatchException("outlier places", $"{tileCount} x {perTile}", $"{places.Length}", "Give the same number for each tile.");
        }

        if (values.Length != count) throw new ShapeMismatchException("outlier values", $"{tileCount} x {perTile}", $"{values.Length}", "Give one a place.");
        Places = [.. places]; // checked as they are kept
        Values = [.. values];
        for (int e = 0; e < places.Length; e++)
        {
            if (Places[e] >= area) throw new InvalidSettingException("outlier place", Places[e], $"a tile of {tile} has places 0 .. {area - 1}.");
            if (e % perTile != 0 && Places[e] <= Places[e - 1])
            {
                throw new InvalidSettingException("outlier places", $"{Places[e - 1]}, {Places[e]}", "let them ascend within a tile.");
            }
        }

        Tile = tile;
        TileCount = tileCount;
        PerTile = perTile;
    }

    /// <summary>Tile edge B.</summary>
    public int Tile { get; }

    /// <summary>Tiles.</summary>
    public int TileCount { get; }

    /// <summary>Outliers of a tile.</summary>
    public int PerTile { get; }

    /// <summary><c>[tile][PerTile]</c>.</summary>
    public ImmutableArray<ushort> Places { get; }

    /// <summary><c>[tile][PerTile]</c>.</summary>
    public ImmutableArray<Half> Values { get; }

    /// <summary>Stored bits: a 16-bit place and a 16-bit value each.</summary>
    public long StoredBits => 32L * Places.Length;

    /// <summary>Puts the outliers of a tile in their places.</summary>
    internal void Apply(int tileIndex, Span<float> coefficients)
    {
        for (int e = tileIndex * PerTile; e < (tileIndex + 1) * PerTile; e++) coefficients[Places[e]] = (float)Values[e];
    }
}
