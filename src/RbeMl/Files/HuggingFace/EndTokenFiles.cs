using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>Where a Hugging Face folder says which token ends a text.</summary>
internal static class EndTokenFiles
{
    /// <summary>Key of the configurations.</summary>
    public const string Key = "eos_token_id";

    private const string GenerationName = "generation_config.json";
    private const int Limit = 1 << 24, Most = 1 << 10;

    /// <summary>
    /// The ids of generation_config.json, else of config.json; null where neither has any. Ids that the model does not have, such as the -1 that some write for
    /// none or the 50256 left in the configuration of a small model, are left out: they are never drawn.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    /// <exception cref="RbeFileException">A file is no JSON, or its value is neither a whole number nor a list of them.</exception>
    public static IReadOnlyList<int>? Read(string folder, int vocabulary)
    {
        string generation = Path.Combine(folder, GenerationName);
        List<int>? ids = (File.Exists(generation) ? Of(generation, "the settings of a model's generation") : null)
            ?? Of(Path.Combine(folder, Gpt2ConfigJson.FileName), "the configuration of a Hugging Face GPT-2");
        ids?.RemoveAll(id => (uint)id >= (uint)vocabulary);
        return ids is { Count: > 0 } ? [.. ids.Distinct()] : null;
    }

    /// <summary>
    /// The id of the <c>eos_token</c> that tokenizer_config.json or special_tokens_map.json names, null where none is found. What is wrong there says nothing:
    /// the tokenizer's files are no condition of the weights.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="tokenizer">Its tokenizer, or null.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    public static IReadOnlyList<int>? Named(string folder, Gpt2Tokenizer? tokenizer, int vocabulary)
    {
        if (tokenizer is null) return null;
        foreach (string file in new[] { "tokenizer_config.json", "special_tokens_map.json" })
        {
            if (NameIn(Path.Combine(folder, file)) is { } name && tokenizer.Named(name) is { } id && id < vocabulary) return [id];
        }

        return null;
    }

    /// <summary>Ids as configurations have them: one alone as a number.</summary>
    public static JsonNode Write(IReadOnlyList<int> ids) => ids.Count == 1 ? ids[0] : new JsonArray([.. ids.Select(id => (JsonNode)id)]);

    private static List<int>? Of(string path, string wanted)
    {
        if (!JsonFile.Object(path, wanted, Limit).TryGetProperty(Key, out JsonElement value) || value.ValueKind == JsonValueKind.Null) return null;
        if (value.ValueKind != JsonValueKind.Array) return [Id(path, value)];
        return value.GetArrayLength() <= Most ? [.. value.EnumerateArray().Select(item => Id(path, item))] : throw Wrong(path, value);
    }

    private static int Id(string path, JsonElement value) => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id) ? id
        : throw Wrong(path, value);

    private static RbeFileException Wrong(string path, JsonElement value)
    {
        string text = value.GetRawText();
        return new RbeFileException(path,
            $"its {Key} is {(text.Length <= 40 ? text : text[..40] + "...")}, expected a token id or a list of at most {Most}. Correct it, or remove it.");
    }

    private static string? NameIn(string path)
    {
        if (!File.Exists(path)) return null;
        try
        {
            JsonElement token = JsonFile.Object(path, "settings of a tokenizer", Limit).TryGetProperty("eos_token", out JsonElement found) ? found : default;
            if (token.ValueKind == JsonValueKind.Object && token.TryGetProperty("content", out JsonElement content)) token = content; // an added token
            return token.ValueKind == JsonValueKind.String ? token.GetString() : null;
        }
        catch (RbeFileException)
        {
            return null;
        }
    }
}
