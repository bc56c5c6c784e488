using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tests.Classification;
using RbeMl.MLNet.Tests.Workout;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Training;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.Encoders;

/// <summary>Classification from an encoder.</summary>
public sealed class FewLabelTests(ITestOutputHelper output) : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly ModelBundle _bundle = SmallEncoder.Bundle();

    public void Dispose() => _bundle.Dispose();

    [Theory]
    [InlineData(null)]
    [InlineData(FewLabelMethod.Frozen)]
    [InlineData(FewLabelMethod.Contrastive)]
    public void Citizenship(FewLabelMethod? method)
    {
        IDataView valid = Toy.Multiclass(_ml);
        WorkoutReport report = EstimatorWorkout.Check(_ml, Trainer(o => Train(o, method, 1)), valid, new WorkoutOptions
        {
            ForwardCount = () => ForwardCounter.Rows,
            Predictions = 100,
            Threads = 3,
            ChildProcess = method is null,
            Invalid = [new InvalidInput(Toy.Drop(_ml, "Text", valid), "Text", RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform)],
        });
        output.WriteLine(report.ToString());
    }

    [Theory]
    [InlineData(FewLabelMethod.Frozen)]
    [InlineData(FewLabelMethod.FineTuned)]
    [InlineData(FewLabelMethod.Contrastive)]
    public void EveryMethodLearnsAndTellsSo(FewLabelMethod method)
    {
        IDataView data = Toy.Multiclass(_ml);
        List<string> logged = [];
        _ml.Log += (_, e) => logged.Add(e.Message);
        List<ClassifierProgress> steps = [];
        TextClassificationTransformer model =
            Fit(data, o =>
            {
                o.Progress = new Sink(steps.Add);
                Train(o, method, 6);
                if (method != FewLabelMethod.Frozen) o.LearningRate = 5e-3;
            });
        Assert.InRange(_ml.MulticlassClassification.Evaluate(model.Transform(data)).MicroAccuracy, 0.95, 1);
        string text = model.Summary.ToString();
        output.WriteLine(text);
        Assert.Equal(method, model.Summary.Method);
        Assert.Contains("24 examples", text);
        Assert.Contains("cross-validated", text);
        Assert.InRange(model.Summary.CrossValidatedAccuracy!.Value, 0.5, 1);
        Assert.Equal(model.Summary.Steps, steps.Count);
        Assert.Equal(method == FewLabelMethod.Frozen ? 0 : 6, model.Summary.Epochs.Count);
        Assert.Contains(logged, m => m.StartsWith("[Source=RbeTextClassification;", StringComparison.Ordinal) && m.Contains("Head on the untrained"));

        using MemoryStream saved = new();
        model.Save(saved);
        saved.Position = 0;
        TextClassificationTransformer loaded = _ml.Rbe.LoadTextClassification(saved);
        Assert.Equal(model.Summary, loaded.Summary);
        Assert.Equal(Toy.Scores(_ml, model, data), Toy.Scores(_ml, loaded, data));
    }

    [Fact]
    public void DefaultsAreThoseOfFewLabelsAndWhatIsSetWins()
    {
        IDataView data = Toy.Binary(_ml);
        Assert.Equal(FewLabelMethod.FineTuned, Fit(data, o => o.Epochs = 1).Summary.Method);
        Assert.Equal(FewLabelOptions.DefaultFineTuning(24).Epochs, Fit(data).Summary.Epochs.Count);
        Assert.Equal(3 * 3, Fit(data, o => (o.Epochs, o.BatchSize) = (3, 8)).Summary.Steps);

        // The loss floor ends the default epochs, and none that were asked for.
        TrainingSummary floor = Fit(data, o => o.LearningRate = 5e-3).Summary, asked = Fit(data, o => (o.LearningRate, o.Epochs) = (5e-3, 20)).Summary;
        Assert.True(floor.StoppedEarly && floor.Epochs.Count < FewLabelOptions.DefaultFineTuning(24).Epochs);
        Assert.Equal((false, 20), (asked.StoppedEarly, asked.Epochs.Count));
        TextClassificationTransformer held = Fit(data, o => (o.Epochs, o.ValidationFraction, o.Patience) = (4, 0.25, 4));
        Assert.Equal((18, 6), (held.Summary.Examples, held.Summary.ValidationExamples));
        Assert.NotNull(held.Summary.Epochs[0].ValidationLoss);
        TextClassificationTransformer given = Fit(data, o => (o.Epochs, o.Validation) = (2, Toy.Binary(_ml, 8)));
        Assert.Equal((24, 8), (given.Summary.Examples, given.Summary.ValidationExamples));

        // An encoder's own way of pooling, vectors of its own length, and its embeddings as they were.
        using ModelBundle first = SmallEncoder.Bundle(new EncoderSettings { Pooling = Pooling.First, Normalize = true });
        TextClassificationTransformer model = Fit(data, o => (o.Model, o.Epochs) = (first, 1));
        Assert.Equal((Pooling.First, true), (model.Classifier.Config.Pooling, model.Classifier.Config.Normalize));
        using ModelBundle longer = SmallEncoder.Bundle(new EncoderSettings { Pooling = Pooling.Mean });
        Assert.False(Fit(data, o => (o.Model, o.Method) = (longer, FewLabelMethod.Frozen)).Classifier.Config.Normalize);
        Assert.Equal(first.Model.Parameters.ToFloats(first.Model.Parameters.Find("embedding.tokens")),
            model.Classifier.Model.Parameters.ToFloats(model.Classifier.Model.Parameters.Find("embedding.tokens")));
    }

    [Theory]
    [MemberData(nameof(Optimizers))]
    public void RatesAreThoseThatSuitTheOptimizer(OptimizerOptions optimizer)
    {
        FewLabelOptions options = new TextClassificationOptions { Optimizer = optimizer }.ToFewLabels(FewLabelMethod.FineTuned, 32, 1);
        Assert.Equal(optimizer.RateFor(FewLabelOptions.DefaultFineTuning(32).LearningRate), options.FineTuning!.LearningRate);
        Assert.Equal(optimizer.RateFor(FewLabelOptions.DefaultContrastive(32).LearningRate), options.Contrastive!.LearningRate);
    }

    public static TheoryData<OptimizerOptions> Optimizers => [new AdamWOptions(), new SgdOptions(), new LionOptions()];

    [Fact]
    public void TextsGoThroughAsTheEncoderReadsThem()
    {
        IDataView data = Toy.Binary(_ml);
        TextClassificationTransformer model = Fit(data, o => (o.Method, o.Context) = (FewLabelMethod.Frozen, 6));
        IDataView texts = _ml.Data.LoadFromEnumerable(new[] { "cat dog", "red red red red red red red", "", " \t " }
            .Select(t => new Toy.Row { Text = t }));
        float[] scores = [.. model.Transform(texts).GetColumn<float>("Score")];
        Assert.Equal(Expected([2, 21, 22, 3]), scores[0]);
        Assert.Equal(Expected([2, 5, 5, 5, 5, 3]), scores[1]);
        Assert.True(float.IsNaN(scores[2]), "a row without text has no score");
        Assert.Equal(Expected([2, 3]), scores[3]);

        float Expected(int[] ids)
        {
            using RbeMl.Layers.Workspace<float> workspace = new(1);
            float[] logits = new float[2];
            model.Classifier.Scores(ids, [ids.Length], workspace, logits);
            return logits[1] - logits[0];
        }
    }

    [Fact]
    public void OneExampleAClassIsEnoughAndOneClassIsNot()
    {
        foreach (FewLabelMethod method in Enum.GetValues<FewLabelMethod>())
        {
            TextClassificationTransformer model = Fit(Toy.Binary(_ml, 2), o => Train(o, method, 1));
            Assert.Null(model.Summary.CrossValidatedLoss);
            Assert.All(Toy.Scores(_ml, model, Toy.Binary(_ml)), row => Assert.True(float.IsFinite(row[0])));
        }

        IDataView one = _ml.Data.LoadFromEnumerable(new[] { new Toy.Row { Text = "red" }, new Toy.Row { Text = "blue" } });
        Assert.Contains("two classes", Assert.Throws<InvalidOperationException>(() => Fit(one)).Message);
    }

    [Fact]
    public void SettingsThatDoNotFitAreRefused()
    {
        IDataView data = Toy.Binary(_ml);
        TextClassificationTransformer earlier = Fit(data, o => o.Epochs = 1);
        foreach (Action<TextClassificationOptions> change in (Action<TextClassificationOptions>[])
        [
            o => (o.Method, o.Model) = (FewLabelMethod.Frozen, null),
            o => (o.Method, o.WarmStart, o.Model) = (FewLabelMethod.Frozen, earlier, null),
            o => (o.Method, o.ValidationFraction) = (FewLabelMethod.Contrastive, 0.2),
            o => (o.Method, o.Epochs) = (FewLabelMethod.Frozen, 3),
            o => (o.Method, o.Trained) = (FewLabelMethod.Frozen, TrainedParts.All),
            o => (o.Method, o.Trained) = (FewLabelMethod.Contrastive, TrainedParts.Head),
            o => (o.Method, o.HeadLearningRate) = (FewLabelMethod.Contrastive, 1e-3),
            o => (o.Method, o.HeadDropout) = (FewLabelMethod.Frozen, 0.1),
            o => o.Method = (FewLabelMethod)9,
            o => o.Context = 2,
            o => o.Context = SmallEncoder.Positions + 1,
        ])
        {
            Assert.Throws<InvalidSettingException>(() => Fit(data, change));
        }

        // An earlier result goes on.
        TextClassificationTransformer later = Fit(data, o => (o.WarmStart, o.Model, o.Epochs) = (earlier, null, 1));
        Assert.Null(later.Summary.Method);
        Assert.Equal(earlier.Classifier.Model.Encoder, later.Classifier.Model.Encoder);
    }

    [Fact]
    public void ALanguageModelLearnsFromFewLabelsToo()
    {
        using ModelBundle gpt2 = RbeMl.MLNet.Tests.Features.TextRows.Bundle();
        IDataView data = Toy.Binary(_ml);
        TextClassificationTransformer model = Fit(data, o => (o.Model, o.Method) = (gpt2, FewLabelMethod.Frozen));
        Assert.InRange(_ml.BinaryClassification.Evaluate(model.Transform(data)).Accuracy, 0.9, 1);
    }

    [Fact]
    public void TheAliasesAreTheSame()
    {
        MLContext plain = new(1);
        IDataView keys = Toy.Multiclass(_ml), flags = Toy.Binary(_ml);
        Assert.Equal(Toy.Scores(_ml, Fit(keys, o => o.Epochs = 1), keys),
            Toy.Scores(_ml, plain.MulticlassClassification.Trainers.RbeTextClassification(Options(o => o.Epochs = 1)).Fit(keys), keys));
        Assert.Equal(Toy.Scores(_ml, Fit(flags, o => o.Epochs = 1), flags),
            Toy.Scores(_ml, plain.BinaryClassification.Trainers.RbeTextClassification(Options(o => o.Epochs = 1)).Fit(flags), flags));
        Assert.NotNull(plain.MulticlassClassification.Trainers.RbeTextClassification());
    }

    // A frozen model has no epochs.
    private static void Train(TextClassificationOptions options, FewLabelMethod? method, int epochs)
    {
        options.Method = method;
        if (method != FewLabelMethod.Frozen) options.Epochs = epochs;
    }

    private TextClassificationTransformer Fit(IDataView data, Action<TextClassificationOptions>? change = null) => Trainer(change).Fit(data);

    private TextClassificationTrainer Trainer(Action<TextClassificationOptions>? change) => _ml.Rbe.TextClassification(Options(change));

    private TextClassificationOptions Options(Action<TextClassificationOptions>? change)
    {
        TextClassificationOptions options = new() { Model = _bundle, Seed = 3, Threads = 1, BatchRows = 5 };
        change?.Invoke(options);
        return options;
    }

    private sealed class Sink(Action<ClassifierProgress> report) : IProgress<ClassifierProgress>
    {
        public void Report(ClassifierProgress value) => report(value);
    }
}
