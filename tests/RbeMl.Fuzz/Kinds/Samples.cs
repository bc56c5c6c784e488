using System.Text;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.Fuzz.Kinds;

/// <summary>Small sound models, tokenizers and threads that several kinds use.</summary>
internal static class Samples
{
    public const string Text = "the cat sat on the mat, the dog sat on the log.";

    /// <summary>Every storage format, with and without its options.</summary>
    public static IReadOnlyList<RbeOptions> Formats { get; } =
    [
        Of(RbeFormat.Sparse(64, SupportRule.Runs(8))), Of(RbeFormat.Sparse(20, SupportRule.TopK)),
            Of(RbeFormat.Sparse(20, SupportRule.Random(3)), TileTransform.Haar),
        Of(RbeFormat.Quantized(4)),
            Of(RbeFormat.Quantized(3) with { Outliers = 2, Delta = RbeFormat.Sparse(32, SupportRule.Runs(8)) }, TileTransform.WalshHadamard),
                Of(RbeFormat.Quantized(8), TileTransform.Cdf97),
        Of(RbeFormat.Trellis(2)), Of(RbeFormat.Trellis(4) with { Outliers = 3, Delta = RbeFormat.Sparse(32, SupportRule.Runs(16)) }),
            Of(RbeFormat.Trellis(8)), Of(RbeFormat.Seed(32)),
        Of(RbeFormat.Sparse(1024), TileTransform.None) with { Alphas = false },
    ];

    /// <summary>One thread, which all cases share.</summary>
    public static WorkerPool Team { get; } = new(1);

    /// <summary>Every kind of tokenizer.</summary>
    public static IReadOnlyList<ITokenizer> Tokenizers { get; } =
    [
        new ByteTokenizer(), CharacterTokenizer.FromText(Text), BytePairTokenizer.Train(Text, 270),
        Gpt2(BytePairTokenizer.Train(Text, 266).Merges), Pieces,
    ];

    /// <summary>Word pieces that make the text.</summary>
    public static WordPieceTokenizer Pieces => new(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sat", "on", "m", "##at", ",", "dog", "log", "."]);

    /// <summary>A model.</summary>
    public static TransformerModel<float> Model(int format, int vocabulary, LayerNormStorage norms = LayerNormStorage.Dense, bool tied = true)
    {
        TransformerConfig config =
            new()
            {
                Width = 32,
                FeedForwardWidth = 48,
                Heads = 2,
                Layers = 1,
                Vocabulary = vocabulary,
                MaxSequenceLength = 8,
                LayerNorm = norms,
                TiedHead = tied,
                ScaleAttention = format % 4 != 1,
                ScaleAttentionByLayer = format % 4 == 2
            };
        return new TransformerModel<float>(TransformerWeights.CreateRandom(config, Formats[^1], 1).Recompress(Formats[format % Formats.Count]));
    }

    /// <summary>Runs a model on a few tokens, with and without cache, and its tokenizer on a text.</summary>
    public static void Use(TransformerModel<float> model, ITokenizer? tokenizer, Dice dice)
    {
        int length = Math.Min(3, model.Config.MaxSequenceLength);
        int[] tokens = [.. Enumerable.Range(0, length).Select(_ => dice.Below(model.Config.Vocabulary))];
        using Workspace<float> workspace = new(Team);
        model.Logits(tokens, 1, length, workspace);
        if (!model.Config.Causal)
        {
            model.Features(tokens, [length], new FeatureOptions { Pooling = Pooling.Max }, workspace, new float[model.Config.Width]);
            return;
        }

        using Generator generator = new(model, Team);
        foreach (int id in generator.Generate(tokens, new GenerationOptions { MaxTokens = 3, TopK = 5, Seed = 1 })) tokenizer?.Bytes(id % tokenizer.Vocabulary);
        if (tokenizer is not null) Use(tokenizer);
    }

    /// <summary>Encodes and decodes.</summary>
    public static void Use(ITokenizer tokenizer)
    {
        tokenizer.Decode([0, tokenizer.Vocabulary - 1, tokenizer.Vocabulary / 2]);
        int[] ids = tokenizer.Encode(Text);
        string back = tokenizer.Decode(ids);
        if (tokenizer is WordPieceTokenizer) return; // spaces and case are lost
        if (back != Text) throw new InvalidDataException("The tokenizer does not give back the text.");
    }

    /// <summary>What a writer wrote.</summary>
    public static byte[] Bytes(Action<Stream> write)
    {
        using MemoryStream stream = new();
        write(stream);
        return stream.ToArray();
    }

    /// <summary>What was written to a file.</summary>
    public static byte[] FileBytes(Action<string> write)
    {
        string folder = Directory.CreateTempSubdirectory("rbeml-sample-").FullName, path = Path.Combine(folder, "sample.bin");
        try
        {
            write(path);
            return File.ReadAllBytes(path);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>Text as UTF-8.</summary>
    public static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);

    private static Gpt2Tokenizer Gpt2(IReadOnlyList<TokenPair> merges) => new(
        [.. Enumerable.Range(0, 256)], [.. merges.Select((m, i) => new TokenMerge(m.Left, m.Right, 256 + i))],
        new Dictionary<string, int> { [Gpt2Tokenizer.EndOfText] = 256 + merges.Count });

    private static RbeOptions Of(RbeFormat format, TileTransform transform = TileTransform.Dct) => new() { Tile = 32, Format = format, Transform = transform };
}
