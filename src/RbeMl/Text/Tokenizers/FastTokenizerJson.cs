using System.Text.Json;

namespace RbeMl.Text;

/// <summary>
/// Hugging Face's <c>tokenizer.json</c>, as far as it says byte-level byte pairs with GPT-2's rules; what says anything else is named and refused, since texts
/// would become other ids. What a post-processor puts around a text is not added to it. https://github.com/huggingface/tokenizers.
/// </summary>
internal static class FastTokenizerJson
{
    // GPT-2's pattern, as its own code and as later ones write it.
    private static readonly string[] Patterns =
    [
        @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        @"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        @"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s",
    ];

    /// <summary>The tokenizer.</summary>
    /// <exception cref="TokenException">It is of another kind, or damaged.</exception>
    public static Gpt2Tokenizer Parse(JsonElement json)
    {
        JsonElement model = Member(json, "model") ?? throw new TokenException("The tokenizer has no model. Write it again.");
        string kind = Text(model, "type") ?? (Member(model, "merges") is null ? "none" : "BPE");
        if (kind != "BPE") throw Unknown("model", kind);
        foreach (string affix in (string[])["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (!string.IsNullOrEmpty(Text(model, affix))) throw Unknown("model", $"BPE with {affix} = \"{Text(model, affix)}\"");
        }

        foreach (string flag in (string[])["byte_fallback", "ignore_merges"])
        {
            if (Flag(model, flag, false)) throw Unknown("model", $"BPE with {flag}");
        }

        if (Member(model, "dropout") is { ValueKind: JsonValueKind.Number } dropout && dropout.GetDouble() != 0) throw Unknown("model", "BPE with dropout");
        string? unknown = Text(model, "unk_token");
        if (unknown is not null && Flag(model, "fuse_unk", false)) throw Unknown("model", "BPE with fuse_unk");
        foreach (JsonElement normalizer in Steps(json, "normalizer", "normalizers")) throw Unknown("normalizer", Kind(normalizer));
        CheckPreTokenizer(Steps(json, "pre_tokenizer", "pretokenizers"));
        if (Member(json, "decoder") is not null && !Steps(json, "decoder", "decoders").Any(step => Kind(step) == "ByteLevel"))
        {
            throw Unknown("decoder", Kind(Member(json, "decoder")!.Value));
        }

        (Dictionary<string, int> special, Dictionary<string, int> added) = AddedTokens(json);
        return new ByteLevelVocabulary
        {
            Ids = Gpt2Vocabulary.Ids(Member(model, "vocab") ?? default),
            Merges = Merges(Member(model, "merges")),
            Special = special,
            Added = added,
            Unknown = unknown,
        }.Create();
    }

    private static void CheckPreTokenizer(List<JsonElement> steps)
    {
        if (steps.Count == 0) throw Unknown("pre_tokenizer", "none");
        if (steps.Select(Kind).FirstOrDefault(kind => kind is not ("Split" or "ByteLevel")) is { } other) throw Unknown("pre_tokenizer", other);
        JsonElement bytes = steps[^1];
        if (Kind(bytes) != "ByteLevel") throw Unknown("pre_tokenizer", Kind(bytes));
        if (Flag(bytes, "add_prefix_space", true)) throw Unknown("pre_tokenizer", "ByteLevel with add_prefix_space");
        if (steps.Count == 1 && !Flag(bytes, "use_regex", true)) throw Unknown("pre_tokenizer", "ByteLevel without its pattern");
        if (steps.Count == 1) return;
        JsonElement split = steps[0];
        string? pattern = Member(split, "pattern") is { ValueKind: JsonValueKind.Object } given ? Text(given, "Regex") : null;
        if (steps.Count > 2 || Kind(split) != "Split" || Text(split, "behavior") != "Isolated" || Flag(split, "invert", false))
        {
            throw Unknown("pre_tokenizer", string.Join(" and ", steps.Select(Kind)));
        }

        if (!Patterns.Contains(pattern)) throw Unknown("pre_tokenizer", $"Split by the pattern {pattern ?? "of a plain text"}");
    }

    private static (Dictionary<string, int> Special, Dictionary<string, int> Added) AddedTokens(JsonElement json)
    {
        Dictionary<string, int> special = new(StringComparer.Ordinal), added = new(StringComparer.Ordinal);
        if (Member(json, "added_tokens") is not { ValueKind: JsonValueKind.Array } list) return (special, added);
        foreach (JsonElement token in list.EnumerateArray())
        {
            int id = token.ValueKind == JsonValueKind.Object && Member(token, "id") is { ValueKind: JsonValueKind.Number } number
                && number.TryGetInt32(out int whole) ? whole : -1;
            string name = (id < 0 ? null : Text(token, "content"))
                ?? throw new TokenException("An added token of the tokenizer has no id and content. Write it again.");
            RequirePlain(name, token);
            if (special.ContainsKey(name) || added.ContainsKey(name))
            {
                throw new TokenException($"The token \"{name}\" is added twice to the tokenizer. List each once.");
            }

            (Flag(token, "special", false) ? special : added).Add(name, id);
        }

        return (special, added);
    }

    /// <summary>Refuses an added token that takes spaces or the rest of a word with it.</summary>
    internal static void RequirePlain(string name, JsonElement token)
    {
        foreach (string flag in (string[])["lstrip", "rstrip", "single_word"])
        {
            if (Flag(token, flag, false)) throw Unknown($"token \"{name}\"", $"one with {flag}");
        }
    }

    private static List<(string Left, string Right)> Merges(JsonElement? list)
    {
        if (list is not { ValueKind: JsonValueKind.Array } array) throw new TokenException("The tokenizer's model has no merges. Write it again.");
        List<(string, string)> merges = new(array.GetArrayLength());
        foreach (JsonElement item in array.EnumerateArray())
        {
            string[] pair = item.ValueKind switch
            {
                JsonValueKind.String => item.GetString()!.Split(' '),
                JsonValueKind.Array => [.. item.EnumerateArray().Select(part => part.ValueKind == JsonValueKind.String ? part.GetString()! : "")],
                _ => [],
            };
            merges.Add(pair is [{ Length: > 0 } left, { Length: > 0 } right] ? (left, right)
                : throw new TokenException($"Merge {merges.Count} of the tokenizer is no pair of tokens. Write it again."));
        }

        return merges;
    }

    // One step or a Sequence of them; none where there is none.
    private static List<JsonElement> Steps(JsonElement json, string key, string list)
    {
        if (Member(json, key) is not { } step) return [];
        if (Kind(step) != "Sequence") return [step];
        return Member(step, list) is { ValueKind: JsonValueKind.Array } steps ? [.. steps.EnumerateArray()] : throw Unknown(key, "a Sequence of nothing");
    }

    internal static string Kind(JsonElement step) => (step.ValueKind == JsonValueKind.Object ? Text(step, "type") : null) ?? "without a type";

    internal static JsonElement? Member(JsonElement json, string key) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    internal static string? Text(JsonElement json, string key) => Member(json, key) is { ValueKind: JsonValueKind.String } text ? text.GetString() : null;

    internal static bool Flag(JsonElement json, string key, bool missing) =>
        Member(json, key) is { ValueKind: JsonValueKind.True or JsonValueKind.False } flag ? flag.GetBoolean() : missing;

    private static TokenException Unknown(string part, string kind) =>
        new($"The tokenizer's {part} is {kind}, which is not read here; byte-level byte pairs with GPT-2's rules are. Give token ids, or "
            + $"convert the tokenizer.");
}
