using RbeMl.Cli.Output;

namespace RbeMl.Cli.Inspect;

/// <summary>Something that every tile has a value of.</summary>
/// <param name="Name">Its name in the page's data.</param>
/// <param name="Unit">Its unit; empty for none.</param>
/// <param name="Title">What the pictures show.</param>
/// <param name="Reading">How to read them.</param>
/// <param name="Has">Whether it is known of a matrix.</param>
/// <param name="Of">Its values, by tile, row-major.</param>
/// <param name="Whole">The figures of a whole matrix, in words, a line each.</param>
internal sealed record TileQuantity(
    string Name, string Unit, string Title, string Reading, Func<MatrixFigures, bool> Has, Func<MatrixFigures, IEnumerable<double>> Of,
    Func<MatrixRecord, string[]> Whole)
{
    /// <summary>All of them.</summary>
    public static IReadOnlyList<TileQuantity> All { get; } =
    [
        new(
            "error", "", "Relative error: where compression lost most",
            "‖W − Ŵ‖ / ‖W‖ of each tile: 0 is exact, 1 keeps nothing. A matrix of one colour loses evenly; bright rows, columns or tiles "
            + "are those that more bits or coefficients would help.",
            m => m.TileErrors is not null, m => m.TileErrors!, m => m.RelativeError is { } error
            ? [$"error {Format.Figure(error)}", $"floor {Format.Figure(m.ShannonFloor)}"] : []),
        new(
            "norm", "", "Norm: where the weight is",
            "‖Ŵ‖ of each tile, the root of the sum of its squared weights, in the units of the weights. Dark tiles do little for the "
            + "output; bright stripes are strong inputs or outputs.",
            _ => true, m => Enumerable.Range(0, m.Matrix.TileCount).Select(m.Tiles.NormOf), m => [$"{Format.Figure(m.Norm)} in all"]),
        new(
            "alphas", "%", "Alphas: how much the basis functions carry by themselves",
            "Share of each tile's energy ‖Ŵ‖² that is the basis functions' own, in per cent; above 100 % where coefficients take some of "
            + "it away. Bright tiles are smooth or regular, dark ones live by their coefficients.",
            _ => true, m => Enumerable.Range(0, m.Matrix.TileCount).Select(t => 100 * m.Tiles.AlphaShareOf(t)),
            m => [$"{InspectTables.Percent(m.AlphaShare)} in all"]),
    ];
}
