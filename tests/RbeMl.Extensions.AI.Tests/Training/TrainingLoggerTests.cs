using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using RbeMl.Codec;
using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.Extensions.AI.Tests.Training;

public sealed class TrainingLoggerTests
{
    private static readonly TransformerConfig s_config = new() { Width = 32, Heads = 2, Layers = 1, Vocabulary = 16, MaxSequenceLength = 16 };
    private static readonly TrainerOptions s_options =
        new() { Steps = 20, BatchSize = 2, Context = 8, ValidateEvery = 10, ValidationSequences = 2, LearningRate = 1e-3 };

    private static readonly ClassifierExample[] s_examples =
        [.. Enumerable.Range(0, 8).Select(i => new ClassifierExample([i, (i + 3) % 16, (i % 2) + 7], i % 2))];

    [Fact]
    public void A_logger_hears_begin_tenths_validations_and_end_and_steps_at_debug_level()
    {
        RecordingLogger<Trainer> logger = new();
        List<int> steps = [];
        using Trainer trainer = Create(), silent = Create(), plain = Create();
        double loss = trainer.Run(new Sink<TrainingProgress>(step => steps.Add(step.Step)), logger);
        Assert.Equal(Enumerable.Range(1, 20), steps);
        Assert.Equal(loss, silent.Run(null, NullLogger.Instance));
        Assert.Equal(loss, plain.Run());
        Assert.Equal(plain.Validate(1), trainer.Validate(1));

        Assert.Equal(
            ["RbeTrainingStarted", .. Step(9), "RbeTrainingStep", "RbeTrainingValidated", .. Step(10), "RbeTrainingValidated", "RbeTrainingCompleted"],
            logger.Entries.Select(entry => entry.Event));
        Assert.Equal("Trainer begins: 20 steps, 0 of them done.", logger.Entries[0].Message);
        Assert.Equal(10, logger.Entries.Count(entry => entry is { Event: "RbeTrainingStep", Level: LogLevel.Information }));
        Assert.Equal(10, logger.Entries.Count(entry => entry is { Event: "RbeTrainingStep", Level: LogLevel.Debug }));
        Assert.StartsWith("Step 1 of 20: loss 2.", logger.Entries[1].Message, StringComparison.Ordinal);
        Assert.Contains(logger.Entries, entry => entry.Message == FormattableString.Invariant($"Step 20 of 20: validation loss {loss:F4}."));
        Assert.StartsWith("Trainer is done after step 20 and ", logger.Entries[^1].Message, StringComparison.Ordinal);

        static string[] Step(int count) => [.. Enumerable.Repeat("RbeTrainingStep", count)];
    }

    [Fact]
    public void What_is_cancelled_resumed_or_fails_is_logged()
    {
        using TemporaryFolder folder = new();
        using CancellationTokenSource cancel = new();
        RecordingLogger<Trainer> first = new(), second = new(), third = new();
        TrainerOptions kept = s_options with { StatePath = folder.File("state.rbe") };
        using Trainer stopped = Create(kept), resumed = Create(kept), broken = Create(vocabulary: 17);
        Sink<TrainingProgress> stop = new(step =>
        {
            if (step.Step == 4) cancel.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => stopped.Run(stop, first, cancel.Token));
        Assert.Equal(("RbeTrainingCancelled", LogLevel.Warning), (first.Entries[^1].Event, first.Entries[^1].Level));
        Assert.StartsWith("Trainer was cancelled after step 4 of 20", first.Entries[^1].Message, StringComparison.Ordinal);

        resumed.Run(null, second);
        Assert.Equal("Trainer goes on from its state after step 4.", second.Entries[1].Message);
        Assert.Equal("RbeTrainingResumed", second.Entries[1].Event);

        TokenException error = Assert.Throws<TokenException>(() => broken.Run(null, third));
        Assert.Equal(("RbeTrainingFailed", LogLevel.Error), (third.Entries[^1].Event, third.Entries[^1].Level));
        Assert.Same(error, third.Entries[^1].Error);
    }

    [Fact]
    public void Classifiers_and_similarities_are_logged_too()
    {
        RecordingLogger<ClassifierTrainer> classes = new();
        RecordingLogger<SimilarityTrainer> likes = new();
        List<int> steps = [];
        using SequenceClassifier<float> classifier = new(Model(), new ClassifierConfig { Classes = 2 }, seed: 1);
        ClassifierTrainerOptions options = new() { Epochs = 2, BatchSize = 4 };
        using (ClassifierTrainer trainer = new(classifier, s_examples, s_examples, options, 1))
        {
            ClassifierResult result = trainer.Run(new Sink<ClassifierProgress>(step => steps.Add(step.Step)), classes);
            Assert.Equal(4, result.Steps);
            Assert.Equal([1, 2, 3, 4], steps);
            Assert.Contains(classes.Entries, entry => entry.Message.Contains("examples/s", StringComparison.Ordinal));
            string[] validated = [.. classes.Entries.Where(entry => entry.Event == "RbeClassifierValidated").Select(entry => entry.Message)];
            Assert.Equal(2, validated.Length);
            Assert.Contains(FormattableString.Invariant($"validation loss {result.ValidationLoss:F4}, accuracy "), validated[^1], StringComparison.Ordinal);
        }

        using CancellationTokenSource cancel = new();
        cancel.Cancel();
        SimilarityTrainerOptions kind = new() { Epochs = 1, BatchSize = 4, OnCancel = WhenCancelled.ReturnBest };
        using SimilarityTrainer similarity = new(Model(), s_examples, kind, 1);
        Assert.True(similarity.Run(null, likes, cancel.Token).Cancelled);
        Assert.Equal("RbeTrainingCancelled", likes.Entries[^1].Event);
        Assert.Equal(similarity.Steps, similarity.Run(null, likes).Steps);
        Assert.Equal("RbeTrainingCompleted", likes.Entries[^1].Event);
        Assert.Contains(likes.Entries, entry => entry.Message.Contains("pairs/s", StringComparison.Ordinal));
    }

    private static Trainer Create(TrainerOptions? options = null, int vocabulary = 16) =>
        new(Model(), new Tokens(vocabulary), new Tokens(16), options ?? s_options, threads: 1);

    private static TransformerModel<float> Model() =>
        TransformerModel<float>.Create(s_config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(64) }, seed: 3);

    // Counts upwards; where it has a token too many it says so late.
    private sealed class Tokens(int values) : ITokenSource
    {
        public int Vocabulary => 16;

        public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            for (int i = 0; i < inputs.Length; i++) (inputs[i], targets[i]) = ((int)((batchIndex + i) % values), (int)((batchIndex + i + 1) % values));
        }
    }

    private sealed class Sink<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
