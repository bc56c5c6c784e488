using System.Text;
using Microsoft.ML;
using RbeMl.MLNet.Tests.Features;
using RbeMl.MLNet.Tokens;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.Tokens;

/// <summary>Every kind that this library writes may be saved; all others are refused alike, before a byte is written.</summary>
public sealed class SavedTokenizerTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void OwnKindsHaveAForm()
    {
        // Each kind of the library, found by its type, so that a new one is not forgotten.
        ITokenizer[] all =
        [
            new ByteTokenizer(), new CharacterTokenizer([.. "ab".EnumerateRunes()]), new BytePairTokenizer([]),
                new Gpt2Tokenizer([.. Enumerable.Range(0, 256)], [], new Dictionary<string, int>()), new WordPieceTokenizer(["[UNK]", "[CLS]", "[SEP]", "a"]),
        ];
        Assert.Equal(
            typeof(ITokenizer).Assembly.GetTypes().Where(t => t.IsClass && t.IsAssignableTo(typeof(ITokenizer))).Select(t => t.Name)
            .Order(StringComparer.Ordinal),
            all.Select(t => t.GetType().Name).Order(StringComparer.Ordinal));
        foreach (ITokenizer tokenizer in all)
        {
            Assert.True(SavedTokenizer.HasForm(tokenizer), tokenizer.GetType().Name);
            SavedTokenizer.Require(tokenizer);
            Assert.NotEmpty(TokenizerJson.Save(tokenizer));
        }

        SavedTokenizer.Require(null);
    }

    [Fact]
    public void OthersAreRefusedAlike()
    {
        string ranks = string.Join('\n', Enumerable.Range(0, 256).Select(i => $"{Convert.ToBase64String([(byte)i])} {i}"));
        ITokenizer foreign =
            RbeTokenizers.From(Microsoft.ML.Tokenizers.TiktokenTokenizer.Create(new MemoryStream(Encoding.ASCII.GetBytes(ranks)), null, null), 256);
        foreach ((ITokenizer tokenizer, string kind) in ((ITokenizer, string)[])[(foreign, "TiktokenTokenizer"), (new Mine(), nameof(Mine))])
        {
            Assert.False(SavedTokenizer.HasForm(tokenizer));
            IDataView data = TextRows.View(_ml);
            using ModelBundle bundle = TextRows.Bundle(tokenizer);
            string[] messages = [.. ((RbeTransformer[])[_ml.Rbe.Tokenize("T", "Text", tokenizer).Fit(data), _ml.Rbe.Featurize("F", "Text", bundle).Fit(data)])
                .Select(t => Assert.Throws<NotSupportedException>(() => t.Save(new MemoryStream())).Message)];
            Assert.Contains(kind, messages[0], StringComparison.Ordinal);
            Assert.Equal(messages[0], messages[1]);
        }
    }

    private sealed class Mine : ITokenizer
    {
        private readonly ByteTokenizer _bytes = new();

        public int Vocabulary => _bytes.Vocabulary;

        public int[] Encode(string text) => _bytes.Encode(text);

        public ReadOnlySpan<byte> Bytes(int token) => _bytes.Bytes(token);
    }
}
