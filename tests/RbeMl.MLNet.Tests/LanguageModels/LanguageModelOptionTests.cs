using Microsoft.ML;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.LanguageModels;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.LanguageModels;

/// <summary>Options that change how, and what of them is saved.</summary>
public sealed class LanguageModelOptionTests : IDisposable
{
    private readonly MLContext _ml = new(1);
    private readonly ModelBundle _bundle = Verses.Bundle(new ByteTokenizer());

    public void Dispose() => _bundle.Dispose();

    [Theory]
    [InlineData(1, 1)]
    [InlineData(5, 5)]
    [InlineData(65_536, 8)] // of 24 rows, as it grows from one row
    public void RowsAreReadAheadAsTheOptionSays(int batchRows, int least)
    {
        LanguageModelTransformer model = Verses.Score(_ml, _bundle, o => o.BatchRows = batchRows);
        Assert.Equal(Verses.Score(_ml, _bundle).Perplexities(Verses.View(_ml)), model.Perplexities(Verses.View(_ml)));
        IDataView view = model.Transform(Verses.View(_ml));
        long before = ForwardCounter.Rows, most = 0;
        using DataViewRowCursor cursor = view.GetRowCursor([view.Schema["Perplexity"]]);
        ValueGetter<float> perplexity = cursor.GetGetter<float>(view.Schema["Perplexity"]);
        float value = 0;
        while (cursor.MoveNext())
        {
            perplexity(ref value);
            most = Math.Max(most, ForwardCounter.Rows - before);
            before = ForwardCounter.Rows;
        }

        Assert.InRange(most, least, batchRows);
    }

    [Fact]
    public void ThreadsBatchRowsAndSummaryAreSaved()
    {
        LanguageModelTransformer model = Verses.Fit(_ml, Verses.View(_ml), o => (o.Threads, o.BatchRows) = (3, 7)),
            loaded = _ml.Rbe.LoadLanguageModel(Saved(model));
        Assert.Equal(new ScoringSettings(7, 3), loaded.Scoring);
        Assert.Equal(3, loaded.Pool.Workers.Threads);
        Assert.Equal(model.Summary, loaded.Summary);
    }

