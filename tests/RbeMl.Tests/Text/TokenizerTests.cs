using System.Text;
using System.Text.Json;
using CsCheck;
using RbeMl.Text;

namespace RbeMl.Tests.Text;

public sealed class TokenizerTests
{
    private const string Sample =
        "The cat sat on the mat. The cats sat on the mats, and the dog's hat is on the cat's mat.\n\nIt's the 1st of 2000 mats; naïve 😀😀 cats!\n";

    public static TheoryData<string> Kinds => ["bytes", "characters", "bpe"];

    private static ITokenizer Make(string kind) => kind switch
    {
        "bytes" => new ByteTokenizer(),
        "characters" => CharacterTokenizer.FromText(Sample),
        _ => BytePairTokenizer.Train(Sample, 300),
    };

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Decoding_gives_the_text_back(string kind)
    {
        ITokenizer tokenizer = Make(kind);
        int[] ids = tokenizer.Encode(Sample);
        Assert.All(ids, id => Assert.InRange(id, 0, tokenizer.Vocabulary - 1));
        Assert.Equal(Sample, tokenizer.Decode(ids));
        Assert.Empty(tokenizer.Encode(""));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Streaming_gives_the_same_text_with_no_broken_character(string kind)
    {
        ITokenizer tokenizer = Make(kind);
        StreamingDecoder decoder = new(tokenizer);
        StringBuilder text = new();
        foreach (int id in tokenizer.Encode(Sample))
        {
            string part = decoder.Push(id);
            Assert.DoesNotContain('\uFFFD', part);
            text.Append(part);
        }

        Assert.Equal("", decoder.Flush());
        Assert.Equal(Sample, text.ToString());
    }

    [Fact]
    public void Streaming_any_bytes_equals_decoding_them_at_once()
    {
        ITokenizer tokenizer = new ByteTokenizer();
        Gen.Int[0, 255].Array[0, 30].Sample(
            ids =>
            {
                StreamingDecoder decoder = new(tokenizer);
                string streamed = string.Concat(ids.Select(decoder.Push)) + decoder.Flush();
                Assert.Equal(tokenizer.Decode(ids), streamed);
            },
            iter: 2000,
            threads: 1);
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Json_gives_the_same_tokenizer(string kind)
    {
        ITokenizer tokenizer = Make(kind);
        ITokenizer loaded = TokenizerJson.Load(JsonSerializer.SerializeToElement(TokenizerJson.Save(tokenizer)));
        Assert.Equal(tokenizer.GetType(), loaded.GetType());
        Assert.Equal(tokenizer.Vocabulary, loaded.Vocabulary);
        Assert.Equal(tokenizer.Encode(Sample), loaded.Encode(Sample));
    }

    [Theory]
    [InlineData("[]", "no kind")]
    [InlineData("{\"kind\":5}", "no kind")]
    [InlineData("{\"kind\":\"words\"}", "\"words\" is unknown")]
    [InlineData("{\"kind\":\"characters\"}", "characters are missing")]
    [InlineData("{\"kind\":\"characters\",\"characters\":\"\"}", "no characters")]
    [InlineData("{\"kind\":\"characters\",\"characters\":\"ba\"}", "ascending")]
    [InlineData("{\"kind\":\"characters\",\"characters\":\"aa\"}", "ascending")]
    [InlineData("{\"kind\":\"characters\",\"characters\":\"\\udc00\"}", "no Unicode")]
    [InlineData("{\"kind\":\"bpe\"}", "merges are missing")]
    [InlineData("{\"kind\":\"bpe\",\"merges\":[1]}", "odd in number")]
    [InlineData("{\"kind\":\"bpe\",\"merges\":[1,\"x\"]}", "is no id")]
    [InlineData("{\"kind\":\"bpe\",\"merges\":[1,1000000000]}", "only 0 .. 255 exist")]
    [InlineData("{\"kind\":\"bpe\",\"merges\":[1,2,256,257]}", "only 0 .. 256 exist")]
    [InlineData("{\"kind\":\"bpe\",\"merges\":[1,2,1,2]}", "List each once")]
    [InlineData("{\"kind\":\"bpe\",\"merges\":[1,1,256,256,257,257,258,258,259,259,260,260,261,261,262,262]}", "more than 192")]
    public void Damaged_json_is_a_token_error(string json, string message)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        Assert.Contains(message, Assert.Throws<TokenException>(() => TokenizerJson.Load(document.RootElement)).Message);
    }

    [Fact]
    public void An_unknown_character_is_named()
    {
        CharacterTokenizer tokenizer = CharacterTokenizer.FromText("abc");
        string message = Assert.Throws<TokenException>(() => tokenizer.Encode("abxc")).Message;
        Assert.Contains("'x' (U+0078) at place 2", message);
        Assert.Contains("U+000A", Assert.Throws<TokenException>(() => tokenizer.Encode("\n")).Message);
        Assert.Throws<TokenException>(() => CharacterTokenizer.FromText(""));
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Ids_outside_the_vocabulary_have_no_bytes_and_decode_to_nothing(string kind)
    {
        ITokenizer tokenizer = Make(kind);
        string text = tokenizer.Decode([1, 2]);
        foreach (int id in new[] { -1, tokenizer.Vocabulary, int.MaxValue })
        {
            Assert.Contains($"{id}", Assert.Throws<TokenException>(() => tokenizer.Bytes(id).Length).Message);
            if (id < 0) Assert.Throws<TokenException>(() => tokenizer.Decode([id]));
            else Assert.Equal(text, tokenizer.Decode([id, 1, id, 2]));
        }
    }
}
