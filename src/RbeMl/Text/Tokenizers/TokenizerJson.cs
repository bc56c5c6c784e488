using System.Text.Json;
using System.Text.Json.Nodes;

namespace RbeMl.Text;

/// <summary>
/// Tokenizers as JSON, to travel inside a model file: <c>{"kind": "bytes"}</c>, <c>{"kind": "characters", "characters": "abc"}</c>,
/// <c>{"kind": "bpe", "merges": [left, right, left, right, ...]}</c> or <c>{"kind": "gpt2", "bytes": [256 ids], "merges": [left, right, ...], "results":
/// [id, ...], "special": {"name": id}}</c>, where results that are 256, 257 and so on are left out; the last is of kind <c>"bytelevel"</c> where it has added
/// tokens, <c>"added": {"name": id}</c>, or one for bytes without an id (-1), <c>"unknown": id</c>. For <c>"wordpiece"</c> see <see cref="WordPieceJson"/>.
/// </summary>
internal static class TokenizerJson
{
    /// <summary>The JSON of a tokenizer.</summary>
    /// <exception cref="InvalidSettingException">The tokenizer is none of this library's kinds.</exception>
    public static JsonObject Save(ITokenizer tokenizer) => tokenizer switch
    {
        ByteTokenizer => new JsonObject { ["kind"] = "bytes" },
        CharacterTokenizer characters => new JsonObject { ["kind"] = "characters", ["characters"] = string.Concat(characters.Characters) },
        BytePairTokenizer bpe => new JsonObject
        {
            ["kind"] = "bpe",
            ["merges"] = Array(bpe.Merges.SelectMany(merge => new[] { merge.Left, merge.Right })),
        },
        Gpt2Tokenizer gpt2 => Save(gpt2),
        WordPieceTokenizer pieces => WordPieceJson.Save(pieces),
        _ => throw new InvalidSettingException("tokenizer", tokenizer?.GetType().Name,
            "use ByteTokenizer, CharacterTokenizer, BytePairTokenizer, Gpt2Tokenizer or WordPieceTokenizer, or save the model without one."),
    };

    /// <summary>The tokenizer of a JSON.</summary>
    /// <param name="json">What <see cref="Save(ITokenizer)"/> made.</param>
    /// <exception cref="TokenException">The JSON is of an unknown kind or damaged.</exception>
    public static ITokenizer Load(JsonElement json)
    {
        try
        {
            return Read(json);
        }
        catch (InvalidOperationException)
        {
            // Escapes of unpaired surrogates are valid JSON, but reading such a text, or any property beside such a name, throws.
            throw new TokenException("The tokenizer holds text that is no Unicode. Save it again.");
        }
    }

    private static ITokenizer Read(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object || !json.TryGetProperty("kind", out JsonElement kind) || kind.ValueKind != JsonValueKind.String)
        {
            throw new TokenException("The tokenizer has no kind. Save it again.");
        }

