using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

public class FewLabelTrainerTests
{
    private static readonly ClassifierTrainerOptions s_fineTuning = new() { Epochs = 6, BatchSize = 16, LearningRate = 5e-3, Trained = TrainedParts.Blocks };

    private static readonly SimilarityTrainerOptions s_contrastive =
        new() { Epochs = 6, BatchSize = 16, LearningRate = 5e-3, Loss = SimilarityLoss.Contrastive, Trained = TrainedParts.Blocks };

    /// <summary>A random model's features say little; both kinds of training make them better than the frozen ones.</summary>
    [Fact]
    public void Training_is_better_than_frozen_features()
    {
        double frozen = Accuracy(FewLabelMethod.Frozen, out FewLabelResult alone), tuned = Accuracy(FewLabelMethod.FineTuned, out FewLabelResult both),
            contrast = Accuracy(FewLabelMethod.Contrastive, out FewLabelResult apart);
        Assert.Equal(0, alone.Steps);
        Assert.Equal((6 * 25, 6 * 25), (both.Steps, apart.Steps));
        Assert.InRange(alone.CrossValidatedAccuracy!.Value, frozen - 0.12, frozen + 0.12);
        Assert.Equal(alone.CrossValidatedLoss, both.CrossValidatedLoss);
        Assert.True(tuned > frozen + 0.05 && contrast > frozen + 0.05, $"frozen {frozen}, fine-tuned {tuned}, contrastive {contrast}");

        static double Accuracy(FewLabelMethod method, out FewLabelResult result)
        {
            using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
            result = new FewLabelTrainer(classifier, ClassifierCase.Examples(400, 1), Options(method), 2).Run();
            return ClassifierCase.Accuracy(classifier, ClassifierCase.Examples(400, 3));
        }
    }

    [Theory]
    [InlineData(FewLabelMethod.Frozen)]
    [InlineData(FewLabelMethod.FineTuned)]
    [InlineData(FewLabelMethod.Contrastive)]
    public void Threads_change_no_bit_and_a_seed_does(FewLabelMethod method)
    {
        int[] one = Train(1, 5);
        Assert.Equal(one, Train(3, 5));
        if (method != FewLabelMethod.Frozen) Assert.NotEqual(one, Train(1, 6));

        int[] Train(int threads, ulong seed)
        {
            using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
            new FewLabelTrainer(classifier, ClassifierCase.Examples(40, 1), Options(method) with { Seed = seed }, threads).Run();
            return [.. ((ParameterVector<float>[])[classifier.Model.Parameters, classifier.Head]).SelectMany(v => v.Slices.SelectMany(v.ToFloats))
                .Select(BitConverter.SingleToInt32Bits)];
        }
    }

