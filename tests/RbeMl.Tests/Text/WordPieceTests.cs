using System.Text;
using System.Text.Json;
using RbeMl.Text;

namespace RbeMl.Tests.Text;

public sealed class WordPieceTests
{
    private static readonly string[] s_tokens =
    [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##ing", "##s", "cafe", "a", "b", "[", "]", "sep",
        "$", "+", ".", "\u65e5", "\u672c", "##b",
        "\ud83d\ude00", "caf\u00e9", "Hello", "\u1112", "##\u1161", "##\u11ab", "i",
    ];

    private static WordPieceTokenizer Tokenizer(WordPieceRules? rules = null) => new(s_tokens, rules);

    private static string Pieces(string text, WordPieceRules? rules = null)
    {
        WordPieceTokenizer tokenizer = Tokenizer(rules);
        return string.Join(' ', tokenizer.Encode(text).Select(id => tokenizer.Tokens[id]));
    }

    [Theory]
    [InlineData("", "")]
    [InlineData(" \t\r\n\u00a0\u2003\u2028", "")]
    [InlineData("hello\tworld\nhello\rworlds", "hello world hello world ##s")] // line ends part words
    [InlineData("HELLO, worlding", "hello [UNK] world ##ing")]
    [InlineData("a\0b\ufffd", "a ##b")]
    [InlineData("a\ud800b \udc00", "a ##b")] // halves of pairs
    [InlineData("a\u200bb\u00ad", "a ##b")] // format characters
    [InlineData("\ud83d\ude00 \ud83d\ude01", "\ud83d\ude00 [UNK]")]
    [InlineData("$a+b.", "$ a + b .")]
    [InlineData("\u65e5\u672c\u8a9e", "\u65e5 \u672c [UNK]")]
    [InlineData("Caf\u00e9 cafe\u0301", "cafe cafe")]
    [InlineData("\ud55c", "\u1112 ##\u1161 ##\u11ab")] // a syllable in its letters
    [InlineData("\u0130", "i")]
    [InlineData("a [SEP] b", "a [ sep ] b")]
    [InlineData("zzz hello", "[UNK] hello")]
    public void Texts_become_the_pieces_that_the_models_were_trained_with(string text, string pieces) => Assert.Equal(pieces, Pieces(text));

    [Theory]
    [InlineData("Hello caf\u00e9", false, null, "Hello caf\u00e9")]
    [InlineData("Hello caf\u00e9", false, true, "Hello cafe")]
    [InlineData("Hello caf\u00e9", true, false, "hello caf\u00e9")]
    public void Case_and_accents_are_kept_where_the_rules_say_so(string text, bool lower, bool? strip, string pieces) =>
        Assert.Equal(pieces, Pieces(text, new WordPieceRules { LowerCase = lower, StripAccents = strip }));

    [Fact]
    public void Words_of_over_a_hundred_characters_are_unknown_and_characters_are_whole()
    {
        string[] tokens = ["[UNK]", "[CLS]", "[SEP]", "\ud835\udcb3", "##\ud835\udcb3"];
        WordPieceTokenizer tokenizer = new(tokens, new WordPieceRules { LowerCase = false });
        string hundred = string.Concat(Enumerable.Repeat("\ud835\udcb3", 100));
        Assert.Equal(100, tokenizer.Encode(hundred).Length);
        Assert.Equal([0], tokenizer.Encode(hundred + "\ud835\udcb3"));
    }

    [Fact]
    public void Special_tokens_are_ids_only_when_asked_for()
    {
        WordPieceTokenizer tokenizer = Tokenizer();
        Assert.Equal([10, 3, 11, 4], tokenizer.EncodeWithSpecial("a[SEP]b[MASK]"));
        Assert.DoesNotContain(3, tokenizer.Encode("a[SEP]b[MASK]"));
        Assert.Equal([2, 5, 6, 3], tokenizer.EncodeSequence("hello world"));
        Assert.Equal([2, 5, 3], tokenizer.EncodeSequence("hello world", 3));
        Assert.Equal([2, 3], tokenizer.EncodeSequence("", 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.EncodeSequence("hello", 1));
        Assert.Equal("[CLS] hello worlding [SEP]", tokenizer.Decode([2, 5, 6, 7, 3]));
        Assert.Throws<TokenException>(() => tokenizer.Decode([-1]));
    }

    [Theory]
    [InlineData("\n", "")]
    [InlineData("\r\n", "")]
    [InlineData("\r\n", "\ufeff")]
    public void A_vocabulary_may_have_any_line_ends_and_a_byte_order_mark(string end, string mark)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(mark + string.Join(end, s_tokens) + end);
        Assert.Equal(s_tokens, WordPieceTokenizer.FromVocabulary(bytes).Tokens);
        Assert.Equal(s_tokens, WordPieceTokenizer.FromVocabulary(bytes.AsSpan(0, bytes.Length - end.Length)).Tokens);
    }

    [Fact]
    public void Damaged_vocabularies_are_refused()
    {
        Assert.Contains("twice", Assert.Throws<TokenException>(() => new WordPieceTokenizer([.. s_tokens, "a"])).Message, StringComparison.Ordinal);
        Assert.Contains("\"[CLS]\"", Assert.Throws<TokenException>(() => new WordPieceTokenizer(["a", "[UNK]"])).Message, StringComparison.Ordinal);
        Assert.Contains("UTF-8", Assert.Throws<TokenException>(() => WordPieceTokenizer.FromVocabulary([0xff, 0xfe])).Message, StringComparison.Ordinal);
        Assert.Contains("empty", Assert.Throws<TokenException>(() => new WordPieceTokenizer(["", .. s_tokens])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tokenizer_is_saved_with_its_rules()
    {
        foreach (WordPieceRules rules in new WordPieceRules[]
        {
            new(), new() { LowerCase = false }, new() { StripAccents = false }, new() { SplitIdeographs = false, Mask = "a", MaxWordLength = 3 },
        })
        {
            WordPieceTokenizer tokenizer = new(s_tokens, rules);
            WordPieceTokenizer read = Assert.IsType<WordPieceTokenizer>(
                TokenizerJson.Load(JsonDocument.Parse(TokenizerJson.Save(tokenizer).ToJsonString()).RootElement));
            Assert.Equal(s_tokens, read.Tokens);
            Assert.Equal(rules with { StripAccents = rules.StripAccents ?? rules.LowerCase }, read.Rules);
        }
    }

    [Fact]
    public void A_text_may_be_cut_before_white_space()
    {
        ITokenizer tokenizer = Tokenizer();
        const string Text = "hello worlds, a cafe\u0301 \ud83d\ude00 b";
        int cut = tokenizer.SafeCut(Text);
        Assert.Equal(Text.LastIndexOf(' '), cut);
        Assert.Equal(tokenizer.Encode(Text), tokenizer.Encode(Text[..cut]).Concat(tokenizer.Encode(Text[cut..])));
    }
}
