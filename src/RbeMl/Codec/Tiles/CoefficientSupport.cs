using System.Collections.Immutable;
using System.Runtime.CompilerServices;

namespace RbeMl.Codec;

/// <summary>
/// The places of the kept coefficients of every tile of a matrix. A place is a run of <see cref="RunLength"/> consecutive output
/// frequencies (rows) at one input frequency (column); a single place is a run of 1. Values are stored <c>[tile][run][offset in run]</c>.
/// </summary>
public sealed class CoefficientSupport
{
    /// <summary>Creates a support.</summary>
    /// <param name="tile">B.</param>
    /// <param name="tileCount">Tiles of the matrix, row-major.</param>
    /// <param name="runLength">1, 4, 8 or 16.</param>
    /// <param name="starts"><c>[tile][run]</c>: row * B + column of a run's first coefficient, ascending in a tile; the row is a multiple
    /// of the run length. Copied.</param>
    /// <exception cref="InvalidSettingException">A place is out of range, misaligned, twice there or out of order.</exception>
    public CoefficientSupport(int tile, int tileCount, int runLength, ReadOnlySpan<ushort> starts)
    {
        if (tile is < 1 or > 256) throw new InvalidSettingException("tile", tile, "use 32, 64 or 128.");
        if (runLength is not (1 or 4 or 8 or 16)) throw new InvalidSettingException("run length", runLength, "use 1, 4, 8 or 16.");
        if (tileCount < 1 || starts.Length % tileCount != 0)
        {
            throw new InvalidSettingException("places", starts.Length, $"give the same number for each of the {tileCount} tiles.");
        }

        Tile = tile;
        TileCount = tileCount;
        RunLength = runLength;
        RunsPerTile = starts.Length / tileCount;
        Starts = [.. starts];
        for (int t = 0; t < tileCount; t++)
        {
            int wrong = IndexOfWrong(StartsOf(t), tile, runLength);
            if (wrong < 0) continue;
            int start = StartsOf(t)[wrong];
            throw new InvalidSettingException($"place {start} of tile {t}", start,
                $"places ascend, lie below {tile * tile} and start at a multiple of {runLength} rows.");
        }
    }

    /// <summary>Tile edge B.</summary>
    public int Tile { get; }

    /// <summary>Tiles of the matrix.</summary>
    public int TileCount { get; }

    /// <summary>Coefficients of a run: 1, 4, 8 or 16.</summary>
    public int RunLength { get; }

    /// <summary>Runs of each tile.</summary>
    public int RunsPerTile { get; }

    /// <summary>K: coefficients of each tile.</summary>
    public int CoefficientsPerTile => RunsPerTile * RunLength;

    /// <summary>All places, <c>[tile][run]</c>.</summary>
    public ImmutableArray<ushort> Starts { get; }

    /// <summary>The places of one tile, ascending.</summary>
    public ReadOnlySpan<ushort> StartsOf(int tileIndex) => Starts.AsSpan(tileIndex * RunsPerTile, RunsPerTile);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int IndexOfWrong(ReadOnlySpan<ushort> starts, int tile, int runLength)
    {
        int previous = -1, area = tile * tile;
        for (int i = 0; i < starts.Length; i++)
        {
            int start = starts[i];
            if (start <= previous || start >= area || (runLength > 1 && start / tile % runLength != 0)) return i;
            previous = start;
        }

        return -1;
    }

    /// <summary>Position (row * B + column) of coefficient <paramref name="index"/> of tile <paramref name="tileIndex"/>.</summary>
    public int PositionOf(int tileIndex, int index) => Starts[tileIndex * RunsPerTile + index / RunLength] + index % RunLength * Tile;
}
