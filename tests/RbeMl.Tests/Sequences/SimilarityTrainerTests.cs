using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

public class SimilarityTrainerTests
{
    private static readonly SimilarityTrainerOptions s_options = new() { Epochs = 6, BatchSize = 16, LearningRate = 5e-3, Pooling = Pooling.Max };

    [Theory]
    [InlineData(SimilarityLoss.Cosine)]
    [InlineData(SimilarityLoss.Contrastive)]
    public void Texts_of_one_label_come_together(SimilarityLoss loss)
    {
        using SequenceClassifier<float> owner = ClassifierCase.Classifier();
        double before = Margin(owner.Model);
        using SimilarityTrainer trainer = new(owner.Model, ClassifierCase.Examples(400, 1), s_options with { Loss = loss }, 2);
        SimilarityResult result = trainer.Run();
        Assert.Equal((trainer.Steps, 6, false), (result.Steps, result.Epochs, result.Cancelled));
        double after = Margin(owner.Model);
        Assert.True(after > before + 0.3, $"the margin went from {before:F3} to {after:F3}");
    }

    [Theory]
    [InlineData(SimilarityLoss.Cosine)]
    [InlineData(SimilarityLoss.Contrastive)]
    public void Given_pairs_are_learned(SimilarityLoss loss)
    {
        using SequenceClassifier<float> owner = ClassifierCase.Classifier();
        ClassifierExample[] examples = ClassifierCase.Examples(128, 1);
        SimilarityPair[] pairs = loss == SimilarityLoss.Cosine
            ? [.. Enumerable.Range(0, 124).Select(i => new SimilarityPair(examples[i].Tokens, examples[i + 1 + (i / 2 % 2)].Tokens, i / 2 % 2))]
            : [.. Enumerable.Range(0, 124).Select(i => new SimilarityPair(examples[i].Tokens, examples[i + 2].Tokens))];
        using SimilarityTrainer trainer = new(owner.Model, pairs, s_options with { Loss = loss, Epochs = 12 }, 2);
        List<SimilarityProgress> reports = [];
        SimilarityResult result = trainer.Run(new Sink(reports.Add));
        double first = reports.Take(trainer.StepsPerEpoch).Average(r => r.Loss);
        Assert.True(result.Loss < 0.9 * first, $"the loss went from {first:F4} to {result.Loss:F4}");
        Assert.Equal(124 * 12, reports.Sum(r => r.Pairs));
        Assert.Equal(reports[^trainer.StepsPerEpoch..].Sum(r => r.Loss * r.Pairs) / 124, result.Loss, 1e-12);
    }

    [Theory]
    [InlineData(3, CheckpointPolicy.None, SimilarityLoss.Contrastive)]
    [InlineData(2, CheckpointPolicy.Full, SimilarityLoss.Cosine)]
    public void Threads_and_policies_change_no_bit(int threads, CheckpointPolicy policy, SimilarityLoss loss)
    {
        Assert.Equal(Train(1, CheckpointPolicy.None), Train(threads, policy));

        int[] Train(int threads, CheckpointPolicy policy)
        {
            using SequenceClassifier<float> owner = ClassifierCase.Classifier(Pooling.Mean, 0.1f);
            using SimilarityTrainer trainer = new(owner.Model, ClassifierCase.Examples(40, 1),
                s_options with { Epochs = 2, Checkpointing = policy, Loss = loss, Pooling = Pooling.Mean }, threads);
            trainer.Run();
            return [.. owner.Model.Parameters.Slices.SelectMany(owner.Model.Parameters.ToFloats).Select(BitConverter.SingleToInt32Bits)];
        }
    }

    [Theory]
    [InlineData(TrainedParts.Biases)]
    [InlineData(TrainedParts.Coefficients)]
    [InlineData(TrainedParts.Blocks)]
    [InlineData(TrainedParts.All)]
    public void Only_what_is_trained_changes(TrainedParts parts)
    {
        using SequenceClassifier<float> owner = ClassifierCase.Classifier();
        ParameterVector<float> parameters = owner.Model.Parameters;
        Dictionary<string, float[]> before = parameters.Slices.ToDictionary(s => s.Name, parameters.ToFloats);
        using SimilarityTrainer trainer = new(owner.Model, ClassifierCase.Examples(32, 1), s_options with { Epochs = 1, Trained = parts }, 1);
        trainer.Run();
        foreach (ParameterSlice slice in parameters.Slices)
        {
            bool trained = slice.Kind switch
            {
                ParameterKind.Bias or ParameterKind.LayerNorm => parts is not TrainedParts.Coefficients,
                ParameterKind.Alpha or ParameterKind.Coefficient => parts is not TrainedParts.Biases,
                _ => parts is TrainedParts.All,
            };
            Assert.True(trained == !before[slice.Name].AsSpan().SequenceEqual(parameters.Of(slice)), slice.Name);
        }
    }

    [Fact]
    public void A_memory_limit_is_planned_for()
    {
        using SequenceClassifier<float> owner = ClassifierCase.Classifier();
        ClassifierExample[] examples = ClassifierCase.Examples(64, 1);
        MemoryLimitException error =
            Assert.Throws<MemoryLimitException>(() => new SimilarityTrainer(owner.Model, examples, s_options with { MemoryLimit = 1 }, 1));
        Assert.True(error.LeastBytes > error.LimitBytes);
    }

    [Fact]
    public void Cancelling_does_what_the_options_say()
    {
        foreach (WhenCancelled what in Enum.GetValues<WhenCancelled>())
        {
            using SequenceClassifier<float> owner = ClassifierCase.Classifier();
            using SimilarityTrainer trainer = new(owner.Model, ClassifierCase.Examples(64, 1), s_options with { OnCancel = what }, 1);
            using CancellationTokenSource source = new();
            Sink progress = new(r => { if (r.Step == 3) source.Cancel(); });
            if (what == WhenCancelled.Throw) Assert.Throws<OperationCanceledException>(() => trainer.Run(progress, source.Token));
            else Assert.True(trainer.Run(progress, source.Token).Cancelled);
            Assert.Equal(3, trainer.StepsDone);
        }
    }

