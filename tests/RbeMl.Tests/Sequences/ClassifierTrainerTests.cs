using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

public class ClassifierTrainerTests
{
    private static readonly ClassifierTrainerOptions s_options = new() { Epochs = 6, BatchSize = 16, LearningRate = 5e-3 };

    [Fact]
    public void Two_patterns_are_told_apart()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        using ClassifierTrainer trainer = new(classifier, ClassifierCase.Examples(600, 1), ClassifierCase.Examples(200, 2), s_options with { Epochs = 12 }, 2);
        List<ClassifierProgress> reports = [];
        ClassifierResult result = trainer.Run(new Sink(reports.Add));
        Assert.Equal(trainer.Steps, reports.Count);
        Assert.Equal(12, reports.Count(r => r.ValidationLoss is not null));
        Assert.Equal(result.ValidationAccuracy, reports[^1].ValidationAccuracy);
        Assert.InRange(ClassifierCase.Accuracy(classifier, ClassifierCase.Examples(400, 3)), 0.95, 1);
        Assert.Equal(result.ValidationAccuracy!.Value, ClassifierCase.Accuracy(classifier, ClassifierCase.Examples(200, 2)), 1e-12);
    }

    [Theory]
    [InlineData(3, CheckpointPolicy.None, false)]
    [InlineData(3, CheckpointPolicy.None, true)]
    [InlineData(1, CheckpointPolicy.Full, false)]
    [InlineData(1, CheckpointPolicy.Full, true)]
    [InlineData(2, CheckpointPolicy.Selective, false)]
    [InlineData(2, CheckpointPolicy.Selective, true)]
    public void Threads_and_policies_change_no_bit(int threads, CheckpointPolicy policy, bool encoder)
    {
        Assert.Equal(Train(1, CheckpointPolicy.None), Train(threads, policy));

        int[] Train(int threads, CheckpointPolicy policy)
        {
            using SequenceClassifier<float> classifier = ClassifierCase.Classifier(Pooling.Mean, 0.1f, encoder: encoder);
            using ClassifierTrainer trainer =
                new(classifier, ClassifierCase.Examples(80, 1), null, s_options with { Epochs = 2, Checkpointing = policy, ValidationFraction = 0.2 }, threads);
            Assert.Equal((64, 16), (trainer.TrainingExamples, trainer.ValidationExamples));
            trainer.Run();
            return Bits(classifier);
        }
    }

    [Theory]
    [InlineData(TrainedParts.Head, false)]
    [InlineData(TrainedParts.Biases, false)]
    [InlineData(TrainedParts.Coefficients, false)]
    [InlineData(TrainedParts.All, false)]
    [InlineData(null, false)]
    [InlineData(TrainedParts.Head, true)]
    [InlineData(TrainedParts.Biases, true)]
    [InlineData(TrainedParts.Coefficients, true)]
    [InlineData(TrainedParts.Blocks, true)]
    [InlineData(TrainedParts.All, true)]
    [InlineData(null, true)]
    public void Only_what_is_trained_changes(TrainedParts? given, bool encoder)
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier(encoder: encoder);
        Dictionary<string, float[]> before = classifier.Model.Parameters.Slices.ToDictionary(s => s.Name, classifier.Model.Parameters.ToFloats);
        float[] head = classifier.Head.ToFloats(classifier.Head.Slices[0]);
        ClassifierTrainerOptions options = s_options with { Epochs = 1, Trained = given };
        using ClassifierTrainer trainer = new(classifier, ClassifierCase.Examples(32, 1), null, options, 1);
        trainer.Run();
        Assert.NotEqual(head, classifier.Head.ToFloats(classifier.Head.Slices[0]));
        TrainedParts parts = given ?? (encoder ? TrainedParts.Blocks : TrainedParts.All); // embeddings of an encoder only when asked for
        foreach (ParameterSlice slice in classifier.Model.Parameters.Slices)
        {
            bool trained = slice.Kind switch
            {
                ParameterKind.Bias or ParameterKind.LayerNorm => parts is TrainedParts.All or TrainedParts.Blocks or TrainedParts.Biases,
                ParameterKind.Alpha or ParameterKind.Coefficient => parts is TrainedParts.All or TrainedParts.Blocks or TrainedParts.Coefficients,
                _ => parts is TrainedParts.All,
            };
            Assert.True(trained == !before[slice.Name].AsSpan().SequenceEqual(classifier.Model.Parameters.Of(slice)), slice.Name);
        }
    }

    /// <summary>A delta on a frozen base, of a real folder's encoder with its tokenizer: it learns, and a file of it keeps every bit and what it is.</summary>
    [Fact]
    public void An_encoder_learns_by_a_delta_on_a_frozen_base()
    {
        using Files.TemporaryFolder folder = new();
        using ModelBundle bundle = RbeMl.Files.ModelSource.Load(new Files.BertModel(width: 32, hidden: 64).Write(folder.File("model")));
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Quantized(4) with { Delta = (SparseFormat)RbeFormat.Sparse(64) } };
        TransformerModel<float> model = new(bundle.Model.GetWeights().Recompress(options));
        using SequenceClassifier<float> classifier = new(model, new ClassifierConfig { Classes = 2, Pooling = Pooling.First }, 3);
        WordPieceTokenizer tokenizer = (WordPieceTokenizer)bundle.Tokenizer!;
        ClassifierExample[] examples = [.. Enumerable.Range(0, 48).Select(i => new ClassifierExample(
            tokenizer.EncodeSequence($"the {(i % 2 == 0 ? "cat" : "dog")} {(i % 3 == 0 ? "sat on a mat ." : "running")}"), i % 2))];
        using (ClassifierTrainer trainer = new(classifier, examples, null, new ClassifierTrainerOptions { Epochs = 12, BatchSize = 8 }, 2)) trainer.Run();
        Assert.Equal(1, ClassifierCase.Accuracy(classifier, examples));
        ClassifierFile.Save(folder.File("c.rbe"), classifier, tokenizer);
        using ClassifierBundle read = ClassifierFile.Load(folder.File("c.rbe"));
        Assert.Equal(ClassifierCase.Scores(classifier, examples), ClassifierCase.Scores(read.Classifier, examples));
        Assert.Equal(bundle.Encoder!.Pooling, read.Classifier.Model.Encoder!.Pooling);
        Assert.Equal(tokenizer.Tokens, ((WordPieceTokenizer)read.Tokenizer!).Tokens);
    }

    [Fact]
    public void Early_stopping_brings_back_the_best_epoch()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        // Twelve examples are soon known by heart; a high rate then makes the others worse.
        ClassifierExample[] validation = ClassifierCase.Examples(60, 5);
        using ClassifierTrainer trainer =
            new(classifier, ClassifierCase.Examples(12, 1), validation, s_options with { Epochs = 200, Patience = 3, LearningRate = 2e-2, BatchSize = 4 }, 1);
        List<double> losses = [];
        ClassifierResult result = trainer.Run(new Sink(r => { if (r.ValidationLoss is { } loss) losses.Add(loss); }));
        Assert.True(result.StoppedEarly);
        Assert.Equal(losses.Count, result.Epochs);
        Assert.Equal(losses.Count - 3, result.BestEpoch);
        Assert.Equal(losses.Min(), result.ValidationLoss);
        Assert.Equal(result.ValidationLoss!.Value, trainer.Validate().Loss);
    }

    [Fact]
    public void The_first_epoch_at_the_loss_floor_is_the_last()
    {
        const double floor = 0.1;
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        ClassifierTrainerOptions options = s_options with { Epochs = 200, LearningRate = 2e-2, BatchSize = 5, LossFloor = floor };
        using ClassifierTrainer trainer = new(classifier, ClassifierCase.Examples(12, 1), null, options, 1);
        List<ClassifierProgress> steps = [];
        ClassifierResult result = trainer.Run(new Sink(steps.Add));
        double[] losses = [.. steps.GroupBy(r => r.Epoch).Select(e => e.Sum(r => r.Loss * r.Examples) / 12)];
        Assert.True(result.StoppedEarly && !result.Cancelled);
        Assert.Equal((losses.Length, 3 * losses.Length, 0), (result.Epochs, result.Steps, result.BestEpoch));
        Assert.InRange(losses.Length, 2, 199);
        Assert.True(losses[^1] <= floor && losses[..^1].All(l => l > floor), string.Join(' ', losses));
    }

    [Theory]
    [InlineData(WhenCancelled.Throw)]
    [InlineData(WhenCancelled.ReturnBest)]
    public void Cancelling_does_what_the_options_say(WhenCancelled what)
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        using ClassifierTrainer trainer =
            new(classifier, ClassifierCase.Examples(64, 1), ClassifierCase.Examples(16, 2), s_options with { OnCancel = what }, 1);
        using CancellationTokenSource source = new();
        Sink progress = new(r => { if (r.Step == 6) source.Cancel(); });
        if (what == WhenCancelled.Throw)
        {
            Assert.Throws<OperationCanceledException>(() => trainer.Run(progress, source.Token));
        }
        else
        {
            ClassifierResult result = trainer.Run(progress, source.Token);
            Assert.True(result.Cancelled);
            Assert.Equal((6, 1, 1), (result.Steps, result.Epochs, result.BestEpoch));
            Assert.Equal(result.ValidationLoss!.Value, trainer.Validate().Loss);
        }

        Assert.Equal(6, trainer.StepsDone);
    }

    [Fact]
    public void A_steady_step_allocates_nothing()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier(dropout: 0.1f);
        using ClassifierTrainer trainer = new(classifier, ClassifierCase.Examples(640, 1), null, s_options with { Epochs = 20 }, 1);
        for (int i = 0; i < 80; i++) trainer.Step();
        Assert.Equal(0, Allocations.Least(40, Three));

        void Three()
        {
            for (int i = 0; i < 3; i++) trainer.Step();
        }
    }

    [Fact]
    public void A_memory_limit_is_planned_for()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        ClassifierExample[] examples = ClassifierCase.Examples(64, 1);
        MemoryLimitException error =
            Assert.Throws<MemoryLimitException>(() => new ClassifierTrainer(classifier, examples, null, s_options with { MemoryLimit = 1 }, 1));
        Assert.True(error.LeastBytes > error.LimitBytes);
        using ClassifierTrainer trainer = new(classifier, examples, null, s_options with { MemoryLimit = (int)(error.LeastBytes >> 20) + 500, Epochs = 1 }, 1);
        Assert.NotNull(trainer.Plan);
        Assert.Equal(4, trainer.Run().Steps);
    }

    [Fact]
    public void What_is_not_finite_is_named_with_its_step()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        using ClassifierTrainer trainer = new(classifier, ClassifierCase.Examples(64, 1), null, s_options, 1);
        trainer.Step();
        classifier.Model.Parameters.Of(classifier.Model.Parameters.Find("blocks.0.feedforward.contract.coefficients"))[3] = float.NaN;
        Assert.Equal("step 2, blocks.0", Assert.Throws<NonFiniteException>(() => trainer.Step()).Where);
    }

    [Fact]
    public void Bad_examples_and_settings_are_refused()
    {
        using SequenceClassifier<float> classifier = ClassifierCase.Classifier();
        ClassifierExample good = new([1, 2], 0);
        void Refused<TError>(string part, ClassifierExample[] examples, ClassifierTrainerOptions? options = null)
            where TError : RbeException =>
            Assert.Contains(part,
                Assert.Throws<TError>(() => new ClassifierTrainer(classifier, examples, null, options ?? s_options, 1)).Message, StringComparison.Ordinal);
        Refused<TokenException>("example 1 has no tokens", [good, new([], 0)]);
        Refused<TokenException>("32 positions", [good, new(new int[33], 0)]);
        Refused<TokenException>("label 2 of example 0", [new([1], 2)]);
        Refused<TokenException>("token id 12 of example 0", [new([12], 1)]);
        Refused<InvalidSettingException>("examples", []);
        Refused<InvalidSettingException>("Patience", [good], s_options with { Patience = 1 });
        Refused<InvalidSettingException>("Epochs", [good], s_options with { Epochs = 0 });
        Refused<InvalidSettingException>("LearningRate", [good], s_options with { LearningRate = double.NaN });
        Refused<InvalidSettingException>("ValidationFraction", [good], s_options with { ValidationFraction = 1 });
        Refused<InvalidSettingException>("LossFloor", [good], s_options with { LossFloor = -0.1 });
        Refused<InvalidSettingException>("LossFloor", [good], s_options with { LossFloor = double.NaN });
    }

    private static int[] Bits(SequenceClassifier<float> classifier) =>
        [.. ((ParameterVector<float>[])[classifier.Model.Parameters, classifier.Head]).SelectMany(v => v.Slices.SelectMany(v.ToFloats))
            .Select(BitConverter.SingleToInt32Bits)];

    private sealed class Sink(Action<ClassifierProgress> report) : IProgress<ClassifierProgress>
    {
        public void Report(ClassifierProgress value) => report(value);
    }
}
