using System.Text.Json;
using System.Text.Json.Nodes;

namespace RbeMl.Text;

/// <summary>
/// A <see cref="WordPieceTokenizer"/> as JSON: <c>{"kind": "wordpiece", "tokens": ["[PAD]", ...], "lowerCase": true, "stripAccents": true}</c>, and of
/// <c>splitIdeographs</c>, <c>classify</c>, <c>separator</c>, <c>unknown</c>, <c>pad</c>, <c>mask</c>, <c>prefix</c> and <c>maxWordLength</c> those that are
/// not as uncased BERT models have them.
/// </summary>
internal static class WordPieceJson
{
    public const string Kind = "wordpiece";

    private static readonly (string Key, Func<WordPieceRules, string> Get, Func<WordPieceRules, string, WordPieceRules> Set)[] Names =
    [
        ("classify", r => r.Classify, (r, name) => r with { Classify = name }), ("separator", r => r.Separator, (r, name) => r with { Separator = name }),
        ("unknown", r => r.Unknown, (r, name) => r with { Unknown = name }), ("pad", r => r.Pad, (r, name) => r with { Pad = name }),
        ("mask", r => r.Mask, (r, name) => r with { Mask = name }), ("prefix", r => r.Prefix, (r, name) => r with { Prefix = name }),
    ];

    /// <summary>The JSON of a tokenizer.</summary>
    public static JsonObject Save(WordPieceTokenizer tokenizer)
    {
        WordPieceRules rules = tokenizer.Rules, usual = new();
        JsonObject json = new()
        {
            ["kind"] = Kind,
            ["tokens"] = new JsonArray([.. tokenizer.Tokens.Select(token => (JsonNode)token)]),
            ["lowerCase"] = rules.LowerCase,
            ["stripAccents"] = rules.Strips,
        };
        if (!rules.SplitIdeographs) json["splitIdeographs"] = false;
        foreach (var (key, get, _) in Names)
        {
            if (get(rules) != get(usual)) json[key] = get(rules);
        }

        if (rules.MaxWordLength != usual.MaxWordLength) json["maxWordLength"] = rules.MaxWordLength;
        return json;
    }

    /// <summary>The tokenizer of a JSON.</summary>
    /// <exception cref="TokenException">It is damaged.</exception>
    public static WordPieceTokenizer Load(JsonElement json)
    {
        if (!json.TryGetProperty("tokens", out JsonElement list) || list.ValueKind != JsonValueKind.Array)
        {
            throw new TokenException("The tokenizer's tokens are missing. Save it again.");
        }

        List<string> tokens = new(list.GetArrayLength());
        foreach (JsonElement token in list.EnumerateArray())
        {
            tokens.Add(token.ValueKind == JsonValueKind.String ? token.GetString()!
                : throw new TokenException($"Token {tokens.Count} of the tokenizer is no text. Save it again."));
        }

        WordPieceRules rules = new()
        {
            LowerCase = Flag("lowerCase") ?? true,
            StripAccents = Flag("stripAccents"),
            SplitIdeographs = Flag("splitIdeographs") ?? true,
        };
        foreach (var (key, _, set) in Names)
        {
            if (!json.TryGetProperty(key, out JsonElement name)) continue;
            rules = set(rules, name.ValueKind == JsonValueKind.String ? name.GetString()! : throw Wrong(key));
        }

        if (json.TryGetProperty("maxWordLength", out JsonElement number))
        {
            bool whole = number.ValueKind == JsonValueKind.Number && number.TryGetInt32(out int most) && most > 0;
            rules = rules with { MaxWordLength = whole ? number.GetInt32() : throw Wrong("maxWordLength") };
        }

        return new WordPieceTokenizer(tokens, rules);

        bool? Flag(string key) => !json.TryGetProperty(key, out JsonElement value) ? null
            : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(key);

        static TokenException Wrong(string key) => new($"The tokenizer's {key} is of the wrong kind. Save it again.");
    }
}
