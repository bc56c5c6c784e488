using RbeMl.Codec;
using RbeMl.Files;

namespace RbeMl.Cli.Inspect;

/// <summary>A matrix of a file with what its tiles carry and, where known, their errors.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Matrix">The matrix.</param>
/// <param name="Bits">Stored bits, as a compression report counts them.</param>
/// <param name="Tiles">Energies of the tiles.</param>
/// <param name="RelativeError">‖W − Ŵ‖ / ‖W‖, or null.</param>
/// <param name="TileErrors">The same by tile, row-major, or null.</param>
internal sealed record MatrixFigures(string Name, RbeMatrix Matrix, long Bits, TileStatistics Tiles, double? RelativeError, IReadOnlyList<double>? TileErrors)
{
    /// <summary>Weights: rows x columns.</summary>
    public long Weights => (long)Matrix.Rows * Matrix.Columns;

    /// <summary>
    /// ‖W‖² of the original, from the error and what is stored: ‖Ŵ‖² / (1 − e²), as the error of a least-squares fit is orthogonal to the fit.
    /// </summary>
    public double OriginalEnergy => RelativeError is < 1 and { } error ? Tiles.Energy / (1 - error * error) : Tiles.Energy;

    /// <summary>The figures of a matrix; errors against <paramref name="reference"/> when there is one, otherwise those of the file.</summary>
    public static MatrixFigures Of(RbeMatrixInspection inspected, ReferenceWeights? reference)
    {
        RbeMatrix matrix = inspected.Matrix;
        TileStatistics tiles = TileStatistics.Of(matrix);
        if (reference is null)
        {
            return new MatrixFigures(inspected.Name, matrix, inspected.Bits, tiles, inspected.RelativeError, inspected.TileErrors is { } errors
                ? [.. errors.Select(e => (double)e)] : null);
        }

        CompressionReport report = RbeCompressor.Measure(matrix, reference.Read(inspected.Name, matrix.Rows, matrix.Columns));
        return new MatrixFigures(inspected.Name, matrix, inspected.Bits, tiles, report.RelativeError, report.TileErrors);
    }
}
