using Microsoft.ML;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.Encoders;

/// <summary>A random encoder of a few words, and rows for it.</summary>
internal static class SmallEncoder
{
    public const int Positions = 24;

    public static readonly string?[] Texts =
    [
        "red", "a green sea", "", "the red sea is blue and long enough to be cut off: red sea is blue and long enough to be cut off red sea is blue",
        "café", null, "blue", "  \t\n ", "green sea", "a red rose", "日本", "so it is, \U0001F601 and so it was",
    ];

    private static readonly string[] s_words =
    [
        "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "red", "green", "blue", "sea", "rose", "a", "the", "is", "and", "long", "so", "it", "was", "cafe",
        ",", "off", "cat", "dog", "owl", "0", "1", "2", "3", "query", ":", "##s",
    ];

    public static ModelBundle Bundle(EncoderSettings? settings = null, RbeOptions? options = null, ulong seed = 3)
    {
        TransformerConfig config = new()
        {
            Width = 32,
            Heads = 2,
            Layers = 2,
            Vocabulary = s_words.Length,
            MaxSequenceLength = Positions,
            Causal = false,
            Order = BlockOrder.PostNorm,
        };
        settings ??= new EncoderSettings { Normalize = true };
        options ??= new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) };
        TransformerWeights weights = TransformerWeights.CreateUntrained(config, options, seed) with { Encoder = settings };
        return new ModelBundle(new TransformerModel<float>(weights), new WordPieceTokenizer(s_words)) { Encoder = settings };
    }

    public static SentenceEncoder Create(EncoderSettings? settings = null, int threads = 1) => new(Bundle(settings), threads);

    public static IDataView View(MLContext ml) => ml.Data.LoadFromEnumerable(Texts.Select((text, i) => new Row
    {
        Id = i,
        Flag = i % 2 == 0,
        Text = text!,
        Sentence1 = text!,
        Sentence2 = Texts[(i + 1) % Texts.Length]!,
        Label = i / (float)Texts.Length,
    }));

    internal sealed class Row
    {
        public int Id { get; set; }

        public bool Flag { get; set; }

        public string Text { get; set; } = "";

        public string Sentence1 { get; set; } = "";

        public string Sentence2 { get; set; } = "";

        public float Label { get; set; }
    }
}
