using System.Globalization;
using System.Text.Json;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>
/// What the files beside <c>vocab.json</c> say of special and added tokens: <c>added_tokens.json</c>, <c>special_tokens_map.json</c> and
/// <c>tokenizer_config.json</c>, each of which may be missing.
/// </summary>
internal sealed class AddedTokenFiles
{
    private const int Limit = 1 << 24;
    private readonly HashSet<string> _special = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);

    private AddedTokenFiles()
    {
    }

    /// <summary>Reads the files of a folder.</summary>
    /// <exception cref="RbeFileException">One is damaged, or asks for what is not done here.</exception>
    public static AddedTokenFiles Read(string folder)
    {
        AddedTokenFiles files = new();
        if (Open(folder, "added_tokens.json") is var (addedPath, added))
        {
            foreach (JsonProperty token in added.EnumerateObject())
            {
                files.Add(addedPath, token.Name, token.Value.ValueKind == JsonValueKind.Number && token.Value.TryGetInt32(out int id) ? id : -1);
            }
        }

        if (Open(folder, "special_tokens_map.json") is var (_, map)) files.AddNames(map, _ => true);
        if (Open(folder, "tokenizer_config.json") is var (path, config)) files.ReadConfig(path, config);
        return files;
    }

    /// <summary>A vocabulary with these tokens.</summary>
    public ByteLevelVocabulary AddTo(ByteLevelVocabulary parts)
    {
        Dictionary<string, int> special = new(StringComparer.Ordinal), added = new(StringComparer.Ordinal);
        foreach (string name in _special)
        {
            if (_ids.TryGetValue(name, out int id) || parts.Ids.TryGetValue(name, out id)) special.Add(name, id);
        }

        foreach ((string name, int id) in _ids)
        {
            if (!special.ContainsKey(name)) added.Add(name, id);
        }

        return parts with { Special = special, Added = added };
    }

    private static (string Path, JsonElement Json)? Open(string folder, string name)
    {
        string path = Path.Combine(folder, name);
        return File.Exists(path) ? (path, JsonFile.Object(path, "a description of tokens", Limit)) : null;
    }

    private void ReadConfig(string path, JsonElement config)
    {
        if (config.TryGetProperty("add_prefix_space", out JsonElement prefix) && prefix.ValueKind == JsonValueKind.True)
        {
            throw new RbeFileException(path,
                "asks for a space before every text (add_prefix_space), which is not done here. Give token ids, or set it to false.");
        }

        if (config.TryGetProperty("added_tokens_decoder", out JsonElement decoder) && decoder.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty token in decoder.EnumerateObject())
            {
                string? name = Name(token.Value);
                if (name is null) continue;
                Add(path, name, int.TryParse(token.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : -1);
                if (token.Value.ValueKind != JsonValueKind.Object) continue; // its name alone
                if (token.Value.TryGetProperty("special", out JsonElement special) && special.ValueKind == JsonValueKind.True) _special.Add(name);
                Plain(path, name, token.Value);
            }
        }

        AddNames(config, key => key.EndsWith("_token", StringComparison.Ordinal) || key is "additional_special_tokens" or "extra_special_tokens");
    }

    // A name, an object with one, or lists of these.
    private void AddNames(JsonElement json, Func<string, bool> wanted)
    {
        foreach (JsonProperty entry in json.EnumerateObject())
        {
            if (!wanted(entry.Name)) continue;
            IEnumerable<JsonElement> values = entry.Value.ValueKind == JsonValueKind.Array ? entry.Value.EnumerateArray() : [entry.Value];
            foreach (string name in values.Select(Name).OfType<string>()) _special.Add(name);
        }
    }

    private void Add(string path, string name, int id)
    {
        if (id < 0) throw new RbeFileException(path, $"gives the token \"{name}\" no id. Write it again.");
        if (!_ids.TryAdd(name, id) && _ids[name] != id)
        {
            throw new RbeFileException(path, $"gives the token \"{name}\" the id {id}, another file {_ids[name]}. Use the files of one tokenizer.");
        }
    }

    private static void Plain(string path, string name, JsonElement token)
    {
        try
        {
            FastTokenizerJson.RequirePlain(name, token);
        }
        catch (TokenException error)
        {
            throw new RbeFileException(path, error.Message, error);
        }
    }

    private static string? Name(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString(),
        JsonValueKind.Object when value.TryGetProperty("content", out JsonElement content) && content.ValueKind == JsonValueKind.String => content.GetString(),
        _ => null,
    };
}
