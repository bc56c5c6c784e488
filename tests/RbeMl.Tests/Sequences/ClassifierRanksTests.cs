using System.Globalization;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

/// <summary>Ranks that share the batches of a classifier's step give the bits of one process; several batches are the mean over their examples.</summary>
public sealed class ClassifierRanksTests : IDisposable
{
    // 7 batches of 64 examples: steps of 4 and of 3, the last of them with a short batch.
    private static readonly ClassifierTrainerOptions s_options = new()
    {
        Epochs = 3,
        BatchSize = 10,
        Accumulate = 4,
        LearningRate = 5e-3,
        ValidationFraction = 0.2,
        AverageHorizon = 3,
        Patience = 2,
        Clip = 0.5,
    };

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private static ClassifierTrainer Make(SequenceClassifier<float> classifier, ClassifierTrainerOptions options, ICollective? ranks = null, int seed = 1,
        int threads = 1) => new(classifier, ClassifierCase.Examples(80, seed), null, options, threads, ranks);

    private static SequenceClassifier<float> Classifier() => ClassifierCase.Classifier(Pooling.Mean, 0.1f);

    // All that a run reports but times, and the weights.
    private static string[] Run(ClassifierTrainer trainer)
    {
        List<string> told = [];
        ClassifierResult result = trainer.Run(new Sink(report => told.Add(string.Create(CultureInfo.InvariantCulture,
            $"{report.Epoch} {report.Step} {report.Loss:R} {report.GradientNorm:R} {report.Examples} {report.ValidationLoss:R} "
                + $"{report.ValidationAccuracy:R}"))));
        ParameterVector<float> head = trainer.Classifier.Head;
        return [.. told, result.ToString(), RunMark.HashOf(trainer.Classifier.Model),
            .. head.Slices.SelectMany(head.ToFloats).Select(value => value.ToString("R", CultureInfo.InvariantCulture))];
    }

    private static string[] Alone(ClassifierTrainerOptions options)
    {
        using SequenceClassifier<float> classifier = Classifier();
        using ClassifierTrainer trainer = Make(classifier, options);
        return Run(trainer);
    }

    private static void Same(string[] expected, int size, ClassifierTrainerOptions options) => new ThreadCollective(size).Run(ranks =>
    {
        using SequenceClassifier<float> classifier = Classifier();
        using ClassifierTrainer trainer = Make(classifier, options, ranks, threads: ranks.Rank + 1);
        Assert.Equal(size > 1, trainer.ExchangedBytes > 0);
        Assert.Equal(expected, Run(trainer));
    });

    [Theory]
    [InlineData(TrainedParts.All, "adamw")]
    [InlineData(TrainedParts.Head, "adamw")]
    [InlineData(TrainedParts.Coefficients, "lion")]
    [InlineData(TrainedParts.All, "muon")]
    public void One_to_four_ranks_have_the_bits_of_one_process(TrainedParts parts, string optimizer)
    {
        ClassifierTrainerOptions options = s_options with { Trained = parts, Optimizer = OptimizerOptions.All.Single(each => each.Name == optimizer) };
        string[] expected = Alone(options);
        for (int size = 1; size <= 4; size++) Same(expected, size, options);
    }

