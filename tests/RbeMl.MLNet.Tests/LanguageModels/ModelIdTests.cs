using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.LanguageModels;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.LanguageModels;

/// <summary>Models with more or fewer ids than their tokenizer, in every component that reads text.</summary>
public sealed class ModelIdTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void PaddingIsNeverDrawnAndEveryComponentWorks()
    {
        // The likeliest id is one of the padding, then an a.
        using ModelBundle bundle =
            Bundle(320, new Gpt2Tokenizer([.. Enumerable.Range(0, 256)], [], new Dictionary<string, int> { ["<pad>"] = 256 }), (300, 20), ('a', 10));
        LanguageModelTransformer plain = Verses.Score(_ml, bundle), likeliest = Verses.Score(_ml, bundle, o => o.Temperature = 0);
        Assert.Equal(["aaaaaa"], plain.Texts(Verses.View(_ml, "the cat")));
        Assert.Equal(["aaaaaa"], likeliest.Texts(Verses.View(_ml, "the cat")));
        LanguageModelTransformer trained = Verses.Fit(_ml, Verses.View(_ml), o => (o.Model, o.Compression, o.Context) = (bundle, null, null));
        Assert.Equal(64 - 1, trained.Model.Tokens.Unused.Count);
        Assert.Equal(64 - 1, Saved(trained).Model.Tokens.Unused.Count);
        Assert.All(Features(bundle, "the cat"), x => Assert.True(float.IsFinite(x)));
        Assert.All(Classified(bundle, "aa", "bb"), label => Assert.InRange(label, 0u, 2u));
    }

    [Fact]
    public void AGapOfTheVocabularyIsNeverDrawn()
    {
        // 256 to 259 are no tokens, 260 is one: the likeliest id is in the gap, then an a.
        Gpt2Tokenizer tokenizer = new([.. Enumerable.Range(0, 256)], [], new Dictionary<string, int> { ["<end>"] = 260 });
        using ModelBundle bundle = Bundle(261, tokenizer, (258, 20), (257, 15), ('a', 10));
        foreach (double temperature in (double[])[0, 1])
        {
            LanguageModelTransformer model = Verses.Score(_ml, bundle, o => o.Temperature = temperature);
            Assert.Equal(["aaaaaa"], model.Texts(Verses.View(_ml, "the cat")));
            Assert.Equal(["aaaaaa"], Saved(model).Texts(Verses.View(_ml, "the cat")));
        }

        LanguageModelTransformer trained = Verses.Fit(_ml, Verses.View(_ml), o => (o.Model, o.Compression, o.Context) = (bundle, null, null));
        Assert.Equal([256, 257, 258, 259], trained.Model.Tokens.Unused);
        Assert.Equal([256, 257, 258, 259], Saved(trained).Model.Tokens.Unused);
    }

    [Fact]
    public void ATokenizerWithMoreIdsReadsTheTextsThatTheModelKnows()
    {
        // "ab" is the token 256, "ba" the token 257 of a model of 257 ids.
        Gpt2Tokenizer tokenizer = new([.. Enumerable.Range(0, 256)], [new('a', 'b', 256), new('b', 'a', 257)], new Dictionary<string, int>());
        using ModelBundle bundle = Bundle(257, tokenizer, ('a', 10));
        LanguageModelTransformer model = Saved(Verses.Score(_ml, bundle, o => o.Temperature = 0));
        Assert.Equal(["aaaaaa", "", "aaaaaa"], model.Texts(Verses.View(_ml, "so ab", "so ba", "so")).Select(t => t ?? ""));
        Assert.Equal([false, true, false], model.Perplexities(Verses.View(_ml, "so ab", "so ba", "so")).Select(float.IsNaN));
        LanguageModelTransformer trained =
            Verses.Fit(_ml, Verses.View(_ml, "so ab", "so ba", "so"), o => (o.Model, o.Compression, o.Context) = (bundle, null, null));
        Assert.Equal((2, 1), (trained.Summary.Examples, trained.Summary.SkippedRows));
        Assert.All(Features(bundle, "so ab"), x => Assert.True(float.IsFinite(x)));
        Assert.All(Features(bundle, "so ba"), x => Assert.True(float.IsNaN(x)));
        Assert.All(Classified(bundle, "aa", "bb"), label => Assert.InRange(label, 0u, 2u));
    }

    [Fact]
    public void EndTokensOfTheModelEndAContinuationAndAreSaved()
    {
        using ModelBundle bundle = Bundle(256, new ByteTokenizer(), ('a', 10));
        Assert.Equal(["aaaaaa"], Verses.Score(_ml, bundle).Texts(Verses.View(_ml, "x")));
        using ModelBundle ending = bundle
            with
        { Model = new TransformerModel<float>(bundle.Model.GetWeights() with { Tokens = new ModelTokens { EndTokens = ['a'] } }) };
        LanguageModelTransformer model = Saved(Verses.Score(_ml, ending));
        Assert.Equal(['a'], model.Model.Tokens.EndTokens!);
        Assert.Equal([""], model.Texts(Verses.View(_ml, "x")).Select(t => t ?? ""));
        Assert.Equal(["aaaaaa"], Verses.Score(_ml, ending, o => o.IgnoreEnd = true).Texts(Verses.View(_ml, "x")));
    }

    // Logits that are the same after every text: the last LayerNorm gives ones whatever it reads, and a row of the embedding sums to the logit.
    private static ModelBundle Bundle(int vocabulary, ITokenizer tokenizer, params (int Id, float Logit)[] logits)
    {
        TransformerConfig config = new() { Layers = 1, Heads = 2, Width = 32, Vocabulary = vocabulary, MaxSequenceLength = Verses.Context };
        float[] embedding = new float[vocabulary * 32];
        foreach ((int id, float logit) in logits) embedding.AsSpan(id * 32, 32).Fill(logit / 32);
        return new ModelBundle(
            new TransformerModel<float>(TransformerWeights.CreateRandom(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) }, seed: 5) with
            {
                TokenEmbedding = embedding,
                FinalGamma = new float[32],
                FinalBeta = [.. Enumerable.Repeat(1f, 32)],
            }),
            tokenizer);
    }

    private LanguageModelTransformer Saved(LanguageModelTransformer model)
    {
        using MemoryStream stream = new();
        model.Save(stream);
        stream.Position = 0;
        return _ml.Rbe.LoadLanguageModel(stream);
    }

    private float[] Features(ModelBundle bundle, string text)
    {
        FeaturizeTransformer model =
            _ml.Rbe.Featurize(new FeaturizeOptions { InputColumnName = "Text", OutputColumnName = "Features", Model = bundle, Threads = 1 })
                .Fit(Verses.View(_ml));
        return model.Transform(Verses.View(_ml, text)).GetColumn<float[]>("Features").Single();
    }

    private uint[] Classified(ModelBundle bundle, params string[] texts)
    {
        IDataView data = _ml.Transforms.Conversion.MapValueToKey("Label").Fit(Rows()).Transform(Rows());
        TextClassificationTransformer model =
            _ml.Rbe.TextClassification(new TextClassificationOptions { Model = bundle, Epochs = 1, BatchSize = 2, Threads = 1, Seed = 1 }).Fit(data);
        return [.. model.Transform(data).GetColumn<uint>("PredictedLabel")];

        IDataView Rows() => _ml.Data.LoadFromEnumerable(texts.Select(t => new Labelled { Text = t, Label = t }));
    }

    private sealed class Labelled
    {
        public string Text { get; set; } = "";

        public string Label { get; set; } = "";
    }
}
