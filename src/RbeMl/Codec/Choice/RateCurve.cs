using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>One way to store a matrix, as measured.</summary>
/// <param name="Options">The way.</param>
/// <param name="Bits">Stored bits of the whole matrix; never fewer than it takes, and at most a few bits a tile more.</param>
/// <param name="Error">Relative error of the weights, on the sample.</param>
internal sealed record RatePoint(RbeOptions Options, double Bits, double Error);

/// <summary>Which error a matrix has at which size, measured for several formats on a sample of its tiles.</summary>
internal sealed class RateCurve
{
    /// <summary>Tiles of a sample unless told otherwise.</summary>
    public const int DefaultTiles = 12;

    /// <summary>Makes a curve of measured points.</summary>
    /// <param name="weights">Weights of the matrix.</param>
    /// <param name="points">At least one.</param>
    public RateCurve(long weights, IReadOnlyList<RatePoint> points)
    {
        Items.Require(points, nameof(points));
        if (points.Count == 0) throw new InvalidSettingException("candidates", 0, "give at least one way to store the matrix.");
        Weights = weights;
        Points = points;
    }

    /// <summary>Weights of the matrix.</summary>
    public long Weights { get; }

    /// <summary>The points, in the order of the candidates.</summary>
    public IReadOnlyList<RatePoint> Points { get; }

    /// <summary>Measures candidates on tiles drawn from a seed; on the whole matrix when it has no more than so many tiles.</summary>
    /// <param name="weights"><c>[rows * columns]</c>.</param>
    /// <param name="rows">Output features.</param>
    /// <param name="columns">Input features.</param>
    /// <param name="candidates">Ways to store it, all of one tile size.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <param name="tiles">Tiles to draw, at least 1.</param>
    /// <param name="parallel">Threads and cancellation; null takes all processors.</param>
    /// <exception cref="InvalidSettingException">There are no candidates, they differ in tile size, or one is out of range.</exception>
    /// <exception cref="ShapeMismatchException">The span does not hold rows x columns values.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static RateCurve Measure(ReadOnlySpan<float> weights, int rows, int columns, IReadOnlyList<RbeOptions> candidates, ulong seed = 0,
        int tiles = DefaultTiles, ParallelOptions? parallel = null)
    {
        Items.Require(candidates, nameof(candidates));
        if (candidates.Count == 0) throw new InvalidSettingException("candidates", 0, "give at least one way to store the matrix.");
        if (tiles < 1) throw new InvalidSettingException("tiles", tiles, "draw at least one.");
        int tile = candidates[0].Tile;
        if (candidates.FirstOrDefault(c => c.Tile != tile) is { } other)
        {
            throw new InvalidSettingException("tile", $"{tile} and {other.Tile}", "compare candidates of one tile size.");
        }

        (float[] sample, int sampleRows, int sampleColumns) = Sample(weights, rows, columns, tile, seed, tiles);
        long count = (long)((rows + tile - 1) / tile) * ((columns + tile - 1) / tile),
            drawn = (long)((sampleRows + tile - 1) / tile) * ((sampleColumns + tile - 1) / tile);
        RatePoint[] points = new RatePoint[candidates.Count];
        for (int c = 0; c < points.Length; c++)
        {
            RbeCompressor.Compress(sample, sampleRows, sampleColumns, candidates[c], parallel ?? RbeCompressor.Threads(0), out CompressionReport report);
            points[c] = new RatePoint(candidates[c], (double)report.Bits / drawn * count, report.RelativeError);
        }

        return new RateCurve((long)rows * columns, points);
    }

    // Some whole tiles side by side, or the whole matrix.
    private static (float[] Values, int Rows, int Columns) Sample(ReadOnlySpan<float> weights, int rows, int columns, int tile, ulong seed, int tiles)
    {
        int across = columns / tile, whole = rows / tile * across;
        if (!Shape.Holds(weights.Length, rows, columns) || whole <= tiles) return (weights.ToArray(), rows, columns);
        int[] order = [.. Enumerable.Range(0, whole)];
        DeterministicRandom random = new(seed, 0);
        float[] values = new float[checked(tile * tile * tiles)];
        for (int s = 0; s < tiles; s++)
        {
            int drawn = s + random.NextBelow(whole - s);
            (order[s], order[drawn]) = (order[drawn], order[s]);
            for (int i = 0; i < tile; i++)
            {
                ReadOnlySpan<float> row = weights.Slice(((order[s] / across * tile) + i) * columns + (order[s] % across * tile), tile);
                row.CopyTo(values.AsSpan((i * tiles + s) * tile));
            }
        }

        return (values, tile, tile * tiles);
    }
}
