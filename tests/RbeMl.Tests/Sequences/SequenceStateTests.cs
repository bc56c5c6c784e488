using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Tests.Training;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

/// <summary>Trainings of classifiers and similarities that go on from their state give the bits of those that were never stopped.</summary>
public sealed class SequenceStateTests : IDisposable
{
    private static readonly ClassifierTrainerOptions s_classes = new() { Epochs = 3, BatchSize = 16, LearningRate = 5e-3, ValidationFraction = 0.2 };
    private static readonly SimilarityTrainerOptions s_pairs = new() { Epochs = 3, BatchSize = 16, LearningRate = 5e-3, Pooling = Pooling.Max };
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string State => _folder.File("run.rbe");

    private static SequenceClassifier<float> Classifier() => ClassifierCase.Classifier(Pooling.Mean, 0.1f);

    private static int[] Bits(params ParameterVector<float>[] vectors) =>
        [.. vectors.SelectMany(vector => vector.Slices.SelectMany(vector.ToFloats)).Select(BitConverter.SingleToInt32Bits)];

    [Theory]
    [InlineData(null, 0, 0, WhenCancelled.Throw)]
    [InlineData(null, 2, 3, WhenCancelled.Throw)]
    [InlineData(TrainedParts.Head, 0, 3, WhenCancelled.Throw)]
    [InlineData(TrainedParts.Biases, 1, 0, WhenCancelled.ReturnBest)]
    public void Of_a_classifier(TrainedParts? trained, int patience, int horizon, WhenCancelled onCancel)
    {
        ClassifierTrainerOptions options = s_classes with { Trained = trained, Patience = patience, AverageHorizon = horizon, OnCancel = onCancel };
        (int[] Bits, ClassifierResult Result) whole = Train(options, 0, 2);
        foreach (int stop in new[] { 1, 5, 9 })
        {
            Train(options with { StatePath = State, StateEvery = SaveInterval.EverySteps(2) }, stop, 1);
            Assert.True(File.Exists(State), "no state was saved when the run was cancelled");
            (int[] Bits, ClassifierResult Result) resumed = Train(options with { StatePath = State }, 0, 3);
            Assert.Equal(whole.Bits, resumed.Bits);
            Assert.Equal(whole.Result, resumed.Result);
            Assert.False(File.Exists(State), "the state of a run that is complete was left");
        }

        static (int[] Bits, ClassifierResult Result) Train(ClassifierTrainerOptions options, int stop, int threads)
        {
            using SequenceClassifier<float> classifier = Classifier();
            using ClassifierTrainer trainer = new(classifier, ClassifierCase.Examples(80, 1), null, options, threads);
            using CancellationTokenSource cancel = new();
            ClassifierResult? result = null;
            void Run() => result = trainer.Run(new Sink<ClassifierProgress>(r => { if (r.Step == stop) cancel.Cancel(); }), cancel.Token);
            if (stop > 0 && options.OnCancel == WhenCancelled.Throw) Assert.Throws<OperationCanceledException>(Run);
            else Run();
            return (Bits(classifier.Model.Parameters, classifier.Head), result!);
        }
    }

    [Theory]
    [InlineData(SimilarityLoss.Cosine, 0)]
    [InlineData(SimilarityLoss.Contrastive, 4)]
    public void Of_similarities(SimilarityLoss loss, int horizon)
    {
        SimilarityTrainerOptions options = s_pairs with { Loss = loss, AverageHorizon = horizon };
        (int[] Bits, SimilarityResult? Result) whole = Train(options, 0, 2);
        foreach (int stop in new[] { 1, 4, 6 })
        {
            Train(options with { StatePath = State }, stop, 1);
            (int[] Bits, SimilarityResult? Result) resumed = Train(options with { StatePath = State }, 0, 3);
            Assert.Equal(whole.Bits, resumed.Bits);
            Assert.Equal(whole.Result, resumed.Result);
            Assert.False(File.Exists(State), "the state of a run that is complete was left");
        }

        static (int[] Bits, SimilarityResult? Result) Train(SimilarityTrainerOptions options, int stop, int threads)
        {
            using SequenceClassifier<float> owner = Classifier();
            using SimilarityTrainer trainer = new(owner.Model, ClassifierCase.Examples(48, 1), options, threads);
            using CancellationTokenSource cancel = new();
            SimilarityResult? result = null;
            void Run() => result = trainer.Run(new Sink<SimilarityProgress>(r => { if (r.Step == stop) cancel.Cancel(); }), cancel.Token);
            if (stop > 0) Assert.Throws<OperationCanceledException>(Run);
            else Run();
            return (Bits(owner.Model.Parameters), result);
        }
    }