    /// <summary>The head is fitted to the rows that it reads later: of length 1 where the classifier says so, after a contrastive stage too.</summary>
    [Theory]
    [InlineData(FewLabelMethod.Frozen)]
    [InlineData(FewLabelMethod.Contrastive)]
    public void A_head_of_unit_rows_is_fitted_to_unit_rows(FewLabelMethod method)
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier(Pooling.Mean, normalize: true);
        ClassifierExample[] examples = ClassifierCase.Examples(40, 1);
        FewLabelResult result = new FewLabelTrainer(classifier, examples, Options(method), 1).Run();
        float[] rows = new float[examples.Length * 32], scores = ClassifierCase.Scores(classifier, examples);
        using Workspace<float> workspace = new(1);
        classifier.Model.Features([.. examples.SelectMany(e => e.Tokens)], [.. examples.Select(e => e.Tokens.Length)], new() { Pooling = Pooling.Mean },
            workspace, rows);
        for (int i = 0; i < examples.Length; i++) SentenceEncoder.Normalize(rows.AsSpan(i * 32, 32));
        LinearClassifier head = new LogisticFit(rows, 32, [.. examples.Select(e => e.Label)], 2).Fit(result.Penalty);
        for (int i = 0; i < scores.Length; i++)
        {
            float expected = head.Bias[i % 2];
            for (int f = 0; f < 32; f++) expected += head.Weight[(i % 2 * 32) + f] * rows[(i / 2 * 32) + f];
            Assert.Equal(expected, scores[i], 1e-3f);
        }
    }

    [Fact]
    public void Frozen_changes_the_head_only_and_all_methods_leave_the_embeddings()
    {
        foreach (FewLabelMethod method in Enum.GetValues<FewLabelMethod>())
        {
            using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
            ParameterVector<float> parameters = classifier.Model.Parameters;
            Dictionary<string, float[]> before = parameters.Slices.ToDictionary(s => s.Name, parameters.ToFloats);
            new FewLabelTrainer(classifier, ClassifierCase.Examples(20, 1), new FewLabelOptions { Method = method }, 1).Run();
            foreach (ParameterSlice slice in parameters.Slices)
            {
                bool same = before[slice.Name].AsSpan().SequenceEqual(parameters.Of(slice));
                if (method == FewLabelMethod.Frozen || slice.Name.StartsWith("embedding.", StringComparison.Ordinal)) Assert.True(same, slice.Name);
                else if (slice.Kind == ParameterKind.Coefficient) Assert.False(same, slice.Name);
            }
        }
    }

    [Fact]
    public void Progress_goes_through_the_stages()
    {
        foreach (FewLabelMethod method in Enum.GetValues<FewLabelMethod>())
        {
            using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
            List<FewLabelProgress> reports = [];
            FewLabelResult result = new FewLabelTrainer(classifier, ClassifierCase.Examples(40, 1), Options(method), 1).Run(new Sink(reports.Add));
            FewLabelStage[] expected = method switch
            {
                FewLabelMethod.Frozen => [FewLabelStage.Head],
                FewLabelMethod.FineTuned => [FewLabelStage.Head, FewLabelStage.FineTuning],
                _ => [FewLabelStage.Contrast, FewLabelStage.Head],
            };
            Assert.Equal(expected, reports.Select(r => r.Stage).Distinct());
            Assert.Equal(result.Steps, reports.Count(r => r.Stage != FewLabelStage.Head));
            if (method != FewLabelMethod.Frozen)
            {
                FewLabelProgress[] last = [.. reports.Where(r => r.Stage != FewLabelStage.Head).TakeLast(3)];
                Assert.Equal(last.Sum(r => r.Report.Loss * r.Report.Examples) / 40, result.Loss, 1e-12);
            }
        }
    }

    [Fact]
    public void Cancelling_returns_a_classifier_or_throws()
    {
        foreach (FewLabelMethod method in (FewLabelMethod[])[FewLabelMethod.FineTuned, FewLabelMethod.Contrastive])
        {
            foreach (WhenCancelled what in Enum.GetValues<WhenCancelled>())
            {
                using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
                using CancellationTokenSource source = new();
                FewLabelOptions options = new()
                {
                    Method = method,
                    FineTuning = s_fineTuning with { OnCancel = what },
                    Contrastive = s_contrastive with { OnCancel = what },
                };
                FewLabelTrainer trainer = new(classifier, ClassifierCase.Examples(60, 1), options, 1);
                Sink sink = new(r => { if (r.Stage != FewLabelStage.Head && r.Report.Step == 3) source.Cancel(); });
                if (what == WhenCancelled.Throw)
                {
                    Assert.Throws<OperationCanceledException>(() => trainer.Run(sink, source.Token));
                    continue;
                }

                FewLabelResult result = trainer.Run(sink, source.Token);
                Assert.Equal((true, 3), (result.Cancelled, result.Steps));
                Assert.NotEqual(0, classifier.Head.ToFloats(classifier.Head.Slices[1])[0]);
            }
        }
    }

    [Fact]
    public void One_example_a_class_is_enough_and_one_class_is_not()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        foreach (FewLabelMethod method in Enum.GetValues<FewLabelMethod>())
        {
            FewLabelResult result = new FewLabelTrainer(classifier, [new([3, 7, 3], 0), new([9, 1, 9], 1)], Options(method), 1).Run();
            Assert.Null(result.CrossValidatedLoss);
            Assert.Equal(PenaltyChoice.Default, result.Penalty);
        }

        Refused<InvalidSettingException>("two classes", [new([1], 1), new([2], 1)]);
        Refused<InvalidSettingException>("two classes", []);
        Refused<TokenException>("label 2 of example 1", [new([1], 1), new([2], 2)]);
        Refused<TokenException>("example 0 has no tokens", [new([], 1), new([2], 1)]);
        Refused<InvalidSettingException>("Method", [new([1], 0), new([2], 1)], new FewLabelOptions { Method = (FewLabelMethod)7 });
        Refused<InvalidSettingException>("Epochs", [new([1], 0), new([2], 1)], new FewLabelOptions { FineTuning = s_fineTuning with { Epochs = 0 } });

        void Refused<TError>(string part, ClassifierExample[] examples, FewLabelOptions? options = null)
            where TError : RbeException =>
            Assert.Contains(part, Assert.Throws<TError>(() => new FewLabelTrainer(classifier, examples, options, 1)).Message, StringComparison.Ordinal);
    }

    /// <summary>Texts that a head tells apart at once: it is held back before fine-tuning, which ends when they are learnt, not when epochs are done.</summary>
    [Fact]
    public void Fine_tuning_has_something_to_learn_and_ends_when_it_is_learnt()
    {
        Random random = new(1);
        ClassifierExample[] examples = [.. Enumerable.Range(0, 32)
            .Select(i => new ClassifierExample([.. Enumerable.Range(0, 12).Select(_ => random.Next(6) + (6 * (i % 2)))], i % 2))];
        ClassifierTrainerOptions tuning = FewLabelOptions.DefaultFineTuning(examples.Length) with { LearningRate = 5e-3 };
        List<double> losses = [];
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier(Pooling.Mean), frozen = ClassifierCase.Classifier(Pooling.Mean);
        Assert.InRange(new FewLabelTrainer(frozen, examples, new FewLabelOptions { Method = FewLabelMethod.Frozen }, 1).Run().Penalty, 0, 0.5);
        FewLabelResult result = new FewLabelTrainer(classifier, examples, new FewLabelOptions { Method = FewLabelMethod.FineTuned, FineTuning = tuning }, 1)
            .Run(new Sink(r => { if (r.Stage == FewLabelStage.FineTuning) losses.Add(r.Report.Loss); }));
        Assert.Equal(PenaltyChoice.Default, result.Penalty);
        Assert.InRange(losses[0], 2 * tuning.LossFloor, Math.Log(2));
        Assert.True(result.FineTuning!.StoppedEarly && !result.Cancelled);
        Assert.InRange(result.Steps, 2, (2 * tuning.Epochs) - 2);
        Assert.InRange(result.Loss, tuning.LossFloor / 10, tuning.LossFloor);
    }

    /// <summary>A contrastive stage has a loss that can be met, and the head on what it trained is held back, more than one on frozen features.</summary>
    [Fact]
    public void Contrast_ends_where_its_loss_is_met_and_holds_the_head_back()
    {
        Random random = new(1);
        ClassifierExample[] examples = [.. Enumerable.Range(0, 200)
            .Select(i => new ClassifierExample([.. Enumerable.Range(0, 12).Select(_ => random.Next(6) + (6 * (i % 2)))], i % 2))];
        SimilarityTrainerOptions contrast = FewLabelOptions.DefaultContrastive(examples.Length) with { LearningRate = 5e-3, Epochs = 10 };
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier(Pooling.Mean), frozen = ClassifierCase.Classifier(Pooling.Mean);
        Assert.InRange(new FewLabelTrainer(frozen, examples, new FewLabelOptions { Method = FewLabelMethod.Frozen }, 1).Run().Penalty, 0, 0.09);
        List<double> losses = [];
        FewLabelOptions options = new() { Method = FewLabelMethod.Contrastive, Contrastive = contrast };
        FewLabelResult result = new FewLabelTrainer(classifier, examples, options, 1)
            .Run(new Sink(r => { if (r.Stage == FewLabelStage.Contrast) losses.Add(r.Report.Loss); }));
        Assert.Equal(SimilarityLoss.Cosine, contrast.Loss);
        Assert.Equal(0.3, result.Penalty);
        Assert.InRange(losses[0], 0.1, 1);
        Assert.InRange(result.Loss, 0, 0.02);
    }

    [Fact]
    public void More_texts_get_fewer_epochs()
    {
        int[] counts = [1, 16, 64, 200, 1000, 10_000];
        int[] epochs = [.. counts.Select(n => FewLabelOptions.DefaultFineTuning(n).Epochs)];
        Assert.Equal(epochs.OrderDescending(), epochs);
        Assert.True(epochs[0] > epochs[^1]);
        int[] contrast = [.. counts.Select(n => FewLabelOptions.DefaultContrastive(n).Epochs)];
        Assert.Equal(contrast.OrderDescending(), contrast);
    }

    private static FewLabelOptions Options(FewLabelMethod method) => new() { Method = method, FineTuning = s_fineTuning, Contrastive = s_contrastive };

    private sealed class Sink(Action<FewLabelProgress> report) : IProgress<FewLabelProgress>
    {
        public void Report(FewLabelProgress value) => report(value);
    }
}