    [Fact]
    public void Steps_of_several_batches_are_those_of_one_large_batch_but_for_rounding_and_count_their_examples()
    {
        // One batch of all examples, or two and a short one, of the same epoch.
        ClassifierTrainerOptions one = new() { Epochs = 1, BatchSize = 64, LearningRate = 5e-3, ValidationFraction = 0.2, WarmupFraction = 0 };
        (ClassifierProgress whole, float[] expected) = Step(one);
        (ClassifierProgress parts, float[] actual) = Step(one with { BatchSize = 25, Accumulate = 3 });
        Assert.Equal((64, 64, 1, 1), (whole.Examples, parts.Examples, whole.Steps, parts.Steps));
        Assert.Equal(whole.Loss, parts.Loss, 1e-5);
        Assert.Equal(whole.GradientNorm, parts.GradientNorm, 1e-4);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], 2e-2 * 5e-3); // AdamW's first step has the sign of the gradient

        static (ClassifierProgress, float[]) Step(ClassifierTrainerOptions options)
        {
            using SequenceClassifier<float> classifier = ClassifierCase.Classifier(Pooling.Mean);
            using ClassifierTrainer trainer = Make(classifier, options);
            Assert.Equal(1, trainer.StepsPerEpoch);
            ClassifierProgress report = trainer.Step();
            return (report, [.. classifier.Head.Slices.SelectMany(classifier.Head.ToFloats)]);
        }
    }

    [Theory]
    [InlineData(1, 3)]
    [InlineData(3, 2)]
    public void A_state_goes_on_on_another_number_of_ranks_with_the_same_bits(int before, int after)
    {
        string path = _folder.File("state.rbe");
        ClassifierTrainerOptions options = s_options with { StatePath = path, StateEvery = SaveInterval.EverySteps(1) };
        string expected = Alone(s_options)[^1];
        new ThreadCollective(before).Run(ranks =>
        {
            using CancellationTokenSource cancel = new();
            using SequenceClassifier<float> classifier = Classifier();
            using ClassifierTrainer trainer = Make(classifier, options, ranks);
            Assert.ThrowsAny<OperationCanceledException>(() => trainer.Run(new Sink(report =>
            {
                if (report.Step == 3 && ranks.Rank == before - 1) cancel.Cancel();
            }), cancel.Token));
            Assert.Equal(3, trainer.StepsDone);
        });
        new ThreadCollective(after).Run(ranks =>
        {
            using SequenceClassifier<float> classifier = Classifier();
            using ClassifierTrainer trainer = Make(classifier, options, ranks);
            Assert.Equal(expected, Run(trainer)[^1]);
        });
        Assert.False(File.Exists(path));
    }

    [Fact]
    public void What_a_rank_has_of_its_own_and_too_few_batches_are_refused()
    {
        Exception?[] seen = new Exception?[3];
        new ThreadCollective(3).Run(ranks => seen[ranks.Rank] = Record.Exception(() =>
        {
            using SequenceClassifier<float> classifier = Classifier();
            Make(classifier, s_options, ranks, ranks.Rank == 1 ? 2 : 1).Dispose();
        }));
        Assert.All(seen, error => Assert.StartsWith("rank 1: training data: it has ", Assert.IsType<DistributedException>(error).Message));
        using SequenceClassifier<float> classifier = Classifier();
        ThreadCollective few = new(3);
        Assert.StartsWith("Accumulate = 2: 3 ranks share the micro-batches of a step: use at least 3",
            Assert.Throws<InvalidSettingException>(() => Make(classifier, s_options with { Accumulate = 2 }, few[0])).Message);
        Assert.StartsWith("Accumulate = 0: use at least 1 batch.",
            Assert.Throws<InvalidSettingException>(() => (s_options with { Accumulate = 0 }).Validate()).Message);
    }

    [Fact]
    public void A_value_that_is_no_number_fails_the_step_on_all_ranks_with_the_words_of_one_process()
    {
        string expected = Assert.Throws<NonFiniteException>(() => Ruined(null)).Message;
        Exception?[] seen = new Exception?[2];
        new ThreadCollective(2).Run(ranks => seen[ranks.Rank] = Record.Exception(() => Ruined(ranks)));
        Assert.All(seen, error => Assert.Equal(expected, Assert.IsType<NonFiniteException>(error).Message));

        static void Ruined(ICollective? ranks)
        {
            using SequenceClassifier<float> classifier = Classifier();
            ParameterVector<float> weights = classifier.Model.Parameters;
            ParameterSlice slice = weights.Slices.First(slice => slice.Kind == ParameterKind.Embedding);
            weights.Write(slice, [.. Enumerable.Repeat(float.MaxValue, slice.Length)]);
            using ClassifierTrainer trainer = Make(classifier, s_options, ranks);
            trainer.Step();
        }
    }

    private sealed class Sink(Action<ClassifierProgress> tell) : IProgress<ClassifierProgress>
    {
        public void Report(ClassifierProgress value) => tell(value);
    }
}
