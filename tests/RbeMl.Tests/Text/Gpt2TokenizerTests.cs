using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Text;

namespace RbeMl.Tests.Text;

public sealed class Gpt2TokenizerTests
{
    private static readonly string[] SmallMerges = ["h e", "l l", "he ll", "hell o", "\u0120 w", "o r", "\u0120w or", "l d", "a a", "aa a", "b b"];

    // Byte ids run backwards, so that nothing works by accident; the special token lies between bytes and merges.
    private static JsonObject SmallVocabulary()
    {
        JsonObject vocabulary = [];
        for (int b = 0; b < 256; b++) vocabulary[ByteAlphabet.Write([(byte)b])] = 255 - b;
        vocabulary[Gpt2Tokenizer.EndOfText] = 256;
        foreach (string merge in SmallMerges) vocabulary[merge.Replace(" ", "", StringComparison.Ordinal)] = vocabulary.Count;
        return vocabulary;
    }

    private static string SmallText() => "#version: 0.2\n" + string.Join('\n', SmallMerges) + "\n";

    private static Gpt2Tokenizer Parse(JsonObject vocabulary, string merges) => Gpt2Vocabulary.Parse(JsonSerializer.SerializeToElement(vocabulary), merges);

    [Fact]
    public void Merges_and_ids_are_those_of_the_files()
    {
        Gpt2Tokenizer tokenizer = Parse(SmallVocabulary(), SmallText());
        Assert.Equal(268, tokenizer.Vocabulary);
        Assert.Equal([260, 263, 264], tokenizer.Encode("hello world"));
        Assert.Equal([265, 266], tokenizer.Encode("aaaaa")); // aa aa a, from the left; then (aa, a)
        Assert.Equal("hello world", ((ITokenizer)tokenizer).Decode([260, 263, 264]));
        Assert.Equal("<|endoftext|>", Encoding.UTF8.GetString(tokenizer.Bytes(256)));
        Assert.DoesNotContain(256, tokenizer.Encode("a<|endoftext|>b"));
        Assert.Throws<TokenException>(() => tokenizer.Bytes(268));
    }

    [Fact]
    public void Files_and_json_give_the_same_tokenizer()
    {
        Gpt2Tokenizer tokenizer = Parse(SmallVocabulary(), SmallText());
        (string vocabulary, string merges) = Gpt2Vocabulary.Format(tokenizer);
        Assert.Equal(SmallText(), merges);
        using JsonDocument document = JsonDocument.Parse(vocabulary);
        Gpt2Tokenizer[] others =
            [Gpt2Vocabulary.Parse(document.RootElement, merges),
                (Gpt2Tokenizer)TokenizerJson.Load(JsonSerializer.SerializeToElement(TokenizerJson.Save(tokenizer)))];
        foreach (Gpt2Tokenizer other in others)
        {
            Assert.Equal(tokenizer.ByteIds, other.ByteIds);
            Assert.Equal(tokenizer.Merges, other.Merges);
            Assert.Equal(tokenizer.Special, other.Special);
        }
    }

    [Fact]
    public void A_learned_tokenizer_keeps_its_ids_in_the_files()
    {
        BytePairTokenizer learned = BytePairTokenizer.Train(string.Concat(Enumerable.Repeat("the cat sat on the mat; ", 30)), 280);
        (string vocabulary, string merges) = Gpt2Vocabulary.Format(learned);
        using JsonDocument document = JsonDocument.Parse(vocabulary);
        Gpt2Tokenizer read = Gpt2Vocabulary.Parse(document.RootElement, merges);
        Assert.True(learned.Merges.Count > 10);
        Assert.Equal(learned.Encode("the mat sat \u00e9"), read.Encode("the mat sat \u00e9"));
        Assert.False(TokenizerJson.Save(read).ContainsKey("results"));
        BytePairTokenizer twice = new([new('a', 'b'), new('b', 'c'), new(256, 'c'), new('a', 257)]);
        Assert.Contains("\"abc\"", Assert.Throws<InvalidSettingException>(() => Gpt2Vocabulary.Format(twice)).Message);
        Assert.Throws<InvalidSettingException>(() => Gpt2Vocabulary.Format(new ByteTokenizer()));
    }

    [Fact]
    public void Merging_equals_the_plain_algorithm_also_in_long_pieces()
    {
        // A merge that makes the pair of an earlier one: abc is made by merge 2 and by merge 4, (abc, ab) is merge 3.
        int[] bytes = [.. Enumerable.Range(0, 256)];
        TokenMerge[] merges =
            [new('a', 'b', 256), new('b', 'c', 257), new('a', 257, 258), new(258, 256, 259), new(256, 'c', 258), new(258, 258, 260),
                new(256, 256, 261), new('c', 'c', 262)];
        Gpt2Tokenizer tokenizer = new(bytes, merges, new Dictionary<string, int>());
        Random random = new(4);
        for (int i = 0; i < 400; i++)
        {
            string text = string.Concat(Enumerable.Range(0, i).Select(_ => "abc"[random.Next(3)]));
            Assert.Equal(Plain(merges, text), tokenizer.Encode(text));
        }

        Assert.Equal(100_000, tokenizer.Encode(string.Concat(Enumerable.Repeat("abcc", 100_000))).Length / 2);
    }

