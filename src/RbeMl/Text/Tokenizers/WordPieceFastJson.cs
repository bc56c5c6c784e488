using System.Text.Json;

namespace RbeMl.Text;

/// <summary>
/// Hugging Face's <c>tokenizer.json</c>, as far as it says BERT's word pieces; what says anything else is named and refused, since texts would become
/// other ids.
/// </summary>
internal static class WordPieceFastJson
{
    private const int MostTokens = 1 << 24;

    /// <summary>Tokens, and how texts are taken apart.</summary>
    /// <exception cref="TokenException">It is of another kind, or damaged.</exception>
    public static (IReadOnlyList<string> Tokens, WordPieceRules Rules) Parse(JsonElement json)
    {
        JsonElement model = FastTokenizerJson.Member(json, "model") ?? throw new TokenException("The tokenizer has no model. Write it again.");
        string kind = FastTokenizerJson.Text(model, "type") ?? (FastTokenizerJson.Text(model, "continuing_subword_prefix") is null ? "none" : "WordPiece");
        if (kind != "WordPiece") throw Unknown("model", kind);
        JsonElement normalizer = Single(json, "normalizer", "BertNormalizer");
        Single(json, "pre_tokenizer", "BertPreTokenizer");
        if (!FastTokenizerJson.Flag(normalizer, "clean_text", true)) throw Unknown("normalizer", "BertNormalizer without clean_text");
        WordPieceRules usual = new();
        int longest = FastTokenizerJson.Member(model, "max_input_chars_per_word") is { ValueKind: JsonValueKind.Number } most
            && most.TryGetInt32(out int length) ? length : usual.MaxWordLength;
        if (longest < 1) throw new TokenException($"The tokenizer's max_input_chars_per_word is {longest}, and words have at least 1. Write it again.");
        WordPieceRules rules = usual with
        {
            LowerCase = FastTokenizerJson.Flag(normalizer, "lowercase", true),
            StripAccents = FastTokenizerJson.Member(normalizer, "strip_accents") is null ? null : FastTokenizerJson.Flag(normalizer, "strip_accents", true),
            SplitIdeographs = FastTokenizerJson.Flag(normalizer, "handle_chinese_chars", true),
            Unknown = FastTokenizerJson.Text(model, "unk_token") ?? usual.Unknown,
            Prefix = FastTokenizerJson.Text(model, "continuing_subword_prefix") ?? usual.Prefix,
            MaxWordLength = longest,
        };
        return (Tokens(json, model), rules);
    }

    private static string[] Tokens(JsonElement json, JsonElement model)
    {
        if (FastTokenizerJson.Member(model, "vocab") is not { ValueKind: JsonValueKind.Object } vocabulary)
        {
            throw new TokenException("The tokenizer's model has no vocabulary. Write it again.");
        }

        Dictionary<int, string> names = [];
        foreach (JsonProperty token in vocabulary.EnumerateObject())
        {
            Add(token.Name, token.Value.ValueKind == JsonValueKind.Number && token.Value.TryGetInt32(out int id) ? id : -1);
        }

        if (FastTokenizerJson.Member(json, "added_tokens") is { ValueKind: JsonValueKind.Array } added)
        {
            foreach (JsonElement token in added.EnumerateArray())
            {
                string name = FastTokenizerJson.Text(token, "content")
                    ?? throw new TokenException("An added token of the tokenizer has no content. Write it again.");
                Add(name, FastTokenizerJson.Member(token, "id") is { ValueKind: JsonValueKind.Number } number && number.TryGetInt32(out int id) ? id : -1);
            }
        }

        string[] tokens = new string[names.Count];
        for (int id = 0; id < tokens.Length; id++)
        {
            tokens[id] = names.GetValueOrDefault(id)
                ?? throw new TokenException($"The tokenizer's {Amount.Of(names.Count, "token")} have no id {id}. Number them from 0 without gaps.");
        }

        return tokens;

        void Add(string name, int id)
        {
            if (id is < 0 or >= MostTokens) throw new TokenException($"The token \"{name}\" of the tokenizer has no id. Write it again.");
            if (!names.TryAdd(id, name) && names[id] != name)
            {
                throw new TokenException($"The tokens \"{names[id]}\" and \"{name}\" of the tokenizer have the id {id}. Give each its own.");
            }
        }
    }

    private static JsonElement Single(JsonElement json, string part, string wanted)
    {
        JsonElement step = FastTokenizerJson.Member(json, part) ?? throw Unknown(part, "none");
        return FastTokenizerJson.Kind(step) == wanted ? step : throw Unknown(part, FastTokenizerJson.Kind(step));
    }

    private static TokenException Unknown(string part, string kind) =>
        new($"The tokenizer's {part} is {kind}, which is not read here; BERT's word pieces are. Put the model's vocab.txt in its place.");
}
