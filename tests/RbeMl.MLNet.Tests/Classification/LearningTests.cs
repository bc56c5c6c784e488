using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Classification;

namespace RbeMl.MLNet.Tests.Classification;

public sealed class LearningTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void MulticlassPipelineLearnsAndEvaluates()
    {
        IDataView data = _ml.Data.LoadFromEnumerable(Toy.Rows(48));
        IEstimator<ITransformer> pipeline = _ml.Transforms.Conversion.MapValueToKey("Label", "Name")
            .AppendCacheCheckpoint(_ml)
            .Append(_ml.Rbe.TextClassification(Toy.Options()))
            .Append(_ml.Transforms.Conversion.MapKeyToValue("Name", "PredictedLabel"));
        ITransformer model = pipeline.Fit(data);
        MulticlassClassificationMetrics metrics = _ml.MulticlassClassification.Evaluate(model.Transform(data), topKPredictionCount: 2);
        Assert.True(metrics.MicroAccuracy > 0.9, $"accuracy {metrics.MicroAccuracy}");
        Assert.True(metrics.LogLoss < 0.5, $"log-loss {metrics.LogLoss}"); // ln 3 = 1.1 knows nothing
        Assert.True(metrics.TopKAccuracy >= metrics.MicroAccuracy);
        Assert.Contains("owl", metrics.ConfusionMatrix.GetFormattedConfusionTable());

        ITransformer loaded = Toy.Reload(model, data.Schema, out MLContext fresh);
        using PredictionEngine<Toy.Row, Toy.Prediction> engine = fresh.Model.CreatePredictionEngine<Toy.Row, Toy.Prediction>(loaded);
        Toy.Prediction owl = engine.Predict(new Toy.Row { Text = "owl owl 7" });
        Assert.Equal("owl", owl.Name);
        Assert.Equal(1, owl.Score.Sum(), 1e-5); // a softmax in fp32
    }

    [Fact]
    public void BinaryPipelineLearnsAndEvaluates()
    {
        IDataView data = Toy.Binary(_ml, 32);
        CalibratedBinaryClassificationMetrics metrics = _ml.BinaryClassification.Evaluate(Toy.Fit(_ml, data).Transform(data));
        Assert.True(metrics.Accuracy > 0.9, $"accuracy {metrics.Accuracy}");
        Assert.True(metrics.AreaUnderRocCurve > 0.9);
        Assert.True(metrics.LogLoss < 0.7, $"log-loss {metrics.LogLoss}"); // in bits: 1 knows nothing
    }

    [Fact]
    public void BinaryColumnsFitTogether()
    {
        IDataView data = Toy.Binary(_ml), view = Toy.Fit(_ml, data).Transform(data);
        float[] scores = [.. view.GetColumn<float>("Score")], probabilities = [.. view.GetColumn<float>("Probability")];
        Assert.Equal(scores.Select(s => s > 0), view.GetColumn<bool>("PredictedLabel"));
        for (int i = 0; i < scores.Length; i++) Assert.Equal(1 / (1 + Math.Exp(-scores[i])), probabilities[i], 1e-6);
    }

    [Fact]
    public void CrossValidates()
    {
        TextClassificationTrainer trainer = _ml.Rbe.TextClassification(Toy.Options(o => o.Epochs = 2));
        Assert.Equal(2,
            _ml.MulticlassClassification.CrossValidate(Toy.Multiclass(_ml), trainer, numberOfFolds: 2).Count(fold => double.IsFinite(fold.Metrics.LogLoss)));
        Assert.Equal(2,
            _ml.BinaryClassification.CrossValidate(Toy.Binary(_ml), trainer, numberOfFolds: 2).Count(fold => double.IsFinite(fold.Metrics.LogLoss)));
    }

    [Fact]
    public void AnnotationsAreThoseOfMlNetsOwnTrainers()
    {
        IDataView data = Toy.Multiclass(_ml);
        DataViewSchema schema = Toy.Fit(_ml, data).GetOutputSchema(data.Schema);
        DataViewSchema.Annotations score = schema["Score"].Annotations;
        VBuffer<ReadOnlyMemory<char>> names = default, trained = default;
        ReadOnlyMemory<char> kind = default, value = default;
        uint set = 0;
        score.GetValue("SlotNames", ref names);
        score.GetValue("TrainingLabelValues", ref trained);
        score.GetValue("ScoreColumnKind", ref kind);
        score.GetValue("ScoreValueKind", ref value);
        score.GetValue("ScoreColumnSetId", ref set);
        Assert.Equal(["cat", "dog", "owl"], names.DenseValues().Select(n => n.ToString()));
        Assert.Equal(["cat", "dog", "owl"], trained.DenseValues().Select(n => n.ToString()));
        Assert.Equal(("MulticlassClassification", "Score", 1u), (kind.ToString(), value.ToString(), set));
        Assert.Equal(new KeyDataViewType(typeof(uint), 3), schema["PredictedLabel"].Type);
        Assert.Equal(2u, NextSet(Toy.Fit(_ml, Toy.Fit(_ml, data).Transform(data)).GetOutputSchema(schema)));

        static uint NextSet(DataViewSchema twice)
        {
            uint id = 0;
            twice["Score"].Annotations.GetValue("ScoreColumnSetId", ref id);
            return id;
        }
    }

    [Fact]
    public void NumbersAsClassesKeepTheirType()
    {
        IDataView data = _ml.Data.LoadFromEnumerable(Toy.Rows().Select(r => new { r.Text, Year = r.Label ? 1999 : 2024 }));
        IDataView keyed = _ml.Transforms.Conversion.MapValueToKey("Label", "Year").Fit(data).Transform(data);
        ITransformer model = Toy.Reload(Toy.Fit(_ml, keyed), keyed.Schema, out MLContext fresh);
        IDataView back = fresh.Transforms.Conversion.MapKeyToValue("Guess", "PredictedLabel").Fit(model.Transform(keyed)).Transform(model.Transform(keyed));
        Assert.Equal(NumberDataViewType.Int32, back.Schema["Guess"].Type);
        Assert.All(back.GetColumn<int>("Guess"), year => Assert.Contains(year, (int[])[1999, 2024]));
    }

    [Fact]
    public void TokenIdsInAnyTypeScoreAsTheTextDoes()
    {
        IDataView data = Toy.Multiclass(_ml);
        float[][] expected = Toy.Scores(_ml, Toy.Fit(_ml, data), data);
        IDataView tokens = _ml.Rbe.Tokenize("Ids", "Text").Fit(data).Transform(data);
        IDataView numbers = _ml.Transforms.CustomMapping<Narrow, Wide>(
            (from, to) => (to.Long, to.Unsigned) = (Array.ConvertAll(from.Ids, i => (long)i), Array.ConvertAll(from.Ids, i => (uint)i)), null)
            .Fit(tokens).Transform(tokens);
        foreach (string column in (string[])["Ids", "Long", "Unsigned"])
        {
            Assert.Equal(expected, Toy.Scores(_ml, Toy.Fit(_ml, numbers, o => o.TextColumnName = column), numbers));
        }

        IDataView words = _ml.Transforms.Text.TokenizeIntoWords("Words", "Text").Append(_ml.Transforms.Conversion.MapValueToKey("Words"))
            .Fit(data).Transform(data);
        TextClassificationTransformer model = Toy.Fit(_ml, words, o => (o.TextColumnName, o.VocabularySize) = ("Words", null));
        using var classifier = model.CopyClassifier();
        Assert.Equal(7, classifier.Model.Config.Vocabulary); // three animals and four digits
        Assert.Null(model.Tokenizer);
        Assert.DoesNotContain(Toy.Scores(_ml, model, words), row => row.Any(float.IsNaN));
    }

    [Fact]
    public void WarmStartGoesOn()
    {
        IDataView data = Toy.Multiclass(_ml);
        TextClassificationTransformer first = Toy.Fit(_ml, data);
        float[][] before = Toy.Scores(_ml, first, data);
        TextClassificationTransformer second = Toy.Fit(_ml, data, o => (o.WarmStart, o.LearningRate, o.Epochs) = (first, 1e-3, 2));
        Assert.True(second.Summary.Epochs[0].Loss < first.Summary.Epochs[0].Loss / 2, $"{second.Summary.Epochs[0].Loss} after {first.Summary.Epochs[0].Loss}");
        Assert.Equal(before, Toy.Scores(_ml, first, data));
        Assert.NotEqual(before, Toy.Scores(_ml, second, data));
        using var copy = first.CopyClassifier();
        copy.Model.Parameters.Clear();
        Assert.Equal(before, Toy.Scores(_ml, first, data));

        IDataView other = _ml.Transforms.Conversion.MapValueToKey("Label", "Name").Fit(_ml.Data.LoadFromEnumerable(Toy.Rows().Reverse()))
            .Transform(_ml.Data.LoadFromEnumerable(Toy.Rows()));
        Assert.Contains("dog", Assert.Throws<InvalidSettingException>(() => Toy.Fit(_ml, other, o => o.WarmStart = first)).Message);
    }

    private sealed class Narrow
    {
        public int[] Ids { get; set; } = [];
    }

    private sealed class Wide
    {
        public long[] Long { get; set; } = [];

        public uint[] Unsigned { get; set; } = [];
    }
}
