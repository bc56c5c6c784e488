using System.Text;
using System.Text.Json;

namespace RbeMl.Text;

/// <summary>
/// The texts of GPT-2's two tokenizer files: <c>vocab.json</c>, an object of tokens in the byte alphabet and their ids, and <c>merges.txt</c>, a version line
/// and then two tokens a line, in order.
/// </summary>
public static class Gpt2Vocabulary
{
    private const string VersionLine = "#version: 0.2";

    /// <summary>The tokenizer of the two texts.</summary>
    /// <param name="vocabulary">The object of vocab.json. A token that is no byte and that no merge makes is a special one.</param>
    /// <param name="merges">The text of merges.txt.</param>
    /// <exception cref="TokenException">A byte, or what a merge joins or makes, is not in the vocabulary; ids are no numbers, occur twice or leave gaps.</exception>
    public static Gpt2Tokenizer Parse(JsonElement vocabulary, string merges)
    {
        ArgumentNullException.ThrowIfNull(merges);
        Dictionary<string, int> ids = Ids(vocabulary);
        int[] byteIds = new int[256];
        HashSet<string> used = new(StringComparer.Ordinal);
        for (int b = 0; b < 256; b++) byteIds[b] = Find(ByteAlphabet.Write([(byte)b]), $"byte {b}");
        List<TokenMerge> list = [];
        bool start = true;
        foreach (ReadOnlySpan<char> raw in merges.AsSpan().EnumerateLines())
        {
            bool version = start && raw.StartsWith("#version");
            start = false;
            if (version || raw.IsEmpty) continue;
            int space = raw.IndexOf(' ');
            if (space <= 0 || space + 1 == raw.Length || raw[(space + 1)..].Contains(' ')) throw new TokenException($"Merge {list.Count} is no pair of tokens with a space between. Give merges.txt as GPT-2 has it.");
            string what = $"merge {list.Count}", left = raw[..space].ToString(), right = raw[(space + 1)..].ToString();
            list.Add(new TokenMerge(Find(left, what), Find(right, what), Find(left + right, what)));
        }

        return new Gpt2Tokenizer(byteIds, list, ids.Where(entry => !used.Contains(entry.Key)).ToDictionary(StringComparer.Ordinal));

        int Find(string token, string what)
        {
            used.Add(token);
            return ids.TryGetValue(token, out int id) ? id : throw new TokenException($"The token \"{token}\" of {what} is not in the vocabulary. Use vocabulary and merges of the same tokenizer.");
        }
    }

    /// <summary>The texts of a tokenizer's two files.</summary>
    /// <param name="tokenizer">A <see cref="Gpt2Tokenizer"/> or a <see cref="BytePairTokenizer"/>.</param>
    /// <exception cref="InvalidSettingException">The tokenizer is of another kind, or two of its tokens are the same bytes, which the files cannot say.</exception>
    public static (string Vocabulary, string Merges) Format(ITokenizer tokenizer)
    {
        (IReadOnlyList<TokenMerge> list, IReadOnlyDictionary<string, int> special) = tokenizer switch
        {
            Gpt2Tokenizer gpt2 => (gpt2.Merges, gpt2.Special),
            BytePairTokenizer pairs => ([.. pairs.Merges.Select((merge, i) => new TokenMerge(merge.Left, merge.Right, 256 + i))], new Dictionary<string, int>()),
            _ => throw new InvalidSettingException("tokenizer", tokenizer?.GetType().Name, "vocab.json and merges.txt hold byte pairs: use Gpt2Tokenizer or BytePairTokenizer, or none."),
        };
        Dictionary<int, string> names = special.ToDictionary(entry => entry.Value, entry => entry.Key);
        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        for (int id = 0; id < tokenizer.Vocabulary; id++)
        {
            if (!names.TryGetValue(id, out string? name)) names.Add(id, name = ByteAlphabet.Write(tokenizer.Bytes(id)));
            if (!ids.TryAdd(name, id)) throw new InvalidSettingException("tokenizer", $"ids {ids[name]} and {id}", $"both are \"{name}\", vocab.json can hold it once. Write the model without its tokenizer.");
        }

        StringBuilder merges = new(VersionLine + "\n");
        foreach (TokenMerge merge in list) merges.Append(names[merge.Left]).Append(' ').Append(names[merge.Right]).Append('\n');
        return (JsonSerializer.Serialize(ids), merges.ToString());
    }

    /// <summary>The bytes of a token as vocab.json writes it.</summary>
    /// <exception cref="TokenException">It holds a character that stands for no byte.</exception>
    public static ReadOnlyMemory<byte> BytesOf(string token)
        => ByteAlphabet.Read(token) ?? throw new TokenException($"The token \"{token}\" holds characters that stand for no byte. Use a byte-level vocabulary.");

    private static Dictionary<string, int> Ids(JsonElement vocabulary)
    {
        if (vocabulary.ValueKind != JsonValueKind.Object) throw new TokenException("The vocabulary is no JSON object of tokens and ids. Give vocab.json as GPT-2 has it.");
        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        foreach (JsonProperty entry in vocabulary.EnumerateObject())
        {
            if (entry.Value.ValueKind != JsonValueKind.Number || !entry.Value.TryGetInt32(out int id)) throw new TokenException($"The token \"{entry.Name}\" of the vocabulary has no id. Give vocab.json as GPT-2 has it.");
            if (!ids.TryAdd(entry.Name, id)) throw new TokenException($"The token \"{entry.Name}\" is twice in the vocabulary. List each once.");
        }

        return ids;
    }
}