    // GPT-2's own loop: the earliest merge that applies, everywhere from left to right.
    private static int[] Plain(TokenMerge[] merges, string text)
    {
        List<int> tokens = [.. text.Select(c => (int)c)];
        while (true)
        {
            int best = Array.FindIndex(merges,
                m => Enumerable.Range(0, Math.Max(0, tokens.Count - 1)).Any(i => tokens[i] == m.Left && tokens[i + 1] == m.Right));
            if (best < 0) return [.. tokens];
            for (int i = 0; i + 1 < tokens.Count; i++)
            {
                if (tokens[i] != merges[best].Left || tokens[i + 1] != merges[best].Right) continue;
                tokens[i] = merges[best].Result;
                tokens.RemoveAt(i + 1);
            }
        }
    }

    [Fact]
    public void Vocabularies_and_merges_that_do_not_fit_are_refused()
    {
        Refuses("\"h\" of merge 0 is not in", v => v.Remove("h"));
        Refuses("\"hell\" of merge 2 is not in", v => v.Remove("hell"));
        Refuses("which another token has", v => v["he"] = 3);
        Refuses("which another token has", v => v["a"] = 3);
        Refuses("outside 0 .. 1048575", v => v["he"] = -1);
        Refuses("outside 0 .. 1048575", v => v["b"] = -1);
        Refuses("outside 0 .. 1048575", v => v["<|endoftext|>"] = int.MaxValue);
        Refuses("No merge makes the token \"hex\" (id 268)", v => v["hex"] = 268);
        Refuses("has no id", v => v["he"] = "1");
        Refuses("has no id", v => v["he"] = 1e30);
        Refuses("\"xy\" of merge 11 is not in", merges: SmallText() + "x y");
        Refuses("\"qq\" of merge 11", merges: SmallText() + "qq h");
        Refuses("No merge makes the token \"he\" (id 257) of the vocabulary: ", merges: SmallText().Replace("h e\n", "", StringComparison.Ordinal));
        Refuses("nor 10 others", merges: "");
        Refuses("no pair of tokens", merges: SmallText() + "he");
        Refuses("no pair of tokens", merges: SmallText() + "h e e");
        Refuses("no pair of tokens", merges: SmallText() + " h");
        Assert.Contains("of which one is made by no byte",
            Assert.Throws<TokenException>(() =>
            new Gpt2Tokenizer([.. Enumerable.Range(0, 256)], [new(256, 257, 258), new(258, 0, 256)], new Dictionary<string, int>())).Message);
        Assert.Contains("as an earlier one does",
            Assert.Throws<TokenException>(() =>
            new Gpt2Tokenizer([.. Enumerable.Range(0, 256)], [new(1, 2, 256), new(1, 2, 256)], new Dictionary<string, int>())).Message);
        Assert.Throws<TokenException>(() => Gpt2Vocabulary.Parse(JsonSerializer.SerializeToElement(new[] { 1 }), ""));

        static void Refuses(string message, Action<JsonObject>? change = null, string? merges = null)
        {
            JsonObject vocabulary = SmallVocabulary();
            change?.Invoke(vocabulary);
            Assert.Contains(message, Assert.Throws<TokenException>(() => Parse(vocabulary, merges ?? SmallText())).Message);
        }
    }

    [Theory]
    [InlineData("bytes", "[1,2]", "2 bytes")]
    [InlineData("bytes", "5", "bytes are missing")]
    [InlineData("results", "[256]", "11 merges, but 1 results")]
    [InlineData("special", "{\"x\":1.5}", "no id of its own")]
    [InlineData("special", "[]", "special tokens are missing")]
    [InlineData("special", "{\"\\ud800\":1}", "no Unicode")]
    [InlineData("added", "[]", "added tokens are missing")]
    [InlineData("unknown", "9999", "none of the vocabulary")]
    [InlineData("unknown", "\"a\"", "no id")]
    [InlineData("merges", "[1,2,3]", "odd in number")]
    public void Damaged_json_is_a_token_error(string key, string value, string message)
    {
        JsonObject json = TokenizerJson.Save(Parse(SmallVocabulary(), SmallText()));
        json.Remove(key);
        string text = json.ToJsonString()[..^1] + $",\"{key}\":{value}}}";
        using JsonDocument document = JsonDocument.Parse(text);
        Assert.Contains(message, Assert.Throws<TokenException>(() => TokenizerJson.Load(document.RootElement)).Message);
    }

    [Fact]
    public void Merges_that_double_the_length_stop_at_the_longest_token()
    {
        TokenMerge[] merges = [new('a', 'a', 256), .. Enumerable.Range(0, 40).Select(i => new TokenMerge(256 + i, 256 + i, 257 + i))];
        Assert.Contains("more than 1024",
            Assert.Throws<TokenException>(() => new Gpt2Tokenizer([.. Enumerable.Range(0, 256)], merges, new Dictionary<string, int>())).Message);
    }

    [Fact]
    public void The_byte_alphabet_is_one_to_one_and_printable()
    {
        byte[] all = [.. Enumerable.Range(0, 256).Select(i => (byte)i)];
        string text = ByteAlphabet.Write(all);
        Assert.Equal(256, text.Distinct().Count());
        Assert.Equal(all, ByteAlphabet.Read(text));
        Assert.DoesNotContain(text, c => char.IsControl(c) || char.IsWhiteSpace(c));
        Assert.Equal("\u0120", ByteAlphabet.Write(" "u8));
        Assert.Equal("\u010A", ByteAlphabet.Write("\n"u8));
        Assert.Null(ByteAlphabet.Read("a b"));
    }
}