        return kind.GetString() switch
        {
            "bytes" => new ByteTokenizer(),
            "characters" => Characters(json),
            "bpe" => new BytePairTokenizer(Merges(json)),
            "gpt2" or "bytelevel" => Gpt2(json),
            WordPieceJson.Kind => WordPieceJson.Load(json),
            var other => throw new TokenException($"Tokenizer kind \"{other}\" is unknown; this version knows bytes, characters, bpe, "
                + $"gpt2, bytelevel and {WordPieceJson.Kind}. Update RbeMl."),
        };
    }

    private static CharacterTokenizer Characters(JsonElement json)
    {
        if (!json.TryGetProperty("characters", out JsonElement text) || text.ValueKind != JsonValueKind.String)
        {
            throw new TokenException("The tokenizer's characters are missing. Save it again.");
        }

        return new CharacterTokenizer([.. text.GetString()!.EnumerateRunes()]);
    }

    private static JsonObject Save(Gpt2Tokenizer tokenizer)
    {
        JsonObject json = new()
        {
            ["kind"] = "gpt2",
            ["bytes"] = Array(tokenizer.ByteIds),
            ["merges"] = Array(tokenizer.Merges.SelectMany(merge => new[] { merge.Left, merge.Right })),
            ["special"] = Object(tokenizer.Special),
        };
        IEnumerable<int> results = tokenizer.Merges.Select(merge => merge.Result);
        if (!results.SequenceEqual(Enumerable.Range(256, tokenizer.Merges.Count))) json["results"] = Array(results);
        if (tokenizer.Added.Count > 0 || tokenizer.Unknown is not null) json["kind"] = "bytelevel"; // a reader that does not know it must not ignore it
        if (tokenizer.Added.Count > 0) json["added"] = Object(tokenizer.Added);
        if (tokenizer.Unknown is { } unknown) json["unknown"] = unknown;
        return json;
    }

    private static Gpt2Tokenizer Gpt2(JsonElement json)
    {
        TokenPair[] pairs = Merges(json);
        List<int> results = json.TryGetProperty("results", out _) ? Ids(json, "results") : [.. Enumerable.Range(256, pairs.Length)];
        if (results.Count != pairs.Length)
        {
            throw new TokenException($"The tokenizer has {Amount.Of(pairs.Length, "merge")}, but {results.Count} results. Save it again.");
        }

        int? unknown = null;
        if (json.TryGetProperty("unknown", out JsonElement stand))
        {
            unknown = stand.ValueKind == JsonValueKind.Number && stand.TryGetInt32(out int id) ? id
                : throw new TokenException("The tokenizer's unknown token is no id. Save it again.");
        }

        Dictionary<string, int>? added = json.TryGetProperty("added", out _) ? NamedIds(json, "added") : null;
        return new Gpt2Tokenizer(Ids(json, "bytes"), [.. pairs.Zip(results, (pair, result) => new TokenMerge(pair.Left, pair.Right, result))],
            NamedIds(json, "special"), added, unknown);
    }

    private static Dictionary<string, int> NamedIds(JsonElement json, string key)
    {
        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        if (!json.TryGetProperty(key, out JsonElement names) || names.ValueKind != JsonValueKind.Object)
        {
            throw new TokenException($"The tokenizer's {key} tokens are missing. Save it again.");
        }

        foreach (JsonProperty entry in names.EnumerateObject())
        {
            string name = entry.Name;
            if (entry.Value.ValueKind != JsonValueKind.Number || !entry.Value.TryGetInt32(out int id) || !ids.TryAdd(name, id))
            {
                throw new TokenException($"The tokenizer's {key} token \"{name}\" has no id of its own. Save it again.");
            }
        }

        return ids;
    }

    private static TokenPair[] Merges(JsonElement json)
    {
        List<int> ids = Ids(json, "merges");
        return ids.Count % 2 == 0 ? [.. ids.Chunk(2).Select(pair => new TokenPair(pair[0], pair[1]))]
            : throw new TokenException("The tokenizer's merges are odd in number. Save it again.");
    }

    private static List<int> Ids(JsonElement json, string key)
    {
        if (!json.TryGetProperty(key, out JsonElement list) || list.ValueKind != JsonValueKind.Array)
        {
            throw new TokenException($"The tokenizer's {key} are missing. Save it again.");
        }

        List<int> ids = new(list.GetArrayLength());
        foreach (JsonElement item in list.EnumerateArray())
        {
            ids.Add(item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int id) ? id
                : throw new TokenException($"Number {ids.Count} of the tokenizer's {key} is no id. Save it again."));
        }

        return ids;
    }

    private static JsonObject Object(IReadOnlyDictionary<string, int> ids) => new(ids.Select(entry => KeyValuePair.Create(entry.Key, (JsonNode?)entry.Value)));

    private static JsonArray Array(IEnumerable<int> ids) => new([.. ids.Select(id => (JsonNode)id)]);
}
