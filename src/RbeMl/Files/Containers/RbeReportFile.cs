using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// What compression measured, beside its matrix: <c>"report": { "relativeError" }</c> in the matrix's metadata and the tensor <c>name.tileErrors</c> f32
/// [tiles]. Both are optional; readers of the weights pass them over.
/// </summary>
internal static class RbeReportFile
{
    /// <summary>The key in a matrix's metadata.</summary>
    public const string Key = "report";

    /// <summary>The tensor of the errors of tiles.</summary>
    public static string TensorName(string name) => $"{name}.tileErrors";

    /// <summary>The metadata of a report.</summary>
    public static JsonObject Describe(CompressionReport report) => new() { ["relativeError"] = report.RelativeError };

    /// <summary>The errors of tiles.</summary>
    /// <exception cref="ShapeMismatchException">The report is of a matrix with another number of tiles.</exception>
    /// <exception cref="NonFiniteException">An error is NaN or infinite.</exception>
    public static RbeTensor Tensor(string name, RbeMatrix matrix, CompressionReport report)
    {
        int tiles = matrix.TileCount;
        if (report.TileErrors.Count != tiles)
        {
            throw new ShapeMismatchException($"report of \"{name}\"", $"{tiles} tiles", $"{report.TileErrors.Count}", "Give the report of this matrix.");
        }

        float[] errors = [.. report.TileErrors.Select(error => (float)error)];
        int bad = Array.FindIndex(errors, error => !float.IsFinite(error));
        if (bad >= 0 || !double.IsFinite(report.RelativeError))
        {
            throw FiniteWeights.NotFinite(TensorName(name), bad >= 0 ? errors[bad] : (float)report.RelativeError, Math.Max(bad, 0));
        }

        return RbeTensor.From(TensorName(name), errors, tiles);
    }

    /// <summary>Whether a matrix's metadata has a report.</summary>
    public static bool Exists(JsonFields matrix) => matrix.OptionalObject(Key) is not null;

    /// <summary>Reads a report; null when there is none.</summary>
    public static (double RelativeError, float[] TileErrors)? Read(RbeContainer file, JsonFields fields, string name, int tiles) =>
        fields.OptionalObject(Key) is { } report ? (report.Real("relativeError"), file.Read<float>(TensorName(name), tiles)) : null;
}