    [Fact]
    public void A_steady_step_allocates_nothing()
    {
        using SequenceClassifier<float> owner = ClassifierCase.Classifier();
        using SimilarityTrainer trainer =
            new(owner.Model, ClassifierCase.Examples(640, 1), s_options with { Epochs = 40, Loss = SimilarityLoss.Contrastive }, 1);
        for (int i = 0; i < 80; i++) trainer.Step();
        Assert.Equal(0, Allocations.Least(40, Three));

        void Three()
        {
            for (int i = 0; i < 3; i++) trainer.Step();
        }
    }

    [Fact]
    public void Bad_pairs_and_settings_are_refused()
    {
        using SequenceClassifier<float> owner = ClassifierCase.Classifier();
        SimilarityPair good = new([1, 2], [3]);
        void Refused<TError>(string part, SimilarityPair[] pairs, SimilarityTrainerOptions? options = null)
            where TError : RbeException =>
            Assert.Contains(part, Assert.Throws<TError>(() => new SimilarityTrainer(owner.Model, pairs, options ?? s_options, 1)).Message,
                StringComparison.Ordinal);
        Refused<TokenException>("second text of pair 1 has no tokens", [good, new([1], [])]);
        Refused<TokenException>("32 positions", [good, new(new int[33], [1])]);
        Refused<TokenException>("token id 12 of the first text of pair 0", [new([12], [1])]);
        Refused<InvalidSettingException>("pair 0: use a cosine", [new([1], [1], 1.5f)]);
        Refused<InvalidSettingException>("pair 0: use a cosine", [new([1], [1], float.NaN)]);
        Refused<InvalidSettingException>("at least one pair", []);
        Refused<InvalidSettingException>("two pairs", [good], s_options with { Loss = SimilarityLoss.Contrastive });
        Refused<InvalidSettingException>("Temperature", [good], s_options with { Temperature = 0 });
        Refused<InvalidSettingException>("no head", [good], s_options with { Trained = TrainedParts.Head });
        Refused<InvalidSettingException>("Epochs", [good], s_options with { Epochs = 0 });
        ClassifierExample[] one = [new([1], 1), new([2], 1)];
        Assert.Contains("two labels", Assert.Throws<InvalidSettingException>(() => new SimilarityTrainer(owner.Model, one, s_options, 1)).Message,
            StringComparison.Ordinal);
        ClassifierExample[] two = [new([1], 0), new([2], 1)];
        SimilarityTrainerOptions single = s_options with { Loss = SimilarityLoss.Contrastive, BatchSize = 1 };
        Assert.Contains("two pairs", Assert.Throws<InvalidSettingException>(() => new SimilarityTrainer(owner.Model, two, single, 1)).Message,
            StringComparison.Ordinal);
        ClassifierExample[] negative = [new([1], 0), new([2], -1)];
        Assert.Throws<TokenException>(() => new SimilarityTrainer(owner.Model, negative, s_options, 1));
    }

    [Fact]
    public void Labelled_texts_are_paired_as_said()
    {
        ClassifierExample[] examples = [new([1], 0), new([2], 0), new([3], 0), new([4], 1), new([5], 2), new([6], 2)];
        LabelPairs pairs = new(examples, different: true, 7);
        HashSet<(int, int)> seen = [];
        for (int epoch = 0; epoch < 50; epoch++)
        {
            for (int place = 0; place < pairs.Count; place++)
            {
                GroupedPair pair = pairs.Pair(epoch, place);
                Assert.Equal(place % 2 == 0 ? 1 : 0, pair.Target);
                Assert.Equal(place % 2 == 0, pair.FirstGroup == pair.SecondGroup);
                Assert.Equal(place / 2 != 3 && place % 2 == 0, pair.Target == 1 && pair.First[0] != pair.Second[0]);
                Assert.Equal(pair, pairs.Pair(epoch, place));
                seen.Add((pair.First[0], pair.Second[0]));
            }
        }

        // All ordered pairs of different texts but of the one alone: 30, and it with itself.
        Assert.Equal(31, seen.Count);
    }

    // Mean cosine of texts of one label, less that of two.
    private static double Margin(TransformerModel<float> model)
    {
        ClassifierExample[] examples = ClassifierCase.Examples(100, 9);
        using Workspace<float> workspace = new(1);
        int width = model.Config.Width;
        float[] rows = new float[examples.Length * width];
        model.Features([.. examples.SelectMany(e => e.Tokens)], [.. examples.Select(e => e.Tokens.Length)], new FeatureOptions { Pooling = Pooling.Max },
            workspace, rows);
        double same = 0, other = 0;
        int sames = 0, others = 0;
        for (int i = 0; i < examples.Length; i++)
        {
            for (int j = 0; j < i; j++)
            {
                double cosine = Dot(i, j) / Math.Sqrt(Dot(i, i) * Dot(j, j));
                if (examples[i].Label == examples[j].Label) (same, sames) = (same + cosine, sames + 1);
                else (other, others) = (other + cosine, others + 1);
            }
        }

        return (same / sames) - (other / others);

        double Dot(int i, int j) => Enumerable.Range(0, width).Sum(f => (double)rows[(i * width) + f] * rows[(j * width) + f]);
    }

    private sealed class Sink(Action<SimilarityProgress> report) : IProgress<SimilarityProgress>
    {
        public void Report(SimilarityProgress value) => report(value);
    }
}
