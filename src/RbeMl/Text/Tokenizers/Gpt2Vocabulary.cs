using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace RbeMl.Text;

/// <summary>
/// The texts of GPT-2's two tokenizer files: <c>vocab.json</c>, an object of tokens in the byte alphabet and their ids, and <c>merges.txt</c>, a version line
/// and then two tokens a line, in order.
/// </summary>
public static class Gpt2Vocabulary
{
    private const string VersionLine = "#version: 0.2";

    /// <summary>The tokenizer of the two texts.</summary>
    /// <param name="vocabulary">
    /// The object of vocab.json. A token that no merge makes is a special one if it is in angle or square brackets or not written in the byte alphabet.
    /// </param>
    /// <param name="merges">The text of merges.txt. Blank lines and comments, lines that start with # and are no merge of the vocabulary,
    /// are passed over.</param>
    /// <exception cref="TokenException">
    /// What a merge joins or makes is not in the vocabulary, the vocabulary has a token that neither is a byte nor made by a merge nor special, or ids are no
    /// numbers or occur twice.
    /// </exception>
    public static Gpt2Tokenizer Parse(JsonElement vocabulary, string merges)
    {
        ArgumentNullException.ThrowIfNull(merges);
        return Parts(vocabulary, merges).Create();
    }

    /// <summary>What the two texts say.</summary>
    internal static ByteLevelVocabulary Parts(JsonElement vocabulary, string merges)
    {
        Dictionary<string, int> ids = Ids(vocabulary);
        List<(string Left, string Right)> list = [];
        foreach (ReadOnlySpan<char> raw in merges.AsSpan().TrimStart('\uFEFF').EnumerateLines())
        {
            ReadOnlySpan<char> line = raw.Trim();
            if (line.IsEmpty || line.StartsWith("#version")) continue;
            int space = line.IndexOf(' ');
            bool pair = space > 0 && !line[(space + 1)..].Contains(' ');
            string left = pair ? line[..space].ToString() : "", right = pair ? line[(space + 1)..].ToString() : "";
            if (line[0] == '#' && !(pair && ids.ContainsKey(left) && ids.ContainsKey(right) && ids.ContainsKey(left + right))) continue;
            list.Add(pair ? (left, right)
                : throw new TokenException($"Merge {list.Count} is no pair of tokens with a space between. Give merges.txt as GPT-2 has it."));
        }

        return new ByteLevelVocabulary { Ids = ids, Merges = list };
    }

    /// <summary>The texts of a tokenizer's two files.</summary>
    /// <param name="tokenizer">A <see cref="Gpt2Tokenizer"/> or a <see cref="BytePairTokenizer"/>.</param>
    /// <exception cref="InvalidSettingException">The tokenizer is of another kind, or two of its tokens are the same bytes, which the files
    /// cannot say.</exception>
    public static (string Vocabulary, string Merges) Format(ITokenizer tokenizer)
    {
        Gpt2Tokenizer gpt2 = AsGpt2(tokenizer);
        Dictionary<string, int> ids = Names(gpt2, out string[] names);
        StringBuilder merges = new(VersionLine + "\n");
        foreach (TokenMerge merge in gpt2.Merges) merges.Append(names[merge.Left]).Append(' ').Append(names[merge.Right]).Append('\n');
        return (AsJson(ids).ToJsonString(), merges.ToString());
    }

