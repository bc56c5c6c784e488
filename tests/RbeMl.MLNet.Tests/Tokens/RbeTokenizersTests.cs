using System.Reflection;
using System.Text;
using Microsoft.ML;
using Microsoft.ML.Tokenizers;
using RbeMl.MLNet.Tokens;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.Tokens;

/// <summary>GPT-2's vocabulary as SharpToken's package embeds it, and SharpToken and Microsoft.ML.Tokenizers as oracles.</summary>
public sealed class RbeTokenizersTests
{
    private static readonly Dictionary<string, int> Special = new() { ["<|endoftext|>"] = 50256 };
    private static readonly Lazy<string> Ranks = new(ReadRanks);
    private static readonly Lazy<Gpt2Tokenizer> Gpt2 = new(() => TiktokenRanks.Parse(new StringReader(Ranks.Value), Special));

    private static readonly string[] Texts =
    [
        " Hello, y'all! How are you \U0001F601 ?", "Hello world", "Returns a new instance of the <see cref=\"T\"/> class.",
            "  two   spaces\n\n\tand tabs  ", "naïve café — 日本語", "1234567 89", "",
    ];

    [Fact]
    public void TiktokenFileGivesGpt2()
    {
        Assert.Equal(50257, Gpt2.Value.Vocabulary);
        Assert.Equal([18435, 11, 331, 6, 439, 0, 1374, 389, 345, 30325, 223, 5633], Gpt2.Value.Encode(Texts[0]));
        SharpToken.GptEncoding oracle = SharpToken.GptEncoding.GetEncoding("r50k_base");
        foreach (string text in Texts)
        {
            Assert.Equal(oracle.Encode(text), Gpt2.Value.Encode(text));
            Assert.Equal(text, ((ITokenizer)Gpt2.Value).Decode(Gpt2.Value.Encode(text)));
        }

        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllText(path, Ranks.Value);
            Assert.Equal(Gpt2.Value.Encode(Texts[0]), RbeTokenizers.FromTiktoken(path, Special).Encode(Texts[0]));
        }
        finally
        {
            File.Delete(path);
        }

        Assert.Throws<RbeFileException>(() => RbeTokenizers.FromTiktoken(path));
    }

    [Fact]
    public void Gpt2FilesAndBpeTokenizerBecomeOurOwn()
    {
        (string vocabulary, string merges) = Gpt2Vocabulary.Format(Gpt2.Value);
        string folder = Directory.CreateTempSubdirectory("rbeml-").FullName;
        try
        {
            string v = Path.Combine(folder, "vocab.json"), m = Path.Combine(folder, "merges.txt");
            File.WriteAllText(v, vocabulary);
            File.WriteAllText(m, merges);
            ITokenizer own = RbeTokenizers.FromGpt2Files(v, m);
            BpeOptions options = new(v, m)
            {
                ByteLevel = true,
                SpecialTokens = Special,
                PreTokenizer = new RegexPreTokenizer(
                    new System.Text.RegularExpressions.Regex("""'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"""), null),
            };
            ITokenizer converted = RbeTokenizers.From(BpeTokenizer.Create(options));
            Assert.IsType<Gpt2Tokenizer>(converted);
            foreach (string text in Texts)
            {
                Assert.Equal(Gpt2.Value.Encode(text), own.Encode(text));
                Assert.Equal(Gpt2.Value.Encode(text), converted.Encode(text));
            }

            File.WriteAllText(v, "{");
            Assert.Throws<RbeFileException>(() => RbeTokenizers.FromGpt2Files(v, m));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Fact]
    public void OtherTokenizersWorkButCannotBeSaved()
    {
        Tokenizer foreign = TiktokenTokenizer.CreateForModel("gpt2", new MemoryStream(Encoding.ASCII.GetBytes(Ranks.Value)));
        ITokenizer tokenizer = RbeTokenizers.From(foreign);
        Assert.Equal(50257, tokenizer.Vocabulary);
        foreach (string text in Texts) Assert.Equal(Gpt2.Value.Encode(text), tokenizer.Encode(text));

        MLContext ml = new(1);
        IDataView data = ml.Data.LoadFromEnumerable([new Row { Text = Texts[0] }]);
        ITransformer model = ml.Rbe.Tokenize("Ids", "Text", foreign).Fit(data);
        Assert.Equal(Gpt2.Value.Encode(Texts[0]), ml.Data.CreateEnumerable<Output>(model.Transform(data), false).Single().Ids);
        Assert.Contains("RbeTokenizers", Assert.ThrowsAny<Exception>(() => ml.Model.Save(model, data.Schema, new MemoryStream())).GetBaseException().Message);
    }

    [Theory]
    [InlineData("!!! 3")]
    [InlineData("QQ== x")]
    [InlineData("QQ==")]
    [InlineData("QQ== 0\nQQ== 1")]
    [InlineData("QQ== 0")]
    public void BadRanksAreRefused(string text) => Assert.Throws<TokenException>(() => TiktokenRanks.Parse(new StringReader(text)));

    [Fact]
    public void TokenWithoutHalvesIsRefused()
    {
        StringBuilder text = new();
        for (int b = 0; b < 256; b++) text.Append(Convert.ToBase64String([(byte)b])).Append(' ').Append(b).Append('\n');
        text.Append(Convert.ToBase64String("abc"u8)).Append(" 256\n");
        Assert.Contains("256", Assert.Throws<TokenException>(() => TiktokenRanks.Parse(new StringReader(text.ToString()))).Message);
    }

    [Fact]
    public void KeysCarryTheTokensTexts()
    {
        MLContext ml = new(1);
        IDataView data = ml.Data.LoadFromEnumerable([new Row { Text = "Hello world" }]);
        IEstimator<ITransformer> pipeline =
            ml.Rbe.Tokenize(new TokenizeOptions { OutputColumnName = "Keys", Tokenizer = Gpt2.Value, Values = TokenValues.Keys, MaxTokens = 1 })
            .Append(ml.Transforms.Conversion.MapKeyToValue("Words", "Keys"));
        Assert.Equal(["Hello"], ml.Data.CreateEnumerable<Words>(pipeline.Fit(data).Transform(data), false).Single().Values!);
    }

    private static string ReadRanks()
    {
        Assembly assembly = typeof(SharpToken.GptEncoding).Assembly;
        using StreamReader reader = new(assembly.GetManifestResourceStream("SharpToken.data.r50k_base.tiktoken")!);
        return reader.ReadToEnd();
    }

    private sealed class Row
    {
        public string Text { get; set; } = "";
    }

    private sealed class Output
    {
        public int[] Ids { get; set; } = [];
    }

    private sealed class Words
    {
        [Microsoft.ML.Data.ColumnName("Words")]
        public string[]? Values { get; set; }
    }
}