    [Fact]
    public void A_state_that_predicts_nothing_leaves_the_one_before()
    {
        using SequenceClassifier<float> first = Classifier(), second = Classifier();
        using ClassifierTrainer classes = new(first, ClassifierCase.Examples(80, 1), null, s_classes, 1);
        using SimilarityTrainer pairs = new(second.Model, ClassifierCase.Examples(48, 1), s_pairs, 1);
        foreach ((Action step, Action<string> save, ParameterVector<float> weights) in ((Action, Action<string>, ParameterVector<float>)[])
        [
            (() => classes.Step(), classes.SaveState, first.Model.Parameters), (() => pairs.Step(), pairs.SaveState, second.Model.Parameters),
        ])
        {
            step();
            save(State);
            byte[] before = File.ReadAllBytes(State);
            TrainingStateTests.Ruin(weights);
            NonFiniteException error = Assert.Throws<NonFiniteException>(() => save(State));
            Assert.StartsWith("the state after step 1, ", error.Message, StringComparison.Ordinal);
            Assert.Equal(before, File.ReadAllBytes(State));
        }
    }

    [Fact]
    public void States_of_other_trainings_are_refused()
    {
        string state = _folder.File("classes.rbe"), pairs = _folder.File("pairs.rbe");
        using SequenceClassifier<float> first = Classifier(), second = Classifier();
        using ClassifierTrainer trainer = new(first, ClassifierCase.Examples(80, 1), null, s_classes, 1);
        using SimilarityTrainer similar = new(second.Model, ClassifierCase.Examples(48, 1), s_pairs, 1);
        trainer.Step();
        similar.Step();
        trainer.SaveState(state);
        similar.SaveState(pairs);
        Refused("trainer", pairs, s_classes);
        Refused("Patience", state, s_classes with { Patience = 1 });
        Refused("LossFloor", state, s_classes with { LossFloor = 0.1 });
        Refused("Accumulate", state, s_classes with { Accumulate = 2 });
        Refused("HeadLearningRate", state, s_classes with { HeadLearningRate = 1e-3 });
        Refused("Trained", state, s_classes with { Trained = TrainedParts.Biases });
        Refused("Seed", state, s_classes with { Seed = 3 });
        Refused("training data", state, s_classes, 2);
        using SequenceClassifier<float> unit = ClassifierCase.Classifier(Pooling.Mean, 0.1f, normalize: true);
        using ClassifierTrainer units = new(unit, ClassifierCase.Examples(80, 1), null, s_classes, 1);
        Assert.Equal("classifier", Assert.Throws<StateMismatchException>(() => units.Resume(state)).What);
        using SequenceClassifier<float> third = Classifier();
        foreach ((string what, SimilarityTrainerOptions options) in new[]
        {
            ("Loss", s_pairs with { Loss = SimilarityLoss.Contrastive }), ("Temperature", s_pairs with { Temperature = 0.2 }),
            ("Pooling", s_pairs with { Pooling = Pooling.Mean }),
        })
        {
            using SimilarityTrainer other = new(third.Model, ClassifierCase.Examples(48, 1), options, 1);
            Assert.Equal(what, Assert.Throws<StateMismatchException>(() => other.Resume(pairs)).What);
        }

        static void Refused(string what, string state, ClassifierTrainerOptions options, int seed = 1)
        {
            using SequenceClassifier<float> classifier = Classifier();
            using ClassifierTrainer trainer = new(classifier, ClassifierCase.Examples(80, seed), null, options, 1);
            int[] before = Bits(classifier.Model.Parameters, classifier.Head);
            Assert.Equal(what, Assert.Throws<StateMismatchException>(() => trainer.Resume(state)).What);
            Assert.Equal(before, Bits(classifier.Model.Parameters, classifier.Head));
        }
    }

    private sealed class Sink<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
