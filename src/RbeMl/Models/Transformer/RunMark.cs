using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>
/// Which training run wrote a file, and with which weights: what belongs together carries the same. The same run with the same seed has the
/// same mark.
/// </summary>
/// <param name="RunId">The run, hexadecimal.</param>
/// <param name="WeightsHash">All trained values, see <see cref="HashOf"/>.</param>
public sealed record RunMark(string RunId, string WeightsHash)
{
    private const string IdKey = "runId", WeightsKey = "weightsHash";

    /// <summary>
    /// XxHash128 of all trained values (fp32, little-endian, in the order of <see cref="TransformerModel{T}.Parameters"/>, without the gaps
    /// between them), hexadecimal.
    /// </summary>
    /// <param name="model">The model.</param>
    public static string HashOf(TransformerModel<float> model)
    {
        ArgumentNullException.ThrowIfNull(model);
        using Hold held = model.Parameters.Lease.Share();
        XxHash128 hash = new();
        foreach (Layers.ParameterSlice slice in model.Parameters.Slices) hash.Append(MemoryMarshal.AsBytes<float>(model.Parameters.Of(slice)));
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    /// <summary>That of a file's metadata; null when it has none.</summary>
    /// <param name="metadata">Metadata of a <c>.rbe</c> file, or another JSON object with these keys.</param>
    public static RunMark? Of(JsonElement metadata) =>
        metadata.ValueKind == JsonValueKind.Object && Text(metadata, IdKey) is { } id && Text(metadata, WeightsKey) is { } weights
            ? new RunMark(id, weights) : null;

    internal void AddTo(JsonObject metadata) => (metadata[IdKey], metadata[WeightsKey]) = (RunId, WeightsHash);

    private static string? Text(JsonElement json, string key) =>
        json.TryGetProperty(key, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;
}
