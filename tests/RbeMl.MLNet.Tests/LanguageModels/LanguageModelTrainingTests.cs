using Microsoft.ML;
using RbeMl.MLNet.LanguageModels;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Tests.LanguageModels;

public sealed class LanguageModelTrainingTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void TrainingLowersLossesAndPerplexity()
    {
        IDataView data = Verses.View(_ml), held = Verses.View(_ml, "the owl sat on the dog", "the hen sat on the cat.");
        LanguageModelTransformer model = Verses.Fit(_ml, data, o => (o.Epochs, o.Validation) = (12, held));
        IReadOnlyList<EpochSummary> epochs = model.Summary.Epochs;
        Assert.Equal((12, 24, 2, 0), (epochs.Count, model.Summary.Examples, model.Summary.ValidationExamples, model.Summary.BestEpoch));
        Assert.True(epochs[^1].Loss < epochs[0].Loss - 1, "training loss did not fall");
        Assert.True(epochs[^1].ValidationLoss < epochs[0].ValidationLoss - 1, "validation loss did not fall");

        // The reported validation loss is the mean over all predicted tokens of what the transformer says of the rows.
        float[] found = model.Perplexities(held);
        int[] tokens = [21, 22];
        double mean = found.Zip(tokens, (p, n) => Math.Log(p) * n).Sum() / tokens.Sum();
        Assert.Equal(epochs[^1].ValidationLoss!.Value, mean, 1e-5); // fp32 perplexities
        Assert.True(model.Perplexities(Verses.View(_ml, "the cat sat on the owl"))[0] < model.Perplexities(Verses.View(_ml, "zqx vw 17 %& jjkk"))[0] / 3);
        Assert.InRange(model.Summary.Seconds, 1e-3, 600);
    }

    [Fact]
    public void TheSameSeedGivesTheSameBitsOnAnyThreads()
    {
        IDataView data = Verses.View(_ml);
        float[] one = Verses.Fit(_ml, data, o => o.Dropout = 0.1).Perplexities(data);
        Assert.Equal(one, Verses.Fit(_ml, data, o => (o.Threads, o.Dropout) = (2, 0.1)).Perplexities(data));
        Assert.NotEqual(one, Verses.Fit(_ml, data, o => (o.Seed, o.Dropout) = (4, 0.1)).Perplexities(data));
        Assert.Equal(one, Verses.Fit(_ml, data, o => (o.Checkpointing, o.Dropout) = (Layers.CheckpointPolicy.Full, 0.1)).Perplexities(data));
        Assert.NotEqual(one, Verses.Fit(_ml, data, o => (o.LearningRate, o.Dropout) = (1e-3, 0.1)).Perplexities(data));
    }

    [Fact]
    public void EpochsAndStepsAreCountedAndReported()
    {
        // 24 rows of 22 to 24 letters: with a context of 16 two pieces each, 48 in all, 10 batches of 5 an epoch but for the run on into the next.
        List<TrainingProgress> steps = [];
        List<string> log = [];
        _ml.Log += (_, e) => log.Add(e.Message);
        LanguageModelTransformer model = Verses.Fit(_ml, Verses.View(_ml), o => (o.Progress, o.Epochs, o.BatchSize) = (new Listener(steps.Add), 3, 5));
        Assert.Equal(Enumerable.Range(1, 29), steps.Select(s => s.Step));
        Assert.Equal((29, 3), (model.Summary.Steps, model.Summary.Epochs.Count));
        Assert.True(steps.Select(s => s.Tokens).Distinct().Count() > 1);
        Assert.Equal(Mean(steps.Take(10)), model.Summary.Epochs[0].Loss, 1e-12);
        Assert.Equal(Mean(steps.Skip(20)), model.Summary.Epochs[2].Loss, 1e-12);
        Assert.Contains(log, m => m.Contains("Epoch 3 of 3", StringComparison.Ordinal));

        model = Verses.Fit(_ml, Verses.View(_ml), o => (o.Steps, o.BatchSize) = (13, 5));
        Assert.Equal((13, 2), (model.Summary.Steps, model.Summary.Epochs.Count));
        model = Verses.Fit(_ml, Verses.View(_ml), o => (o.Steps, o.ValidationFraction) = (2, 0.25));
        Assert.Equal((18, 6), (model.Summary.Examples, model.Summary.ValidationExamples));
        model = Verses.Fit(_ml, Verses.View(_ml, [.. Verses.Lines(), "", "a"]), o => o.Steps = 1);
        Assert.Equal((24, 2), (model.Summary.Examples, model.Summary.SkippedRows));

        static double Mean(IEnumerable<TrainingProgress> steps) => steps.Sum(s => s.Loss * s.Tokens) / steps.Sum(s => s.Tokens);
    }

    /// <summary>Where nothing moves, the loss of an epoch is that of its rows, however batches divide them.</summary>
    [Theory]
    [InlineData(24)]
    [InlineData(6)]
    [InlineData(1)]
    public void TheLossOfAnEpochIsTheMeanOverItsTokens(int batch)
    {
        string[] lines = [.. Verses.Lines().Select((line, i) => line[..(3 + (i % 14))])]; // a piece each
        IDataView data = Verses.View(_ml, lines);
        LanguageModelTransformer model = Verses.Fit(_ml, data, o => (o.BatchSize, o.LearningRate, o.WeightDecay, o.Validation) = (batch, 1e-30, 0, data));
        EpochSummary epoch = Assert.Single(model.Summary.Epochs);
        Assert.InRange(Math.Abs((epoch.ValidationLoss!.Value / epoch.Loss) - 1), 0, 1e-6);
        Assert.NotEqual(model.Perplexities(data).Average(p => Math.Log(p)), epoch.ValidationLoss!.Value, 1e-3); // else nothing is weighed
    }

    [Fact]
    public void CancellingThrowsOrReturnsWhatThereIs()
    {
        IDataView data = Verses.View(_ml);
        Assert.ThrowsAny<OperationCanceledException>(() => Cancelled(WhenCancelled.Throw, 3));
        LanguageModelTransformer model = Cancelled(WhenCancelled.ReturnBest, 14);
        Assert.Equal((14, true, 2), (model.Summary.Steps, model.Summary.Cancelled, model.Summary.Epochs.Count)); // twelve steps and two
        Assert.DoesNotContain(float.NaN, model.Perplexities(data));
        Assert.ThrowsAny<OperationCanceledException>(() => Verses.Fit(_ml, data, o => o.Cancellation = new CancellationToken(true)));
        Assert.ThrowsAny<OperationCanceledException>(() =>
            Verses.Fit(_ml, data, o => (o.Cancellation, o.OnCancel) = (new CancellationToken(true), WhenCancelled.ReturnBest)));

        // With validation the best epoch is what comes back, without the two steps after it.
        model = Cancelled(WhenCancelled.ReturnBest, 14, o => o.ValidationFraction = 0.01);
        Assert.Equal(1, model.Summary.BestEpoch);

        LanguageModelTransformer Cancelled(WhenCancelled what, int after, Action<LanguageModelOptions>? more = null)
        {
            using CancellationTokenSource source = new();
            return Verses.Fit(_ml, data, o =>
            {
                (o.OnCancel, o.Cancellation, o.Epochs) = (what, source.Token, 8);
                o.Progress = new Listener(s =>
                {
                    if (s.Step == after) source.Cancel();
                });
                more?.Invoke(o);
            });
        }
    }

    [Fact]
    public void PatienceEndsWithTheBestEpoch()
    {
        // Validation texts that the training leads away from.
        IDataView held = Verses.View(_ml, "QQQQ ZZZZ QQQQ", "7777 8888 9999");
        LanguageModelTransformer model = Verses.Fit(_ml, Verses.View(_ml), o => (o.Validation, o.Patience, o.Epochs) = (held, 2, 40));
        TrainingSummary summary = model.Summary;
        Assert.True(summary.StoppedEarly && summary.Epochs.Count < 40);
        Assert.Equal(summary.Epochs.Count - 2, summary.BestEpoch);
        double best = summary.Epochs[summary.BestEpoch - 1].ValidationLoss!.Value;
        Assert.Equal(summary.Epochs.Min(e => e.ValidationLoss), best);
        Assert.Equal(best, model.Perplexities(held).Average(p => Math.Log(p)), 1e-5); // both of 14 letters
    }

    [Fact]
    public void AModelIsContinuedAndTheOriginalStays()
    {
        IDataView data = Verses.View(_ml);
        LanguageModelTransformer first = Verses.Fit(_ml, data, o => o.Epochs = 4);
        float[] before = first.Perplexities(data);
        LanguageModelTransformer second = Verses.Fit(_ml, data, o => (o.WarmStart, o.Epochs, o.Compression, o.Context) = (first, 2, null, null));
        Assert.True(second.Summary.Epochs[0].Loss < first.Summary.Epochs[0].Loss - 0.5);
        Assert.Equal(before, first.Perplexities(data));

        // Nothing trained: the same model.
        Assert.Equal(before, Verses.Fit(_ml, data, o => (o.WarmStart, o.Epochs, o.Compression, o.Context) = (first, 0, null, null)).Perplexities(data));
    }

    [Fact]
    public void ModelAndTokenizerCanBeTakenOutAndTrained()
    {
        LanguageModelTransformer fitted = Verses.Fit(_ml, Verses.View(_ml));
        float[] before = fitted.Perplexities(Verses.View(_ml));
        using TransformerModel<float> model = fitted.CopyModel();
        int[] ids = fitted.Tokenizer!.Encode(string.Join(' ', Verses.Lines()));
        using Trainer trainer =
            new(model, TokenDataset.FromStream(ids, model.Config.Vocabulary), null,
                new TrainerOptions { Steps = 12, BatchSize = 4, Context = 16, LearningRate = 1e-2, WarmupSteps = 2 }, threads: 1);
        double first = trainer.Step().Loss;
        trainer.Run();
        Assert.True(Verses.Score(_ml, new ModelBundle(model, fitted.Tokenizer)).Perplexities(Verses.View(_ml)).Average() < before.Average());
        Assert.InRange(first, 0.1, 10);
        Assert.Equal(before, fitted.Perplexities(Verses.View(_ml)));
    }

    [Fact]
    public void TokenizersAreLearnedOrGiven()
    {
        Assert.IsType<ByteTokenizer>(Verses.Fit(_ml, Verses.View(_ml), o => o.Steps = 1).Tokenizer);
        Assert.IsType<BytePairTokenizer>(Verses.Fit(_ml, Verses.View(_ml), o => (o.Steps, o.VocabularySize) = (1, 300)).Tokenizer);
        CharacterTokenizer letters = CharacterTokenizer.FromText(string.Concat(Verses.Lines()));
        LanguageModelTransformer model = Verses.Fit(_ml, Verses.View(_ml), o => (o.Steps, o.Tokenizer) = (1, letters));
        Assert.Same(letters, model.Tokenizer);
        Assert.Equal(letters.Vocabulary, model.CopyModel().Config.Vocabulary);

        // Ids need none; a new model knows those it was trained on.
        IDataView ids = _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 8).Select(i => new Verses.Ids { Text = [i % 3, 4, 6, i % 5, 1] }));
        model = Verses.Fit(_ml, ids, o => (o.Steps, o.VocabularySize, o.GeneratedTextColumnName) = (2, null, null));
        Assert.Equal(7, model.CopyModel().Config.Vocabulary);
        Assert.DoesNotContain(float.NaN, model.Perplexities(ids));
        Assert.Equal([float.NaN], model.Perplexities(_ml.Data.LoadFromEnumerable([new Verses.Ids { Text = [1, 7] }])));
    }

    private sealed class Listener(Action<TrainingProgress> report) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => report(value);
    }
}
