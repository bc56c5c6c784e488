using RbeMl.Codec;

namespace RbeMl.Compression;

/// <summary>
/// Refuses sizes that no choice of formats comes down to. What a format takes is the same for every tile, so that one tile tells it before any work.
/// </summary>
/// <param name="options">Tile and transform of the choice.</param>
internal sealed class LeastSize(RbeOptions options)
{
    private readonly Lazy<double> _bitsOfTile = new(() =>
    {
        int tile = options.Tile;
        float[] values = [.. Enumerable.Range(0, tile * tile).Select(i => MathF.Sin(i))]; // any values: only their number counts
        return RateCurve.Measure(values, tile, tile, ChoiceSettings.CandidatesFor(tile, options.Transform)).Points.Min(point => point.Bits);
    });

    /// <summary>Checks a size for matrices that share it.</summary>
    /// <param name="target">What a choice aims at; an error is not looked at.</param>
    /// <param name="what">Whose size it is, for the message; empty for all matrices.</param>
    /// <param name="shapes">Rows and columns.</param>
    /// <exception cref="UnreachableTargetException">Even the smallest formats take more.</exception>
    public void Require(ChoiceTarget? target, string what, params IEnumerable<(long Rows, long Columns)> shapes)
    {
        if (target?.BitsPerWeight is not { } bits) return;
        double tiles = 0, weights = 0;
        foreach ((long rows, long columns) in shapes)
        {
            tiles += (double)((rows + options.Tile - 1) / options.Tile) * ((columns + options.Tile - 1) / options.Tile);
            weights += (double)rows * columns;
        }

        if (tiles * _bitsOfTile.Value <= bits * weights) return;
        throw new UnreachableTargetException(FormattableString.Invariant($"A size of {bits:G4} bits a weight{what}"), tiles * _bitsOfTile.Value / weights,
            "Allow more bits, or offer smaller formats.");
    }
}
