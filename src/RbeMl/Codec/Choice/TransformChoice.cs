using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>What one transform gave on the sampled tiles.</summary>
/// <param name="Transform">The transform.</param>
/// <param name="RelativeError">‖W − Ŵ‖ / ‖W‖ over the sample.</param>
/// <param name="Advantage">Mean of (a − b) / (a + b) over the tiles, a and b being the squared errors of the first candidate and of this
/// one, in standard errors of that mean; 0 for the first, infinite where all tiles agree.</param>
internal sealed record TransformScore(TileTransform Transform, double RelativeError, double Advantage);

/// <summary>
/// Chooses the transform of a matrix by measurement: sampled tiles are fitted with every candidate at the options' format, so that all cost the same bits.
/// The first candidate stays unless another has less error by more than chance explains.
/// </summary>
internal static class TransformChoice
{
    /// <summary>
    /// Standard errors by which another transform must win. On independent weights, where no transform is better, Student's t with the 7 degrees of freedom of
    /// eight tiles exceeds 5 once in 1300 comparisons, with 15 of sixteen once in 13000.
    /// </summary>
    public const double RequiredAdvantage = 5;

    /// <summary>Tiles needed to tell a difference from chance; with fewer the first candidate stays.</summary>
    public const int LeastTiles = 8;

    /// <summary>Chooses among all transforms, the cosine transform first, by sixteen tiles.</summary>
    /// <inheritdoc cref="Measure(ReadOnlySpan{float}, int, int, RbeOptions, IReadOnlyList{TileTransform}, int, ulong, out IReadOnlyList{TransformScore})"/>
    public static TileTransform Measure(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options) =>
        Measure(weights, rows, columns, options, Enum.GetValues<TileTransform>(), 16, 1, out _);

    /// <summary>Chooses among candidates.</summary>
    /// <param name="weights"><c>[rows * columns]</c> row-major, out x in.</param>
    /// <param name="rows">Output features.</param>
    /// <param name="columns">Input features.</param>
    /// <param name="options">Tile and format; the transform in it is not looked at.</param>
    /// <param name="candidates">The transforms, at least one; the first is kept in doubt.</param>
    /// <param name="sampleTiles">Tiles to fit, drawn without repetition among those that lie wholly inside; all if there are fewer.</param>
    /// <param name="seed">Seed of the draw; the same seed chooses the same on every machine up to rounding.</param>
    /// <param name="scores">The measurements, in the order of the candidates; empty if no tile lies wholly inside.</param>
    /// <exception cref="ShapeMismatchException">The span does not hold rows x columns values.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range, there is no candidate or no tile to sample.</exception>
    /// <exception cref="NonFiniteException">A weight of the sample is NaN or infinite.</exception>
    public static TileTransform Measure(
        ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, IReadOnlyList<TileTransform> candidates, int sampleTiles,
        ulong seed, out IReadOnlyList<TransformScore> scores)
    {
        ArgumentNullException.ThrowIfNull(candidates);
        _ = FormatPlan.From(options);
        if (candidates.Count == 0) throw new InvalidSettingException("candidates", "none", "name at least one transform.");
        if (sampleTiles < 1) throw new InvalidSettingException("sample tiles", sampleTiles, "use at least 1.");
        if (!Shape.Holds(weights.Length, rows, columns))
        {
            throw Shape.Mismatch("weights", weights.Length, "Pass the matrix row by row, out x in.", rows, columns);
        }

        int tile = options.Tile;
        int[] sample = Draw(rows / tile * (columns / tile), sampleTiles, seed);
        scores = [];
        if (sample.Length == 0) return candidates[0];

        // The sampled tiles on top of each other are a matrix of their own.
        float[] stacked = new float[checked(sample.Length * tile * tile)];
        for (int n = 0; n < sample.Length; n++)
        {
            int top = sample[n] / (columns / tile) * tile, left = sample[n] % (columns / tile) * tile;
            for (int i = 0; i < tile; i++) weights.Slice(((top + i) * columns) + left, tile).CopyTo(stacked.AsSpan(((n * tile) + i) * tile));
        }

        double[][] errors = [.. candidates.Select(t => SquaredErrors(stacked, sample.Length, options with { Transform = t }))];
        double norm = stacked.Sum(v => (double)v * v);
        TransformScore[] all =
            [.. candidates.Select((t, c) => new TransformScore(t, norm == 0 ? 0 : Math.Sqrt(errors[c].Sum() / norm), Advantage(errors[0], errors[c])))];
        scores = all;
        int best = 0;
        for (int c = 1; c < all.Length && sample.Length >= LeastTiles; c++)
        {
            if (all[c].Advantage > RequiredAdvantage && all[c].RelativeError < all[best].RelativeError) best = c;
        }

        return candidates[best];
    }

    private static int[] Draw(int count, int wanted, ulong seed)
    {
        int[] tiles = [.. Enumerable.Range(0, count)];
        DeterministicRandom random = new(seed, 0);
        int drawn = Math.Min(count, wanted);
        for (int i = 0; i < drawn; i++)
        {
            int j = i + random.NextBelow(count - i);
            (tiles[i], tiles[j]) = (tiles[j], tiles[i]);
        }

        return tiles[..drawn];
    }

    private static double[] SquaredErrors(float[] stacked, int tiles, RbeOptions options) =>
        RbeCompressor.Compress(stacked, tiles * options.Tile, options.Tile, options).MeasureTiles(stacked).Errors;

    // Mean of the paired differences over its standard error; every tile's in parts of its own errors, or the tiles of most energy would alone decide.
    private static double Advantage(double[] first, double[] other)
    {
        double[] gains = [.. first.Zip(other, (a, b) => a == b ? 0 : (a - b) / (a + b))];
        double mean = gains.Average();
        if (mean == 0 || gains.Length < 2) return 0;
        double variance = gains.Sum(g => (g - mean) * (g - mean)) / (gains.Length - 1);
        return variance == 0 ? Math.Sign(mean) * double.PositiveInfinity : mean / Math.Sqrt(variance / gains.Length);
    }
}