    /// <summary>The text of a tokenizer's <c>tokenizer.json</c>, which says all there is to say of it.</summary>
    /// <param name="tokenizer">A <see cref="Gpt2Tokenizer"/> or a <see cref="BytePairTokenizer"/>.</param>
    /// <exception cref="InvalidSettingException">The tokenizer is of another kind, or two of its tokens are the same bytes, which the file
    /// cannot say.</exception>
    public static string FormatJson(ITokenizer tokenizer)
    {
        Gpt2Tokenizer gpt2 = AsGpt2(tokenizer);
        Dictionary<string, int> ids = Names(gpt2, out string[] names);
        JsonArray added = [.. gpt2.Special.Select(t => Token(t, true)).Concat(gpt2.Added.Select(t => Token(t, false))).OrderBy(t => (int)t["id"]!)];
        JsonObject json = new()
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = added,
            ["normalizer"] = null,
            ["pre_tokenizer"] = ByteLevel(),
            ["post_processor"] = ByteLevel(),
            ["decoder"] = ByteLevel(),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = gpt2.Unknown is { } unknown ? names[unknown] : null,
                ["continuing_subword_prefix"] = "",
                ["end_of_word_suffix"] = "",
                ["fuse_unk"] = false,
                ["byte_fallback"] = false,
                ["vocab"] = AsJson(ids),
                ["merges"] = new JsonArray([.. gpt2.Merges.Select(merge => (JsonNode)$"{names[merge.Left]} {names[merge.Right]}")]),
            },
        };
        return json.ToJsonString();

        static JsonObject ByteLevel() => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = true };

        static JsonNode Token(KeyValuePair<string, int> token, bool special) => new JsonObject
        {
            ["id"] = token.Value,
            ["content"] = token.Key,
            ["single_word"] = false,
            ["lstrip"] = false,
            ["rstrip"] = false,
            ["normalized"] = false,
            ["special"] = special,
        };
    }

    private static JsonObject AsJson(Dictionary<string, int> ids) => new(ids.Select(e => KeyValuePair.Create(e.Key, (JsonNode?)e.Value)));

    private static Gpt2Tokenizer AsGpt2(ITokenizer tokenizer) => tokenizer switch
    {
        Gpt2Tokenizer gpt2 => gpt2,
        BytePairTokenizer pairs =>
            new Gpt2Tokenizer([.. Enumerable.Range(0, 256)],
                [.. pairs.Merges.Select((merge, i) => new TokenMerge(merge.Left, merge.Right, 256 + i))], new Dictionary<string, int>()),
        _ => throw new InvalidSettingException("tokenizer", tokenizer?.GetType().Name,
            "vocab.json and merges.txt hold byte pairs: use Gpt2Tokenizer or BytePairTokenizer, or none."),
    };

    // Ids by name, in their order, and names by id. An added token that is also one of the vocabulary has two names; merges know that of the vocabulary.
    private static Dictionary<string, int> Names(Gpt2Tokenizer tokenizer, out string[] names)
    {
        names = new string[tokenizer.Vocabulary];
        HashSet<int> plain = [.. tokenizer.ByteIds, .. tokenizer.Merges.Select(merge => merge.Result)];
        foreach ((string name, int id) in tokenizer.Special.Concat(tokenizer.Added).Where(token => !plain.Contains(token.Value))) names[id] = name;
        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        for (int id = 0; id < names.Length; id++)
        {
            if (!tokenizer.IsToken(id)) continue;
            names[id] ??= ByteAlphabet.Write(tokenizer.Bytes(id));
            if (!ids.TryAdd(names[id], id))
            {
                throw new InvalidSettingException("tokenizer", $"ids {ids[names[id]]} and {id}",
                    $"both are \"{names[id]}\", vocab.json can hold it once. Write the model without its tokenizer.");
            }
        }

        return ids;
    }

    /// <summary>The bytes of a token as vocab.json writes it.</summary>
    /// <exception cref="TokenException">It holds a character that stands for no byte.</exception>
    public static ReadOnlyMemory<byte> BytesOf(string token)
        => ByteAlphabet.Read(token) ?? throw new TokenException($"The token \"{token}\" holds characters that stand for no byte. Use a byte-level vocabulary.");

    /// <summary>Ids by token of an object.</summary>
    internal static Dictionary<string, int> Ids(JsonElement vocabulary)
    {
        if (vocabulary.ValueKind != JsonValueKind.Object)
        {
            throw new TokenException("The vocabulary is no JSON object of tokens and ids. Give vocab.json as GPT-2 has it.");
        }

        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        foreach (JsonProperty entry in vocabulary.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.Number || !entry.Value.TryGetInt32(out int id))
            {
                throw new TokenException($"The token \"{entry.Name}\" of the vocabulary has no id. Give vocab.json as GPT-2 has it.");
            }

            if (id < 0) throw Gpt2Tokenizer.OutOfRange($"The token \"{entry.Name}\"", id);
            if (!ids.TryAdd(entry.Name, id)) throw new TokenException($"The token \"{entry.Name}\" is twice in the vocabulary. List each once.");
        }

        return ids;
    }
}
