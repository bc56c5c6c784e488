using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Extensions.AI.Tests.Support;

/// <summary>A random encoder over a few words that is made in milliseconds.</summary>
internal static class SmallEncoder
{
    public const int Dimensions = 32, Positions = 16;

    private static readonly string[] s_words =
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "dog", "sat", "ran", "on", "mat", "snow", "##s", "a", "b", "c", "query", ":"];

    /// <summary>An encoder; the caller disposes it.</summary>
    public static SentenceEncoder Create(LongTexts longTexts = LongTexts.Cut) => new(Bundle(longTexts));

    /// <summary>A file of it.</summary>
    public static string Save(string path)
    {
        using ModelBundle bundle = Bundle(LongTexts.Cut);
        ModelFile.Save(path, bundle.Model, bundle.Tokenizer);
        return path;
    }

    private static ModelBundle Bundle(LongTexts longTexts)
    {
        TransformerConfig config = new()
        {
            Width = Dimensions,
            Heads = 2,
            Layers = 1,
            Vocabulary = s_words.Length,
            MaxSequenceLength = Positions,
            Causal = false,
            Order = BlockOrder.PostNorm,
        };
        EncoderSettings settings = new()
        {
            Normalize = true,
            LongTexts = longTexts,
            Prompts = new Dictionary<string, string> { ["query"] = "query: ", ["other"] = "dog " },
        };
        TransformerWeights weights = TransformerWeights.CreateRandom(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(128) }, seed: 3);
        return new ModelBundle(new TransformerModel<float>(weights with { Encoder = settings }), new WordPieceTokenizer(s_words));
    }
}
