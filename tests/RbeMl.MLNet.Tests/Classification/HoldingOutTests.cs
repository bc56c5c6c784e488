using Microsoft.ML;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Training;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.Classification;

/// <summary>What the data makes of the options: parts held out, steps, vocabularies.</summary>
public sealed class HoldingOutTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void AFractionThatLeavesAClassNoRowIsRefused()
    {
        Refused(2, 0.5);
        Refused(24, 0.99);

        void Refused(int rows, double fraction)
        {
            InvalidSettingException error =
                Assert.Throws<InvalidSettingException>(() => Toy.Fit(_ml, Toy.Binary(_ml, rows), o => o.ValidationFraction = fraction));
            Assert.Equal("ValidationFraction", error.Setting);
            Assert.Contains($"of {rows} rows", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void ARareClassIsTrainedOnWhateverTheSeed()
    {
        // One owl among eight: where it were held out, nothing would tell the model of it.
        Toy.Row[] rows = [.. Toy.Rows(8, 2), new Toy.Row { Text = "owl owl owl", Name = "owl" }];
        for (int seed = 0; seed < 5; seed++)
        {
            TextClassificationTransformer model = Toy.Fit(_ml, Toy.Multiclass(_ml, rows), o => (o.ValidationFraction, o.Seed, o.Epochs) = (0.45, seed, 30));
            Assert.Equal((5, 4), (model.Summary.Examples, model.Summary.ValidationExamples));
            float[] owl = Toy.Scores(_ml, model, Toy.Multiclass(_ml, rows[^1]))[0];
            Assert.True(owl[2] > 0.5f, string.Join(" ", owl));
        }
    }

    [Fact]
    public void SkippedValidationRowsAreCountedAndWarnedOf()
    {
        List<string> log = [];
        _ml.Log += (_, e) => log.Add(e.Message);
        IDataView validation = Toy.Multiclass(_ml, [.. Toy.Rows(6), new Toy.Row { Text = "", Name = "cat" }, new Toy.Row { Text = "cat", Name = "horse" }]);
        TrainingSummary summary =
            Toy.Fit(_ml, Toy.Multiclass(_ml, [.. Toy.Rows(), new Toy.Row { Text = "", Name = "dog" }]),
                o => (o.Validation, o.Epochs) = (validation, 1)).Summary;
        Assert.Equal((24, 6, 3), (summary.Examples, summary.ValidationExamples, summary.SkippedRows));
        Assert.Contains(log, m => m.Contains("1 rows without a label and 1 without a text", StringComparison.Ordinal)
            && m.EndsWith("of the validation", StringComparison.Ordinal));
    }

    [Fact]
    public void ManyEpochsAndLargeBatchesAreNoError()
    {
        using CancellationTokenSource source = new();
        TextClassificationTransformer model = Toy.Fit(_ml, Toy.Multiclass(_ml), o =>
        {
            (o.Epochs, o.OnCancel, o.Cancellation) = (int.MaxValue, WhenCancelled.ReturnBest, source.Token);
            o.Progress = new Listener(step =>
            {
                if (step == 13) source.Cancel();
            });
        });
        Assert.Equal((13, 3), (model.Summary.Steps, model.Summary.Epochs.Count)); // epochs of six steps, and one step

        IDataView data = Toy.Multiclass(_ml);
        Assert.Equal(Scores(24), Scores(int.MaxValue));
        Assert.Equal(Scores(24), Scores(int.MaxValue, o => o.MemoryLimit = 100_000));

        float[][] Scores(int batch, Action<TextClassificationOptions>? more = null) => Toy.Scores(_ml, Toy.Fit(_ml, data, o =>
        {
            (o.BatchSize, o.Epochs) = (batch, 3);
            more?.Invoke(o);
        }), data);
    }

    [Fact]
    public void AStrayIdMakesNoHugeModel()
    {
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(() => Fit(3_000_000));
        Assert.Equal("VocabularySize", error.Setting);
        Assert.Contains("'Ids' has the token id 3000000", error.Message, StringComparison.Ordinal);
        Assert.Equal("VocabularySize", Assert.Throws<InvalidSettingException>(() => Fit(int.MaxValue - 1)).Setting);
        Assert.Equal(0, Fit(60_000).Summary.SkippedRows);
        Assert.Equal(1, Fit(3_000_000, o => o.VocabularySize = 10).Summary.SkippedRows);

        TextClassificationTransformer Fit(int stray, Action<TextClassificationOptions>? more = null) =>
            Toy.Fit(_ml, _ml.Data.LoadFromEnumerable<IdRow>([new(true, [1, 2]), new(false, [3]), new(true, [stray])]), o =>
        {
            (o.TextColumnName, o.VocabularySize, o.Epochs) = ("Ids", null, 1);
            more?.Invoke(o);
        });
    }

    [Fact]
    public void ManyDifferentIdsMayBeLarge()
    {
        int[] ids = [.. Enumerable.Range(0, 4200).Select(i => i * 16)];
        Assert.Equal(ids[^1] + 1, NewVocabulary.Of("Ids", [ids, null, []]));
        Assert.Throws<InvalidSettingException>(() => NewVocabulary.Of("Ids", [ids[..^200], [ids[^1]]]));
        Assert.Equal(65_536, NewVocabulary.Of("Ids", [[65_535]]));
        Assert.Throws<InvalidSettingException>(() => NewVocabulary.Of("Ids", [[65_536]]));
    }

    [Theory]
    [InlineData(WhenCancelled.Throw)]
    [InlineData(WhenCancelled.ReturnBest)]
    public void ReadingCanBeCancelled(WhenCancelled what)
    {
        using CancellationTokenSource source = new();
        int read = 0;
        IDataView data = _ml.Data.LoadFromEnumerable(Rows());
        Assert.ThrowsAny<OperationCanceledException>(() => Toy.Fit(_ml, data, o => (o.Cancellation, o.OnCancel) = (source.Token, what)));
        Assert.InRange(read, 10, 2000);

        IEnumerable<Toy.Row> Rows()
        {
            foreach (Toy.Row row in Toy.Rows(20_000, 2))
            {
                if (++read == 10) source.Cancel();
                yield return row;
            }
        }
    }

    [Fact]
    public void AModelThatWasDisposedBeforeFitIsNamed()
    {
        RbeMl.Models.ModelBundle bundle = LanguageModels.Verses.Bundle(new Text.ByteTokenizer());
        TextClassificationTrainer trainer = _ml.Rbe.TextClassification(Toy.Options(o => (o.Model, o.Context, o.Compression) = (bundle, null, null)));
        bundle.Dispose();
        ObjectDisposedException error = Assert.Throws<ObjectDisposedException>(() => trainer.Fit(Toy.Binary(_ml)));
        Assert.Equal("Model", error.ObjectName);
        Assert.Contains("before Fit", error.Message, StringComparison.Ordinal);
    }

    private sealed record IdRow(bool Label, int[] Ids);

    private sealed class Listener(Action<int> report) : IProgress<RbeMl.Training.ClassifierProgress>
    {
        public void Report(RbeMl.Training.ClassifierProgress value) => report(value.Step);
    }
}
