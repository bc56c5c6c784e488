using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.LanguageModels;
using RbeMl.MLNet.Runtime;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.LanguageModels;

public sealed class PerplexityTests : IDisposable
{
    private readonly MLContext _ml = new(1);
    private readonly ModelBundle _bundle = Verses.Bundle(new ByteTokenizer());

    public void Dispose() => _bundle.Dispose();

    [Fact]
    public void ItIsTheEvaluatorsOfTheSameText()
    {
        string[] texts =
            ["ab", "the owl", "sixteen letters!", "seventeen letters", new string('x', 31), "a text that takes quite a number of windows of sixteen letters"];
        float[] found = Verses.Score(_ml, _bundle).Perplexities(Verses.View(_ml, texts));

        // Windows of 16 tokens that share one predict 15 each: the evaluator's windows of 15 inputs. Up to 16 tokens that is one window.
        using Evaluator evaluator = new(_bundle.Model, null, new EvaluationOptions { Context = Verses.Context - 1 }, threads: 1);
        for (int i = 0; i < texts.Length; i++)
        {
            double expected = Math.Exp(evaluator.Evaluate(EvaluationData.FromText(texts[i], _bundle.Tokenizer!)).Nll);
            Assert.Equal(expected, found[i], 2e-5 * expected); // fp32 sums of at most 64 terms, in another panel shape
        }
    }

    [Fact]
    public void BadRowsAreMissingAndHarmNobody()
    {
        using ModelBundle bundle = Verses.Bundle(CharacterTokenizer.FromText("abc "));
        LanguageModelTransformer model = Verses.Score(_ml, bundle);
        List<string> log = [];
        _ml.Log += (_, e) => log.Add(e.Message);
        float[] good = model.Perplexities(Verses.View(_ml, "a cab", "bbc"));
        IDataView data = Verses.View(_ml, "a cab", "", "a", "abz", null!, "bbc");
        float[] mixed = model.Perplexities(data);
        Assert.Equal([good[0], float.NaN, float.NaN, float.NaN, float.NaN, good[1]], mixed);
        Assert.Single(log, m => m.Contains("fewer than two tokens", StringComparison.Ordinal));
        string[] texts = model.Texts(data);
        Assert.Equal([true, false, true, false, false, true], texts.Select(t => !string.IsNullOrEmpty(t)));
    }

    [Fact]
    public void ARowThatOverflowsIsMissingAndHarmsNobody()
    {
        // The embedding of 'z' is too large to be normalised in fp32; the head has weights of its own.
        ITokenizer letters = CharacterTokenizer.FromText("abcz");
        TransformerConfig config = new() { Layers = 1, Heads = 2, Width = 32, Vocabulary = 4, MaxSequenceLength = Verses.Context, TiedHead = false };
        using TransformerModel<float> model = TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) }, seed: 5);
        ParameterSlice table = model.Parameters.Slices.Single(s => s.Name == "embedding.tokens");
        float[] rows = model.Parameters.ToFloats(table);
        rows.AsSpan(3 * config.Width, config.Width).Fill(float.MaxValue);
        model.Parameters.Write(table, rows);
        LanguageModelTransformer scorer = Verses.Score(_ml, new ModelBundle(model, letters));
        float[] good = scorer.Perplexities(Verses.View(_ml, "abca", "cab"));
        Assert.DoesNotContain(float.NaN, good);
        IDataView mixed = Verses.View(_ml, "abca", "azb", "cab");
        Assert.Equal([good[0], float.NaN, good[1]], scorer.Perplexities(mixed));
        string[] alone = scorer.Texts(Verses.View(_ml, "abca", "cab"));
        Assert.Equal([alone[0], "", alone[1]], scorer.Texts(mixed).Select(t => t ?? ""));
        Assert.Contains(alone, t => t?.Length > 0);
    }

    [Fact]
    public void IdsAreScoredAsTheirTextIs()
    {
        string[] lines = Verses.Lines(6);
        LanguageModelTransformer model = Verses.Score(_ml, _bundle);
        IDataView ids = _ml.Data.LoadFromEnumerable(lines.Select(l => new Verses.Ids { Text = _bundle.Tokenizer!.Encode(l) }));
        Assert.Equal(model.Perplexities(Verses.View(_ml, lines)), model.Perplexities(ids));
        Assert.Equal(model.Texts(Verses.View(_ml, lines)), model.Texts(ids));

        // Without a tokenizer there are no texts, and no text column is read.
        ModelBundle bare = new(_bundle.Model, null);
        IEstimator<ITransformer> scorer = _ml.Rbe.LanguageModel(new LanguageModelOptions { Model = bare, Epochs = 0, GeneratedTextColumnName = null });
        Assert.Equal(model.Perplexities(ids), scorer.Fit(ids).Perplexities(ids));
        Assert.Throws<InvalidSettingException>(() => scorer.Fit(Verses.View(_ml)));
        Assert.Throws<ArgumentOutOfRangeException>(() => scorer.Fit(ids).Transform(Verses.View(_ml)));
        Assert.Contains("GeneratedText",
            Assert.Throws<InvalidSettingException>(() => _ml.Rbe.LanguageModel(new LanguageModelOptions { Model = bare, Epochs = 0 }).Fit(ids)).Message);
    }

    [Fact]
    public void OnlyWhatIsReadIsComputed()
    {
        IDataView view = Verses.Score(_ml, _bundle).Transform(Verses.View(_ml));
        (long rows, long texts) = (ForwardCounter.Rows, ForwardCounter.Generated);
        Assert.Equal(24, view.GetColumn<float>("Perplexity").Count());
        Assert.Equal((24, 0), (ForwardCounter.Rows - rows, ForwardCounter.Generated - texts));

        // Three texts are read of an active column: three are made.
        using DataViewRowCursor cursor = view.GetRowCursor(view.Schema);
        ValueGetter<ReadOnlyMemory<char>> text = cursor.GetGetter<ReadOnlyMemory<char>>(view.Schema["GeneratedText"]);
        ReadOnlyMemory<char> value = default;
        for (int i = 0; i < 3; i++)
        {
            Assert.True(cursor.MoveNext());
            text(ref value);
            text(ref value);
        }

        Assert.Equal((27, 3), (ForwardCounter.Rows - rows, ForwardCounter.Generated - texts));
    }
}
