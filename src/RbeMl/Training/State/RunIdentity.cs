using System.Globalization;
using System.IO.Hashing;
using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;

namespace RbeMl.Training;

/// <summary>
/// What decides the bits of a training, by name: model, data, and the settings that matter. A state is resumed by a run of the same identity
/// alone. Threads, memory and where files lie are not in it.
/// </summary>
internal sealed class RunIdentity
{
    /// <summary>Name of the trained values before the first step.</summary>
    public const string Start = "weights at the start";

    private readonly List<(string Name, string Value)> _values = [];

    /// <summary>All of it, in order.</summary>
    public IReadOnlyList<(string Name, string Value)> Values => _values;

    /// <summary>Adds something.</summary>
    public RunIdentity Add(string name, object? value)
    {
        _values.Add((name, Convert.ToString(value, CultureInfo.InvariantCulture) is { Length: > 0 } text ? text : "none"));
        return this;
    }

    /// <summary>Adds named values.</summary>
    public RunIdentity Add(IEnumerable<(string Name, object? Value)> values)
    {
        foreach ((string name, object? value) in values) Add(name, value);
        return this;
    }

    /// <summary>What a model is besides its trained values: shapes, formats, places, frozen codes.</summary>
    public static string Describe(TransformerModel<float> model)
    {
        (JsonObject metadata, List<RbeTensor> tensors) = ModelFile.Content(model, null, null);
        HashSet<string> trained = [.. model.Parameters.Slices.Select(slice => slice.Name)];
        XxHash128 hash = new();
        hash.Append(System.Text.Encoding.UTF8.GetBytes(metadata.ToJsonString()));
        foreach (RbeTensor tensor in tensors.Where(tensor => !trained.Contains(tensor.Name)))
        {
            hash.Append(System.Text.Encoding.UTF8.GetBytes(tensor.Name));
            tensor.Read(part => hash.Append(part));
        }

        TransformerConfig config = model.Config;
        return string.Create(CultureInfo.InvariantCulture,
            $"{Amount.Of(config.Layers, "block")} of width {config.Width}, {Amount.Of(config.Vocabulary, "token id")}, checksum ")
            + Convert.ToHexStringLower(hash.GetCurrentHash());
    }

    /// <summary>As it stands in a file's metadata.</summary>
    public JsonArray ToJson() => [.. _values.Select(value => (JsonNode)new JsonObject { ["name"] = value.Name, ["value"] = value.Value })];

    /// <summary>Refuses a state of another run.</summary>
    /// <param name="run">What the state says.</param>
    /// <param name="anyStart">Whether the weights at the start may be others: those of a file that the same run saved.</param>
    /// <exception cref="StateMismatchException">Something differs; it is named with both values.</exception>
    public void Require(IReadOnlyList<JsonFields> run, bool anyStart)
    {
        Dictionary<string, string> theirs = [];
        foreach (JsonFields entry in run) theirs[entry.Text("name")] = entry.Text("value");
        foreach ((string name, string value) in _values)
        {
            string other = theirs.TryGetValue(name, out string? found) ? found : "none";
            if (other == value || (anyStart && name == Start)) continue;
            throw new StateMismatchException(run.Count > 0 ? run[0].Path : "state", name, other, value,
                "Resume with what the run was begun with, or begin a new run without this state.");
        }
    }
}
