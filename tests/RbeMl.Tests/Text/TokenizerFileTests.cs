using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Tests.Files;
using RbeMl.Text;

namespace RbeMl.Tests.Text;

/// <summary>Tokenizer files as other libraries write and damage them.</summary>
public sealed class TokenizerFileTests : IDisposable
{
    private static readonly string[] Merges = ["h e", "l l", "he ll", "hell o", "\u0120 w", "o r", "\u0120w or", "l d", "a a", "aa a", "# #", "\u00f0 \u0141"];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static JsonObject Vocabulary(Func<int, bool>? has = null, int step = 1)
    {
        JsonObject vocabulary = [];
        for (int b = 0; b < 256; b++)
        {
            if (has?.Invoke(b) != false) vocabulary[ByteAlphabet.Write([(byte)b])] = vocabulary.Count * step;
        }

        foreach (string merge in Merges) vocabulary[merge.Replace(" ", "", StringComparison.Ordinal)] = vocabulary.Count * step;
        vocabulary[Gpt2Tokenizer.EndOfText] = vocabulary.Count * step;
        return vocabulary;
    }

    private static JsonObject Json(JsonObject? vocabulary = null, bool pairs = false)
    {
        JsonObject ids = vocabulary ?? Vocabulary();
        return new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(Added(Gpt2Tokenizer.EndOfText, (int)ids[Gpt2Tokenizer.EndOfText]!, true)),
            ["normalizer"] = null,
            ["pre_tokenizer"] = ByteLevel(),
            ["post_processor"] = ByteLevel(),
            ["decoder"] = ByteLevel(),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["dropout"] = null,
                ["unk_token"] = null,
                ["continuing_subword_prefix"] = "",
                ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false,
                ["vocab"] = ids,
                ["merges"] = new JsonArray(
                    [.. Merges.Select(merge => pairs ? new JsonArray([.. merge.Split(' ').Select(part => (JsonNode)part)]) : (JsonNode)merge)]),
            },
        };
    }

    private static JsonObject ByteLevel() => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true };

    private static JsonObject Added(string content, int id, bool special) =>
        new()
        {
            ["id"] = id,
            ["content"] = content,
            ["single_word"] = false,
            ["lstrip"] = false,
            ["rstrip"] = false,
            ["normalized"] = false,
            ["special"] = special
        };

    private Gpt2Tokenizer Load(JsonObject json) => Gpt2TokenizerFiles.LoadJson(_folder.Write("tokenizer.json", json.ToJsonString()));

    private Gpt2Tokenizer Load(string vocabulary, string merges)
    {
        string path = _folder.Write("merges.txt", merges);
        return Gpt2TokenizerFiles.Load(_folder.Write("vocab.json", vocabulary), path);
    }

    private static string MergesText => "#version: 0.2\n" + string.Join('\n', Merges) + "\n";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_tokenizer_json_alone_is_read(bool pairs)
    {
        Gpt2Tokenizer expected = Load(Vocabulary().ToJsonString(), MergesText), read = Load(Json(pairs: pairs));
        Assert.Equal(expected.Merges, read.Merges);
        Assert.Equal(expected.ByteIds, read.ByteIds);
        Assert.Equal(expected.Special, read.Special);
        JsonObject split = Json();
        split["pre_tokenizer"] = new JsonObject
        {
            ["type"] = "Sequence",
            ["pretokenizers"] = new JsonArray(
                new JsonObject
                {
                    ["type"] = "Split",
                    ["pattern"] = new JsonObject { ["Regex"] = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+" },
                    ["behavior"] = "Isolated",
                    ["invert"] = false,
                },
                new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["use_regex"] = false }),
        };
        Assert.Equal(expected.Encode("hello world, aaaaa 's"), Load(split).Encode("hello world, aaaaa 's"));
        File.Delete(_folder.File("vocab.json"));
        File.Delete(_folder.File("merges.txt"));
        Assert.Equal(expected.Merges, Gpt2TokenizerFiles.LoadFolder(_folder.Path)!.Merges);
    }

    public static TheoryData<string, string, string> Unknown => new()
    {
        { "model", "{\"type\":\"WordPiece\",\"vocab\":{}}", "model is WordPiece" },
        { "model", "{\"type\":\"Unigram\",\"vocab\":[]}", "model is Unigram" },
        { "model/byte_fallback", "true", "BPE with byte_fallback" },
        { "model/ignore_merges", "true", "BPE with ignore_merges" },
        { "model/end_of_word_suffix", "\"</w>\"", "end_of_word_suffix = \"</w>\"" },
        { "model/dropout", "0.1", "BPE with dropout" },
        { "normalizer", "{\"type\":\"Lowercase\"}", "normalizer is Lowercase" },
        { "normalizer", "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}]}", "normalizer is NFC" },
        { "pre_tokenizer", "null", "pre_tokenizer is none" },
        { "pre_tokenizer", "{\"type\":\"Metaspace\"}", "pre_tokenizer is Metaspace" },
        { "pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}", "add_prefix_space" },
        { "pre_tokenizer", "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}", "without its pattern" },
        { "pre_tokenizer",
            "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]}",
                "pre_tokenizer is Digits" },
        { "pre_tokenizer",
            "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"\\\\w+\"},\"behavior\":\"Isolated\"},"
                + "{\"type\":\"ByteLevel\",\"add_prefix_space\":false}]}", "Split by the pattern" },
        { "decoder", "{\"type\":\"BPEDecoder\"}", "decoder is BPEDecoder" },
        { "model/merges", "[\"h e\"]", "No merge makes the token \"ll\"" },
        { "model/merges", "[\"h\"]", "no pair of tokens" },
        { "model/merges", "null", "no merges" },
        { "added_tokens", "[{\"id\":5,\"content\":\"<m>\",\"lstrip\":true}]", "one with lstrip" },
        { "added_tokens", "[{\"id\":5,\"content\":\"he\"}]", "has the id 256 in the vocabulary and 5" },
    };

    [Theory]
    [MemberData(nameof(Unknown))]
    public void Other_kinds_are_named_and_never_read_wrongly(string key, string value, string message)
    {
        JsonObject json = Json();
        string[] path = key.Split('/');
        JsonObject target = path.Length == 2 ? json[path[0]]!.AsObject() : json;
        target[path[^1]] = JsonNode.Parse(value);
        RbeFileException error = Assert.Throws<RbeFileException>(() => Load(json));
        Assert.Contains(message, error.Message);
        Assert.StartsWith(_folder.File("tokenizer.json"), error.Message);
    }

    /// <summary>Escapes of halves of surrogate pairs are sound JSON, but no text: reading such a text, or a property beside such a name, throws.</summary>
    [Theory]
    [InlineData("{'kind':'\\ud800'}")]
    [InlineData("{'kind':'characters','characters':'a\\udc00b'}")]
    [InlineData("{'kind':'bytes','\\ud83d':1}")]
    [InlineData("{'kind':'gpt2','bytes':[],'merges':[],'special':{'<\\ud800>':256}}")]
    [InlineData("{'kind':'bytelevel','bytes':[],'merges':[],'special':{},'added':{'\\ude00':256}}")]
    public void Half_a_surrogate_pair_in_a_kept_tokenizer_is_refused(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json.Replace('\'', '"'));
        Assert.Contains("no Unicode", Assert.Throws<TokenException>(() => TokenizerJson.Load(document.RootElement)).Message);
    }

    [Theory]
    [InlineData("tokenizer.json", "'type':'BPE'", "'type':'\\udfff'")]
    [InlineData("tokenizer.json", "'content':'", "'content':'\\ud800")]
    [InlineData("tokenizer.json", "'version':", "'\\ud83d':")]
    [InlineData("vocab.json", "'hell':", "'h\\ude00':")]
    [InlineData("added_tokens.json", "{", "{'\\ud800':300")]
    [InlineData("special_tokens_map.json", "{", "{'pad_token':'\\udc00'")]
    [InlineData("tokenizer_config.json", "{", "{'added_tokens_decoder':{'300':{'content':'\\ud800'}}")]
    public void Half_a_surrogate_pair_in_a_file_is_refused(string file, string text, string broken)
    {
        (text, broken) = (text.Replace('\'', '"'), broken.Replace('\'', '"'));
        if (file != "tokenizer.json")
        {
            _folder.Write("vocab.json", Vocabulary().ToJsonString());
            _folder.Write("merges.txt", MergesText);
        }

        string sound = file switch { "tokenizer.json" => Json().ToJsonString(), "vocab.json" => Vocabulary().ToJsonString(), _ => "{}" };
        Assert.Contains(text, sound);
        string path = _folder.Write(file, sound.Replace(text, broken, StringComparison.Ordinal));
        Assert.StartsWith(path, Assert.Throws<RbeFileException>(() => Gpt2TokenizerFiles.LoadFolder(_folder.Path)).Message);
    }

    [Theory]
    [InlineData("\"<y>\"")] // its name alone
    [InlineData("{\"content\":\"<y>\"}")]
    [InlineData("{\"content\":\"<y>\",\"special\":true}", true)]
    public void An_added_token_may_be_described_by_its_name_alone(string token, bool special = false)
    {
        _folder.Write("vocab.json", Vocabulary().ToJsonString());
        _folder.Write("merges.txt", MergesText);
        _folder.Write("tokenizer_config.json", $"{{\"added_tokens_decoder\":{{\"402\":{token},\"403\":7,\"404\":null}}}}");
        Gpt2Tokenizer tokenizer = Gpt2TokenizerFiles.LoadFolder(_folder.Path)!;
        Assert.Equal(402, Assert.Contains("<y>", special ? tokenizer.Special : tokenizer.Added));
        Assert.Equal(403, tokenizer.Vocabulary);
    }

    [Theory]
    [InlineData("\uFEFF#version: 0.2\r\n", "\r\n", "")]
    [InlineData("#version: 0.2 - Trained by `huggingface/tokenizers`\n\n  \n", "\n\n", "\n\n")]
    [InlineData("# a comment of words\n# two\n", " \n", "\t\n#\n")]
    [InlineData("", "\r\n\r\n", "")]
    public void Marks_comments_and_blank_lines_change_nothing(string start, string between, string end)
    {
        Gpt2Tokenizer expected = Load(Vocabulary().ToJsonString(), MergesText),
            read = Load("\uFEFF" + Vocabulary().ToJsonString(), start + string.Join(between, Merges) + end);
        Assert.Equal(expected.Merges, read.Merges);
        Assert.Single(read.Encode("##"));
        Assert.Equal(expected.Encode("## hello #"), read.Encode("## hello #"));
    }

    [Fact]
    public void Of_a_repeated_merge_the_last_counts_and_order_is_rank_alone()
    {
        Gpt2Tokenizer usual = Load(Vocabulary().ToJsonString(), MergesText);
        int Id(string token) => (int)Vocabulary()[token]!;
        Assert.Equal([Id("hello")], usual.Encode("hello"));

        // "he" goes after "ll" and "hell" now: h e l l o -> h e ll o -> he ll o -> nothing makes hell of (he, ll) any more earlier, so it goes on.
        Gpt2Tokenizer repeated = Load(Vocabulary().ToJsonString(), MergesText + "h e\n");
        Assert.Equal(new TokenMerge(Id("h"), Id("e"), Id("he")), repeated.Merges[^1]);
        Assert.Equal(Merges.Length, repeated.Merges.Count);
        Assert.Equal([Id("hello")], repeated.Encode("hello"));

        // A token of two ways: aa a or a aa; a merge that is listed before its parts are made is a matter of rank.
        JsonObject vocabulary = Vocabulary();
        Gpt2Tokenizer reversed = Load(vocabulary.ToJsonString(), string.Join('\n', Merges.Reverse()));
        Assert.Equal(Merges.Length, reversed.Merges.Count);
        Assert.Equal([Id("hello")], reversed.Encode("hello"));
    }

    [Fact]
    public void Ids_of_a_gap_are_no_tokens_and_decode_to_nothing()
    {
        Gpt2Tokenizer tokenizer = Load(Vocabulary(step: 3).ToJsonString(), MergesText);
        Assert.Equal((256 + Merges.Length) * 3 + 1, tokenizer.Vocabulary);
        ITokenizer general = tokenizer;
        for (int id = -1; id <= tokenizer.Vocabulary; id++) Assert.Equal(id >= 0 && id < tokenizer.Vocabulary && id % 3 == 0, general.IsToken(id));
        Assert.Empty(tokenizer.Bytes(1).ToArray());
        Assert.Equal("ab", general.Decode([3 * 'a', 1, 2, 3 * 'b']));
        Assert.Throws<TokenException>(() => tokenizer.Bytes(tokenizer.Vocabulary));
        Assert.Equal("hello world", general.Decode(tokenizer.Encode("hello world")));
        ITokenizer bytes = new ByteTokenizer();
        Assert.Equal((true, false, false), (bytes.IsToken(255), bytes.IsToken(256), bytes.IsToken(-1)));
    }

    [Fact]
    public void A_byte_without_a_token_is_an_error_or_the_tokenizers_unknown_token()
    {
        JsonObject json = Json(Vocabulary(b => b is < 128 or 0xF0 or 0x9F));
        Gpt2Tokenizer none = Load(json);
        Assert.Equal("plain", ((ITokenizer)none).Decode(none.Encode("plain")));
        Assert.Contains("Character '\u00e9' (U+00E9) needs byte 0xC3, which has no token in this vocabulary",
            Assert.Throws<TokenException>(() => none.Encode("caf\u00e9")).Message);
        Assert.Null(none.Unknown);
        json["model"]!["unk_token"] = Gpt2Tokenizer.EndOfText;
        Gpt2Tokenizer known = Load(json);
        int end = known.Special[Gpt2Tokenizer.EndOfText];
        Assert.Equal(end, known.Unknown);
        Assert.Equal([known.ByteIds['f'], end, end], known.Encode("f\u00e9"));
        Gpt2Tokenizer kept = (Gpt2Tokenizer)TokenizerJson.Load(JsonSerializer.SerializeToElement(TokenizerJson.Save(known)));
        Assert.Equal("bytelevel", (string)TokenizerJson.Save(known)["kind"]!);
        Assert.Equal(known.Encode("f\u00e9"), kept.Encode("f\u00e9"));
        json["model"]!["unk_token"] = "[nowhere]";
        Assert.Contains("[nowhere]", Assert.Throws<RbeFileException>(() => Load(json)).Message);
        json["model"]!["fuse_unk"] = true;
        Assert.Contains("fuse_unk", Assert.Throws<RbeFileException>(() => Load(json)).Message);
    }

    [Fact]
    public void Special_tokens_are_text_unless_asked_for_and_added_ones_always_ids()
    {
        JsonObject json = Json();
        json["added_tokens"]!.AsArray().Add(Added("<fim>", 300, true));
        json["added_tokens"]!.AsArray().Add(Added("<fim>x", 301, true));
        json["added_tokens"]!.AsArray().Add(Added("   ", 302, false));
        Gpt2Tokenizer tokenizer = Load(json);
        int end = tokenizer.Special[Gpt2Tokenizer.EndOfText];
        const string Text = "hello<|endoftext|> a   hello<fim>x<fim>y";
        Assert.Equal("hello<|endoftext|> a   hello<fim>x<fim>y", ((ITokenizer)tokenizer).Decode(tokenizer.Encode(Text)));
        int[] plain = tokenizer.Encode(Text), special = tokenizer.EncodeWithSpecial(Text);
        Assert.DoesNotContain(plain, id => id == end || id is 300 or 301);
        Assert.Contains(302, plain);
        Assert.Equal([tokenizer.Encode("hello")[0], end, .. tokenizer.Encode(" a"), 302, tokenizer.Encode("hello")[0], 301, 300,
            tokenizer.ByteIds['y']], special);
        Assert.Equal(Text, ((ITokenizer)tokenizer).Decode(special));
        Assert.Equal([1, 2], ((ITokenizer)new ByteTokenizer()).EncodeWithSpecial("\u0001\u0002"));
    }

    [Fact]
    public void Files_beside_the_vocabulary_name_special_and_added_tokens()
    {
        JsonObject vocabulary = Vocabulary();
        vocabulary["PAD"] = vocabulary.Count; // no brackets: only the map says what it is
        _folder.Write("vocab.json", vocabulary.ToJsonString());
        _folder.Write("merges.txt", MergesText);
        Assert.Contains("No merge makes the token \"PAD\"", Assert.Throws<RbeFileException>(() => Gpt2TokenizerFiles.LoadFolder(_folder.Path)).Message);
        _folder.Write("special_tokens_map.json", "{\"pad_token\":{\"content\":\"PAD\",\"lstrip\":false},\"additional_special_tokens\":[\"<x>\"]}");
        _folder.Write("added_tokens.json", "{\"<x>\":400,\"\\t\\t\":401}");
        _folder.Write("tokenizer_config.json", "{\"added_tokens_decoder\":{\"402\":{\"content\":\"<y>\",\"special\":true}},\"eos_token\":\"<|endoftext|>\"}");
        Gpt2Tokenizer tokenizer = Gpt2TokenizerFiles.LoadFolder(_folder.Path)!;
        Assert.Equal([("<x>", 400), ("<y>", 402), (Gpt2Tokenizer.EndOfText, vocabulary.Count - 2), ("PAD", vocabulary.Count - 1)],
            tokenizer.Special.Select(t => (t.Key, t.Value)).Order());
        Assert.Equal(("\t\t", 401), tokenizer.Added.Select(t => (t.Key, t.Value)).Single());
        Assert.Equal([tokenizer.ByteIds['a'], 401, tokenizer.ByteIds['b']], tokenizer.Encode("a\t\tb"));
        _folder.Write("tokenizer_config.json", "{\"add_prefix_space\":true}");
        Assert.Contains("add_prefix_space", Assert.Throws<RbeFileException>(() => Gpt2TokenizerFiles.LoadFolder(_folder.Path)).Message);
    }

    [Theory]
    [InlineData("vocab.txt", "WordPiece")]
    [InlineData("tokenizer.model", "SentencePiece")]
    public void Tokenizers_of_other_files_are_named(string file, string kind)
    {
        _folder.Write(file, "x");
        Assert.Contains(kind, Assert.Throws<RbeFileException>(() => Gpt2TokenizerFiles.LoadFolder(_folder.Path)).Message);
    }

    [Theory]
    [InlineData("usual")]
    [InlineData("gaps")]
    [InlineData("few bytes")]
    [InlineData("added")]
    public void What_was_read_is_kept_and_written_with_the_same_ids(string kind)
    {
        JsonObject json =
            Json(kind switch
            {
                "gaps" => Vocabulary(step: 2),
                "few bytes" => Vocabulary(b => b % 3 != 0 || b is 'l' or 'o' or 'r' or 'a' or 0xF0 or 0x9F),
                _ => Vocabulary()
            });
        if (kind == "few bytes") json["model"]!["unk_token"] = Gpt2Tokenizer.EndOfText;
        if (kind == "added") json["added_tokens"]!.AsArray().Add(Added("aa", 264, false));
        if (kind == "added") json["added_tokens"]!.AsArray().Add(Added("\ud83d\ude00!", 900, false));
        Gpt2Tokenizer read = Load(json), kept = (Gpt2Tokenizer)TokenizerJson.Load(JsonSerializer.SerializeToElement(TokenizerJson.Save(read)));
        string folder = Directory.CreateDirectory(_folder.File("written")).FullName;
        Gpt2TokenizerFiles.Save(folder, kept);
        Gpt2Tokenizer written = Gpt2TokenizerFiles.LoadFolder(folder)!;
        Assert.Equal(read.Special, written.Special);
        Assert.Equal(read.Vocabulary, written.Vocabulary);
        Random random = new(3);
        string[] parts =
            ["hello", " world", "aa", "aaa", "##", "<|endoftext|>", "\ud83d\ude00", "\ud83d\ude00!", "\ud83d", "\ude00", "\0", "\u0001",
                "\u007f", "\u0085", "\u2028", "\r\n", "\t", "  ", "\u00e9", "\u4e16", "'ll", "12", "\ufeff"];
        for (int i = 0; i < 400; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(12))
                .Select(_ => random.Next(3) == 0 ? ((char)random.Next(0x10000)).ToString() : parts[random.Next(parts.Length)]));
            int[] ids = read.Encode(text), special = read.EncodeWithSpecial(text);
            Assert.Equal(ids, kept.Encode(text));
            Assert.Equal(ids, written.Encode(text));
            Assert.Equal(special, kept.EncodeWithSpecial(text));
            Assert.Equal(special, written.EncodeWithSpecial(text));

            // Halves of surrogate pairs become U+FFFD, as everywhere in .NET.
            if (kind != "few bytes") Assert.Equal(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)), ((ITokenizer)read).Decode(ids));
        }
    }
}
