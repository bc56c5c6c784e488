using Microsoft.ML;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Training;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.Classification;

public sealed class TrainingTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void TheSameSeedGivesTheSameBitsOnAnyThreads()
    {
        IDataView data = Toy.Multiclass(_ml);
        float[][] one = Scores(o => o.Threads = 1);
        Assert.Equal(one, Scores(o => o.Threads = 2));
        Assert.NotEqual(one, Scores(o => o.Seed = 4));

        float[][] Scores(Action<TextClassificationOptions> change) => Toy.Scores(_ml, Toy.Fit(_ml, data, change), data);
    }

    [Fact]
    public void WithoutASeedTheContextGivesOne()
    {
        ulong first = Seed(7), again = Seed(7), other = Seed(8);
        Assert.Equal(first, again);
        Assert.NotEqual(first, other);
        TextClassificationTrainer trainer = _ml.Rbe.TextClassification(Toy.Options(o => (o.Seed, o.Epochs) = (null, 1)));
        Assert.Equal(trainer.Fit(Toy.Binary(_ml)).Summary.Seed, trainer.Fit(Toy.Binary(_ml)).Summary.Seed);
        Assert.Equal(3u, Toy.Fit(_ml, Toy.Binary(_ml)).Summary.Seed);

        static ulong Seed(int context)
        {
            MLContext ml = new(context);
            return Toy.Fit(ml, Toy.Binary(ml), o => (o.Seed, o.Epochs) = (null, 1)).Summary.Seed;
        }
    }

    [Fact]
    public void StepsAndEpochsAreReported()
    {
        List<string> log = [];
        List<ClassifierProgress> steps = [];
        _ml.Log += (_, e) => log.Add(e.Message);
        TextClassificationTransformer model =
            Toy.Fit(_ml, Toy.Multiclass(_ml), o => (o.Progress, o.ValidationFraction, o.Epochs, o.BatchSize) = (new Listener(steps.Add), 0.25, 3, 5));
        Assert.Equal((18, 6, 12), (model.Summary.Examples, model.Summary.ValidationExamples, model.Summary.Steps));
        Assert.Equal(Enumerable.Range(1, 12), steps.Select(s => s.Step));
        Assert.Equal([5, 5, 5, 3], steps.Take(4).Select(s => s.Examples).OrderDescending()); // the short batch counts for its examples
        Assert.Equal(steps.Chunk(4).Select(epoch => epoch.Sum(s => s.Loss * s.Examples) / 18), model.Summary.Epochs.Select(e => e.Loss));
        Assert.All(model.Summary.Epochs, e => Assert.InRange(e.ValidationAccuracy!.Value, 0, 1));
        Assert.Contains(log, m => m.Contains("Epoch 3 of 3: loss", StringComparison.Ordinal) && m.Contains("accuracy", StringComparison.Ordinal));
        Assert.Contains(log, m => m.Contains("seed 3", StringComparison.Ordinal));
        Assert.True(model.Summary.Seconds > 0);
    }

    [Fact]
    public void CancellingThrowsOrReturnsWhatThereIs()
    {
        IDataView data = Toy.Multiclass(_ml);
        Assert.ThrowsAny<OperationCanceledException>(() => Cancelled(WhenCancelled.Throw, 7));
        TextClassificationTransformer model = Cancelled(WhenCancelled.ReturnBest, 7);
        Assert.Equal((7, true), (model.Summary.Steps, model.Summary.Cancelled));
        Assert.Equal(2, model.Summary.Epochs.Count); // six steps and one
        Assert.DoesNotContain(Toy.Scores(_ml, model, data), row => row.Any(float.IsNaN));
        Assert.ThrowsAny<OperationCanceledException>(() => Toy.Fit(_ml, data, o => o.Cancellation = new CancellationToken(true)));

        TextClassificationTransformer Cancelled(WhenCancelled what, int after)
        {
            using CancellationTokenSource source = new();
            return Toy.Fit(_ml, data, o => (o.OnCancel, o.Cancellation, o.Progress) = (what, source.Token, new Listener(s =>
            {
                if (s.Step == after) source.Cancel();
            })));
        }
    }

    [Fact]
    public void PatienceEndsWithTheBestEpoch()
    {
        // A learning rate that soon does more harm than good.
        IDataView data = Toy.Multiclass(_ml),
            validation = Toy.Multiclass(_ml, [.. Toy.Rows(12).Select(r => new Toy.Row { Text = r.Text, Name = r.Name == "cat" ? "owl" : r.Name })]);
        TextClassificationTransformer model = Toy.Fit(_ml, data, o => (o.Validation, o.Patience, o.Epochs) = (validation, 2, 60));
        TrainingSummary summary = model.Summary;
        Assert.True(summary.StoppedEarly && summary.Epochs.Count < 60);
        Assert.Equal(summary.Epochs.Count - 2, summary.BestEpoch);
        Assert.Equal(summary.Epochs.Min(e => e.ValidationLoss), summary.Epochs[summary.BestEpoch - 1].ValidationLoss);
        // ML.NET adds up in fp32
        Assert.Equal(summary.Epochs[summary.BestEpoch - 1].ValidationLoss!.Value,
            _ml.MulticlassClassification.Evaluate(model.Transform(validation)).LogLoss, 1e-4);
    }

    [Fact]
    public void ADivergingTrainingNamesItsStep()
    {
        NonFiniteException error =
            Assert.Throws<NonFiniteException>(() => Toy.Fit(_ml, Toy.Multiclass(_ml), o => (o.LearningRate, o.Clip, o.WarmupFraction) = (1e6, 0, 0)));
        Assert.StartsWith("step ", error.Message);
    }

    [Fact]
    public void TheDataIsReadOnce()
    {
        foreach (int vocabulary in (int[])[256, 300])
        {
            CountingView data = new(Toy.Multiclass(_ml));
            Toy.Fit(_ml, data, o => o.VocabularySize = vocabulary);
            Assert.Equal(["Label, Text"], data.Cursors);
        }
    }

    private sealed class Listener(Action<ClassifierProgress> report) : IProgress<ClassifierProgress>
    {
        public void Report(ClassifierProgress value) => report(value);
    }

    private sealed class CountingView(IDataView source) : IDataView
    {
        /// <summary>The columns of every cursor.</summary>
        public List<string> Cursors { get; } = [];

        public bool CanShuffle => source.CanShuffle;

        public DataViewSchema Schema => source.Schema;

        public long? GetRowCount() => source.GetRowCount();

        public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null)
        {
            Cursors.Add(string.Join(", ", columnsNeeded.Select(c => c.Name).Order(StringComparer.Ordinal)));
            return source.GetRowCursor(columnsNeeded, rand);
        }

        public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
            [GetRowCursor(columnsNeeded, rand)];
    }
}
