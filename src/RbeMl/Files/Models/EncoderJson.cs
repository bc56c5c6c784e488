using System.Text.Json.Nodes;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// How an encoder makes a vector of a text, in the metadata of a <c>.rbe</c> file: <c>"architecture": "bert"</c> and <c>"encoder": {"pooling": "Mean",
/// "normalize": true}</c>, with <c>maxTokens</c>, <c>longTexts</c>, <c>prompts</c> and <c>defaultPrompt</c> where they say something.
/// </summary>
internal static class EncoderJson
{
    /// <summary>Key of the kind of model.</summary>
    public const string ArchitectureKey = "architecture";

    private const string Key = "encoder";
    private const int MostTokens = 1 << 24;

    /// <summary>Adds the settings of an encoder.</summary>
    public static void AddTo(JsonObject metadata, TransformerConfig config, EncoderSettings settings)
    {
        if (ModelFolders.Kinds.FirstOrDefault(kind => kind.Holds(config)) is { } kind) metadata[ArchitectureKey] = kind.ModelType;
        JsonObject json = new() { ["pooling"] = settings.Pooling.ToString(), ["normalize"] = settings.Normalize };
        if (settings.MaxTokens is { } most) json["maxTokens"] = most;
        if (settings.LongTexts != LongTexts.Cut) json["longTexts"] = settings.LongTexts.ToString();
        if (settings.Prompts.Count > 0)
        {
            json["prompts"] = new JsonObject(settings.Prompts.OrderBy(prompt => prompt.Key, StringComparer.Ordinal)
                .Select(prompt => KeyValuePair.Create(prompt.Key, (JsonNode?)prompt.Value)));
        }

        if (settings.DefaultPrompt is { } name) json["defaultPrompt"] = name;
        metadata[Key] = json;
    }

    /// <summary>The settings of an encoder; null where the file is of none.</summary>
    /// <exception cref="RbeFileException">They are damaged, do not fit the model, or are of a kind of model that a later version knows.</exception>
    public static EncoderSettings? Read(JsonFields metadata, TransformerConfig config)
    {
        if (metadata.Json.TryGetProperty(ArchitectureKey, out _))
        {
            string type = metadata.Text(ArchitectureKey);
            ModelFolderKind kind = ModelFolders.Kinds.FirstOrDefault(kind => kind.ModelType == type)
                ?? throw metadata.Unknown(ArchitectureKey, type, string.Join(", ", ModelFolders.Kinds.Select(kind => kind.ModelType)));
            if (!kind.Holds(config))
            {
                throw new RbeFileException(metadata.Path, $"says that it is a {kind.Name}, but its configuration is of {config.Describe()}. Write it again.");
            }
        }

        if (metadata.OptionalObject(Key) is not { } fields) return null;
        EncoderSettings settings = new()
        {
            Pooling = fields.Name<Pooling>("pooling"),
            Normalize = fields.Flag("normalize"),
            MaxTokens = fields.OptionalWhole("maxTokens", 1, MostTokens),
            LongTexts = fields.OptionalName<LongTexts>("longTexts") ?? LongTexts.Cut,
            Prompts = fields.OptionalObject("prompts") is { } prompts
                ? prompts.Json.EnumerateObject().ToDictionary(prompt => prompt.Name, prompt => prompts.Text(prompt.Name), StringComparer.Ordinal)
                : new Dictionary<string, string>(),
            DefaultPrompt = fields.Json.TryGetProperty("defaultPrompt", out _) ? fields.Text("defaultPrompt") : null,
        };
        try
        {
            return settings.Validate(config);
        }
        catch (InvalidSettingException error)
        {
            throw new RbeFileException(metadata.Path, $"its encoder settings do not fit the model: {error.Message} Write it again.", error);
        }
    }
}
