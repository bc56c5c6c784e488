using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Similarity;
using RbeMl.MLNet.Tests.Workout;
using RbeMl.Models;
using RbeMl.Tests.Files;
using RbeMl.Training;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.Encoders;

public sealed class SentenceSimilarityTests(ITestOutputHelper output) : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly SentenceEncoder _encoder = SmallEncoder.Create();

    public void Dispose() => _encoder.Dispose();

    [Fact]
    public void Citizenship()
    {
        IDataView valid = SmallEncoder.View(_ml);
        RefusedBy all = RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform;
        WorkoutReport report = EstimatorWorkout.Check(_ml, _ml.Rbe.SentenceSimilarity(Options(o => o.Epochs = 1)), valid, new WorkoutOptions
        {
            Invalid =
            [
                new(_ml.Transforms.DropColumns("Sentence1").Fit(valid).Transform(valid), "Sentence1", all),
                new(_ml.Transforms.CopyColumns("Sentence2", "Id").Fit(valid).Transform(valid), "Sentence2", all),
                new(_ml.Transforms.CopyColumns("Label", "Text").Fit(valid).Transform(valid), "Label"),
            ],
            ForwardCount = () => ForwardCounter.Rows,
            CrossValidate = (trainer, data) =>
                Assert.All(_ml.Regression.CrossValidate(data, trainer, 2), fold => Assert.InRange(fold.Metrics.MeanAbsoluteError, 0, 2)),
            Predictions = 200,
            Threads = 4,
        });
        output.WriteLine(report.ToString());
        Assert.Contains("child-process", report.Names(Verdict.Passed));
    }

    [Fact]
    public void ColumnNames() => ColumnNameWorkout.Check(
        _ml, SmallEncoder.View(_ml), ["Label", "Sentence1", "Sentence2"], ["Score"], names => _ml.Rbe.SentenceSimilarity(Options(o =>
        {
            (o.LabelColumnName, o.Sentence1ColumnName, o.Sentence2ColumnName) = (names["Label"], names["Sentence1"], names["Sentence2"]);
            (o.ScoreColumnName, o.Epochs) = (names["Score"], 1);
        })));

    [Fact]
    public void WithoutTrainingTheScoreIsTheCosineOnTheScaleOfTheLabels()
    {
        IDataView data = _ml.Transforms.DropColumns("Label").Fit(SmallEncoder.View(_ml)).Transform(SmallEncoder.View(_ml));
        SentenceSimilarityTransformer model = Fit(data, o => (o.Epochs, o.LowestLabel, o.HighestLabel) = (0, 1, 5));
        float[] scores = Scores(model, data);
        for (int i = 0; i < scores.Length; i++)
        {
            float[] one = _encoder.Embed(SmallEncoder.Texts[i] ?? ""), other = _encoder.Embed(SmallEncoder.Texts[(i + 1) % scores.Length] ?? "");
            Assert.Equal(1 + (4 * one.Zip(other).Sum(p => (double)p.First * p.Second)), scores[i], 1e-4);
        }

        Assert.Equal("not trained", model.Summary.ToString());
    }

    [Theory]
    [InlineData(SimilarityLoss.Cosine)]
    [InlineData(SimilarityLoss.Contrastive)]
    public void TrainingMakesLabelsAndScoresAgree(SimilarityLoss loss)
    {
        string[] colours = ["red sea", "the red rose", "red red"], animals = ["cat dog", "a dog owl", "owl cat owl"];
        string[][] groups = [colours, animals];
        Pair[] pairs =
        [
            .. from a in groups from b in groups from x in a from y in b where loss is SimilarityLoss.Cosine || a == b
               select new Pair { Sentence1 = x, Sentence2 = y, Label = a == b ? 5 : 0 },
        ];
        IDataView data = _ml.Data.LoadFromEnumerable(pairs);
        SentenceSimilarityTransformer before = Fit(data, o => (o.Epochs, o.HighestLabel) = (0, 5));
        SentenceSimilarityTransformer after = Fit(data,
            o => (o.Epochs, o.HighestLabel, o.Loss, o.LearningRate, o.BatchSize) = (30, 5, loss, 5e-3, 8));
        if (loss is SimilarityLoss.Cosine)
        {
            double untrained = Error(before), trained = Error(after);
            output.WriteLine($"mean squared error {untrained} -> {trained}\n{after.Summary}");
            Assert.True(trained < 0.3 * untrained, $"{untrained} -> {trained}");
            Assert.True(_ml.Regression.Evaluate(after.Transform(data)).RSquared > 0.7);
        }

        Assert.Equal(30, after.Summary.Epochs.Count);
        Assert.True(after.Summary.Epochs[^1].Loss < after.Summary.Epochs[0].Loss);
        Assert.Equal(pairs.Length, after.Summary.Examples);

        double Error(SentenceSimilarityTransformer model) => Scores(model, data).Zip(pairs).Average(p => Math.Pow(p.First - p.Second.Label, 2));
    }

    [Fact]
    public void SeedsThreadsAndSavingKeepEveryBit()
    {
        IDataView data = SmallEncoder.View(_ml);
        SentenceSimilarityTransformer one = Fit(data, o => (o.Epochs, o.Threads, o.Seed) = (2, 1, 5));
        float[] expected = Scores(one, data);
        Assert.Equal(expected, Scores(Fit(data, o => (o.Epochs, o.Threads, o.Seed) = (2, 3, 5)), data));
        Assert.NotEqual(expected, Scores(Fit(data, o => (o.Epochs, o.Threads, o.Seed) = (2, 1, 6)), data));
        using MemoryStream saved = new();
        one.Save(saved);
        saved.Position = 0;
        SentenceSimilarityTransformer loaded = _ml.Rbe.LoadSentenceSimilarity(saved);
        Assert.Equal(expected, Scores(loaded, data));
        Assert.Equal(one.Summary, loaded.Summary);
        Assert.Equal(2, one.Summary.SkippedRows - 2); // an empty and a missing text, each in two rows
    }

    [Theory]
    [InlineData("Boolean")]
    [InlineData("Double")]
    [InlineData("Int32")]
    [InlineData("Byte")]
    [InlineData("UInt64")]
    [InlineData("Int16")]
    public void LabelsOfEveryTypeOfNumbersAreTheSame(string type)
    {
        IDataView rows = _ml.Data.LoadFromEnumerable(SmallEncoder.Texts.Select((text, i) => new Typed
        {
            Sentence1 = text ?? "",
            Sentence2 = "red",
            Boolean = i % 2 == 0,
            Double = (i + 1) % 2,
            Int32 = (i + 1) % 2,
            Byte = (byte)((i + 1) % 2),
            UInt64 = (ulong)((i + 1) % 2),
            Int16 = (short)((i + 1) % 2),
            Label = (i + 1) % 2,
        }));
        Assert.Equal(Scores(Fit(rows, o => o.Epochs = 1), rows), Scores(Fit(rows, o => (o.Epochs, o.LabelColumnName) = (1, type)), rows));
    }

    [Fact]
    public void BadDataAndSettingsAreRefused()
    {
        IDataView data = SmallEncoder.View(_ml);
        Pair good = new() { Sentence1 = "red", Sentence2 = "blue", Label = 0.5f };
        Assert.Contains("Row 1 of column 'Label' has the label 7", Assert.Throws<InvalidOperationException>(() => Fit(
            _ml.Data.LoadFromEnumerable([good, new Pair { Sentence1 = "a", Sentence2 = "b", Label = 7 }]), null)).Message);
        Assert.Contains("no row to train on", Assert.Throws<InvalidOperationException>(() => Fit(
            _ml.Data.LoadFromEnumerable([new Pair { Sentence1 = "a", Sentence2 = "", Label = 1 },
                new Pair { Sentence1 = "a", Sentence2 = "b", Label = float.NaN }]), null)).Message);
        IDataView keys = _ml.Transforms.Conversion.MapValueToKey("Label").Fit(data).Transform(data);
        Assert.Throws<ArgumentOutOfRangeException>(() => Fit(keys, null));
        foreach (Action<SentenceSimilarityOptions> change in (Action<SentenceSimilarityOptions>[])
        [
            o => o.Encoder = null, o => o.ModelPath = "x", o => o.Epochs = -1, o => o.HighestLabel = 0, o => o.HighestLabel = double.NaN,
            o => o.BatchRows = 0, o => o.Threads = 2000, o => o.LearningRate = 0, o => o.BatchSize = 0, o => o.Trained = TrainedParts.Head,
            o => o.Temperature = 0, o => o.MaxTokens = 1, o => o.ScoreColumnName = "", o => o.Loss = (SimilarityLoss)9,
        ])
        {
            Assert.Throws<InvalidSettingException>(() => Fit(data, change));
        }

        using CancellationTokenSource cancelled = new();
        cancelled.Cancel();
        foreach (WhenCancelled what in Enum.GetValues<WhenCancelled>())
        {
            Assert.Throws<OperationCanceledException>(() => Fit(data, o => (o.Cancellation, o.OnCancel) = (cancelled.Token, what)));
        }
    }

    [Fact]
    public void ADeltaIsTrainedSavedAndRead()
    {
        RbeOptions frozen = new() { Tile = 32, Format = RbeFormat.Quantized(4) };
        using SentenceEncoder encoder = new(SmallEncoder.Bundle(options: frozen), 1), stranger = new(SmallEncoder.Bundle(options: frozen, seed: 4), 1);
        using TemporaryFolder folder = new();
        string small = folder.File("delta.rbe"), zip = folder.File("model.zip");
        IDataView data = SmallEncoder.View(_ml);
        DeltaOptions delta = new() { Share = 0.05, Layers = ["*.attention.*"] };
        SentenceSimilarityTransformer plain = Fit(data, o => (o.Encoder, o.Epochs) = (encoder, 0));
        SentenceSimilarityTransformer model = Fit(data, o => (o.Encoder, o.Delta, o.Epochs) = (encoder, delta, 2));
        float[] before = Scores(plain, data), scores = Scores(model, data);
        Assert.NotEqual(before, scores);
        string[] changed = [.. Changed(model)];
        Assert.Equal(8, changed.Length);
        Assert.All(changed, name => Assert.Matches("^blocks.[01].attention.*coefficients$", name));
        model.SaveDelta(small);
        _ml.Model.Save(model, null, zip);
        Assert.Equal(scores, ((ITransformer)_ml.Model.Load(zip, out _)).Transform(data).GetColumn<float>("Score"));
        Assert.Equal(scores, Scores(Fit(data, o => (o.Encoder, o.DeltaPath, o.Epochs) = (encoder, small, 0)), data));
        SentenceSimilarityTransformer more = Fit(data, o => (o.Encoder, o.DeltaPath, o.Epochs) = (encoder, small, 1));
        Assert.Equal(changed, Changed(more));
        Assert.NotEqual(scores, Scores(more, data));
        Assert.Equal(before, Scores(Fit(data, o => (o.Encoder, o.Epochs) = (encoder, 0)), data)); // the one that was given is as it was
        Assert.Contains("DeltaPath", Assert.Throws<InvalidOperationException>(() => plain.SaveDelta(small)).Message, StringComparison.Ordinal);
        Assert.Throws<DeltaMismatchException>(() => Fit(data, o => (o.Encoder, o.DeltaPath) = (stranger, small)));
        Refused("stored as sparse", o => o.Delta = delta);
        Refused("Gradient", o => (o.Encoder, o.Delta) = (encoder, delta with { Support = DeltaSupport.Gradient }));
        Refused("begins a new one", o => (o.Encoder, o.Delta, o.DeltaPath) = (encoder, delta, small));
        Refused("a delta is what is trained", o => (o.Encoder, o.DeltaPath, o.Trained) = (encoder, small, TrainedParts.Biases));

        void Refused(string says, Action<SentenceSimilarityOptions> change) =>
            Assert.Contains(says, Assert.Throws<InvalidSettingException>(() => Fit(data, change)).Message, StringComparison.Ordinal);

        IEnumerable<string> Changed(SentenceSimilarityTransformer result)
        {
            ParameterVector<float> now = result.Encoder.Model.Parameters, then = encoder.Model.Parameters;
            return now.Slices.Where(slice => then.Slices.FirstOrDefault(other => other.Name == slice.Name) is not { } old
                || !then.ToFloats(old).AsSpan().SequenceEqual(now.ToFloats(slice))).Select(slice => slice.Name);
        }
    }

    [Fact]
    public void TheAliasIsTheSame()
    {
        IDataView data = SmallEncoder.View(_ml);
        SentenceSimilarityTransformer model = new MLContext(1).Regression.Trainers.RbeSentenceSimilarity(Options(o => o.Epochs = 1)).Fit(data);
        Assert.Equal(Scores(Fit(data, o => o.Epochs = 1), data), Scores(model, data));
    }

    private SentenceSimilarityTransformer Fit(IDataView data, Action<SentenceSimilarityOptions>? change) =>
        _ml.Rbe.SentenceSimilarity(Options(change)).Fit(data);

    private SentenceSimilarityOptions Options(Action<SentenceSimilarityOptions>? change)
    {
        SentenceSimilarityOptions options = new() { Encoder = _encoder, Seed = 3, Threads = 1, BatchRows = 5 };
        change?.Invoke(options);
        return options;
    }

    private static float[] Scores(SentenceSimilarityTransformer model, IDataView data) => [.. model.Transform(data).GetColumn<float>("Score")];

    private sealed class Typed
    {
        public string Sentence1 { get; set; } = "";

        public string Sentence2 { get; set; } = "";

        public bool Boolean { get; set; }

        public double Double { get; set; }

        public int Int32 { get; set; }

        public byte Byte { get; set; }

        public ulong UInt64 { get; set; }

        public short Int16 { get; set; }

        public float Label { get; set; }
    }

    private sealed class Pair
    {
        public string Sentence1 { get; set; } = "";

        public string Sentence2 { get; set; } = "";

        public float Label { get; set; }
    }
}