    [Fact]
    public void AModelThatSeesWhatItIsToPredictIsRefusedOnLoading()
    {
        TransformerConfig config = new() { Layers = 1, Heads = 2, Width = 32, Vocabulary = 256, MaxSequenceLength = 16, Causal = false };
        using TransformerModel<float> model = TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) }, seed: 5);
        LanguageModelTransformer good = Verses.Score(_ml, _bundle), bad = new(_ml, good.Settings, model, good.Tokenizer, good.Summary, good.Scoring);
        Assert.NotNull(_ml.Rbe.LoadLanguageModel(Saved(good)));
        Assert.Contains("not causal", Assert.Throws<RbeFileException>(() => _ml.Rbe.LoadLanguageModel(Saved(bad))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void AWarmStartBringsItsContext()
    {
        LanguageModelTransformer first = Verses.Score(_ml, _bundle, o => o.Context = 9);
        LanguageModelTransformer further = Verses.Fit(_ml, Verses.View(_ml), o => (o.WarmStart, o.Context, o.Epochs, o.Compression) = (first, null, 0, null));
        Assert.Equal((9, 16), (further.Settings.Context, further.Model.Config.MaxSequenceLength));
    }

    [Fact]
    public void EndOfTextEndsAContinuation()
    {
        // The final LayerNorm gives ones whatever it reads, so the head takes the token whose embedding has the largest sum: id 256.
        TransformerWeights weights = Verses.Bundle(Tokenizer("<|pad|>")).Model.GetWeights();
        using TransformerModel<float> model = new(weights with { FinalGamma = new float[32], FinalBeta = [.. Enumerable.Repeat(1f, 32)] });
        ParameterSlice table = model.Parameters.Slices.Single(s => s.Name == "embedding.tokens");
        float[] rows = model.Parameters.ToFloats(table);
        rows.AsSpan(256 * 32, 32).Fill(10);
        model.Parameters.Write(table, rows);
        Assert.Equal([""], Texts(Gpt2Tokenizer.EndOfText));
        Assert.Equal([string.Concat(Enumerable.Repeat("<|pad|>", 6))], Texts("<|pad|>"));

        string[] Texts(string special) =>
            [.. Verses.Score(_ml, new ModelBundle(model, Tokenizer(special)), o => o.Temperature = 0).Texts(Verses.View(_ml, "the cat")).Select(t => t ?? "")];
        static Gpt2Tokenizer Tokenizer(string special) => new([.. Enumerable.Range(0, 256)], [], new Dictionary<string, int> { [special] = 256 });
    }

    [Fact]
    public void TheCopyOfTheBestWeightsCountsForTheMemoryLimit()
    {
        // 65,536 ids of width 256 are 64 MiB of fp32: far more than what a process at rest differs by from one measure to the next.
        const int Mib = 1 << 20, Half = 32;
        MemoryLimitException without = Assert.Throws<MemoryLimitException>(() => Fit(1, patience: 0)),
            with = Assert.Throws<MemoryLimitException>(() => Fit(1, patience: 1));
        Assert.InRange((with.LeastBytes - without.LeastBytes) / Mib, Half, 3 * Half);
        Assert.Equal((Mib, Mib), (without.LimitBytes, with.LimitBytes));
        int enough = (int)(without.LeastBytes / Mib) + Half;
        Assert.Throws<MemoryLimitException>(() => Fit(enough, patience: 1));
        Assert.Equal(1, Fit(enough, patience: 0).Summary.Steps);

        LanguageModelTransformer Fit(int limit, int patience)
        {
            IDataView ids = _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 4).Select(i => new Verses.Ids { Text = [1, i, 2] }));
            return Verses.Fit(_ml, ids, o =>
            {
                (o.Width, o.VocabularySize, o.GeneratedTextColumnName, o.Steps, o.BatchSize) = (256, 65_536, null, 1, 1);
                (o.ValidationFraction, o.Patience, o.MemoryLimit) = (0.25, patience, limit);
            });
        }
    }

    [Fact]
    public void AFractionThatLeavesNoRowIsRefused()
    {
        foreach ((int rows, double fraction) in ((int, double)[])[(24, 0.99), (1, 0.5)])
        {
            InvalidSettingException error =
                Assert.Throws<InvalidSettingException>(() => Verses.Fit(_ml, Verses.View(_ml, Verses.Lines(rows)), o => o.ValidationFraction = fraction));
            Assert.Equal("ValidationFraction", error.Setting);
            Assert.Contains($"of {rows} rows", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void SkippedValidationRowsAreCounted()
    {
        TrainingSummary summary =
            Verses.Fit(_ml, Verses.View(_ml, [.. Verses.Lines(), "a"]), o => (o.Steps, o.Validation) = (1, Verses.View(_ml, "the cat", "", "b"))).Summary;
        Assert.Equal((24, 1, 3), (summary.Examples, summary.ValidationExamples, summary.SkippedRows));
    }

    [Fact]
    public void ALargeBatchIsAllThereIs()
    {
        LanguageModelTransformer all = Verses.Fit(_ml, Verses.View(_ml), o => (o.BatchSize, o.Steps) = (int.MaxValue, 2));
        Assert.Equal(Verses.Fit(_ml, Verses.View(_ml), o => (o.BatchSize, o.Steps) = (48, 2)).Perplexities(Verses.View(_ml)),
            all.Perplexities(Verses.View(_ml)));
    }

    [Fact]
    public void AStrayIdMakesNoHugeModel()
    {
        IDataView ids = _ml.Data.LoadFromEnumerable([new Verses.Ids { Text = [1, 2, 3_000_000] }, new Verses.Ids { Text = [1, 2] }]);
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(() => Fit(null));
        Assert.Equal("VocabularySize", error.Setting);
        Assert.Contains("'Text' has the token id 3000000", error.Message, StringComparison.Ordinal);
        Assert.Equal(1, Fit(10).Summary.SkippedRows);

        LanguageModelTransformer Fit(int? size) => Verses.Fit(_ml, ids, o => (o.Steps, o.VocabularySize, o.GeneratedTextColumnName) = (1, size, null));
    }

    [Theory]
    [InlineData(WhenCancelled.Throw)]
    [InlineData(WhenCancelled.ReturnBest)]
    public void ReadingCanBeCancelled(WhenCancelled what)
    {
        using CancellationTokenSource source = new();
        int read = 0;
        IDataView data = _ml.Data.LoadFromEnumerable(Rows());
        Assert.ThrowsAny<OperationCanceledException>(() => Verses.Fit(_ml, data, o => (o.Cancellation, o.OnCancel) = (source.Token, what)));
        Assert.InRange(read, 10, 2000);

        IEnumerable<Verses.Row> Rows()
        {
            foreach (string line in Verses.Lines(20_000))
            {
                if (++read == 10) source.Cancel();
                yield return new Verses.Row { Text = line };
            }
        }
    }

    private static MemoryStream Saved(LanguageModelTransformer model)
    {
        MemoryStream stream = new();
        model.Save(stream);
        stream.Position = 0;
        return stream;
    }
}
