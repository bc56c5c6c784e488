using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.LanguageModels;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.LanguageModels;

/// <summary>Short lines with a pattern, and a model small enough to learn it in a moment.</summary>
internal static class Verses
{
    public const int Context = 16;

    private static readonly string[] s_animals = ["cat", "dog", "owl", "hen"];

    /// <summary>Lines of different lengths.</summary>
    public static string[] Lines(int count = 24) =>
        [.. Enumerable.Range(0, count).Select(i => $"the {s_animals[i % 4]} sat on the {s_animals[i / 4 % 4]}{new string('.', i % 3)}")];

    public static IDataView View(MLContext ml, params string[] lines) =>
        ml.Data.LoadFromEnumerable((lines.Length > 0 ? lines : Lines()).Select(l => new Row { Text = l }));

    /// <summary>Options of the small model, which any test may change.</summary>
    public static LanguageModelOptions Options(Action<LanguageModelOptions>? change = null)
    {
        LanguageModelOptions options = new()
        {
            Layers = 1,
            Heads = 2,
            Width = 32,
            VocabularySize = 256,
            Context = Context,
            Compression = new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) },
            Epochs = 1,
            BatchSize = 4,
            LearningRate = 1e-2,
            MaxNewTokens = 6,
            Seed = 3,
            Threads = 1,
        };
        change?.Invoke(options);
        return options;
    }

    public static LanguageModelTransformer Fit(MLContext ml, IDataView data, Action<LanguageModelOptions>? change = null) =>
        ml.Rbe.LanguageModel(Options(change)).Fit(data);

    /// <summary>A model of random weights with a tokenizer; the caller disposes it.</summary>
    public static ModelBundle Bundle(ITokenizer tokenizer, int positions = Context)
    {
        TransformerConfig config = new() { Layers = 1, Heads = 2, Width = 32, Vocabulary = tokenizer.Vocabulary, MaxSequenceLength = positions };
        return new ModelBundle(TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) }, seed: 5), tokenizer);
    }

    /// <summary>The bundle's model as it is.</summary>
    public static LanguageModelTransformer Score(MLContext ml, ModelBundle bundle, Action<LanguageModelOptions>? change = null) =>
        ml.Rbe.LanguageModel(Options(o =>
    {
        (o.Model, o.Epochs, o.Compression, o.Context) = (bundle, 0, null, null);
        change?.Invoke(o);
    })).Fit(View(ml));

    public static float[] Perplexities(this ITransformer model, IDataView data) => [.. model.Transform(data).GetColumn<float>("Perplexity")];

    public static string[] Texts(this ITransformer model, IDataView data) => [.. model.Transform(data).GetColumn<string>("GeneratedText")];

    internal sealed class Row
    {
        public string Text { get; set; } = "";
    }

    internal sealed class Ids
    {
        [VectorType]
        public int[] Text { get; set; } = [];
    }
}
