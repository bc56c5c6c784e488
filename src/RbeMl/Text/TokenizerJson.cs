using System.Text.Json;
using System.Text.Json.Nodes;

namespace RbeMl.Text;

/// <summary>
/// Tokenizers as JSON, to travel inside a model file: <c>{"kind": "bytes"}</c>, <c>{"kind": "characters", "characters": "abc"}</c> or
/// <c>{"kind": "bpe", "merges": [left, right, left, right, ...]}</c>.
/// </summary>
public static class TokenizerJson
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
            ["merges"] = new JsonArray([.. bpe.Merges.SelectMany(merge => new JsonNode[] { merge.Left, merge.Right })]),
        },
        _ => throw new InvalidSettingException("tokenizer", tokenizer?.GetType().Name, "use ByteTokenizer, CharacterTokenizer or BytePairTokenizer, or save the model without one."),
    };

    /// <summary>The tokenizer of a JSON.</summary>
    /// <param name="json">What <see cref="Save"/> made.</param>
    /// <exception cref="TokenException">The JSON is of an unknown kind or damaged.</exception>
    public static ITokenizer Load(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object || !json.TryGetProperty("kind", out JsonElement kind) || kind.ValueKind != JsonValueKind.String)
        {
            throw new TokenException("The tokenizer has no kind. Save it again.");
        }

        return Text(kind) switch
        {
            "bytes" => new ByteTokenizer(),
            "characters" => Characters(json),
            "bpe" => new BytePairTokenizer(Merges(json)),
            var other => throw new TokenException($"Tokenizer kind \"{other}\" is unknown; this version knows bytes, characters and bpe. Update RbeMl."),
        };
    }

    private static CharacterTokenizer Characters(JsonElement json)
    {
        if (!json.TryGetProperty("characters", out JsonElement text) || text.ValueKind != JsonValueKind.String) throw new TokenException("The tokenizer's characters are missing. Save it again.");
        return new CharacterTokenizer([.. Text(text).EnumerateRunes()]);
    }

    private static TokenPair[] Merges(JsonElement json)
    {
        if (!json.TryGetProperty("merges", out JsonElement list) || list.ValueKind != JsonValueKind.Array || list.GetArrayLength() % 2 != 0)
        {
            throw new TokenException("The tokenizer's merges are missing or odd in number. Save it again.");
        }

        List<int> ids = new(list.GetArrayLength());
        foreach (JsonElement item in list.EnumerateArray())
        {
            ids.Add(item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int id) ? id : throw new TokenException($"The tokenizer's merge {ids.Count / 2} is no pair of ids. Save it again."));
        }

        return [.. ids.Chunk(2).Select(pair => new TokenPair(pair[0], pair[1]))];
    }

    private static string Text(JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException)
        {
            throw new TokenException("The tokenizer holds text that is no Unicode. Save it again.");
        }
    }
}
