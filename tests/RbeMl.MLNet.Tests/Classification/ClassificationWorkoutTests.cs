using Microsoft.ML;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tests.Workout;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.Classification;

/// <summary>The classifier is a citizen of ML.NET.</summary>
public sealed class ClassificationWorkoutTests(ITestOutputHelper output)
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void MulticlassCitizenship() => Check(Toy.Multiclass(_ml), (trainer, data) =>
        Assert.All(_ml.MulticlassClassification.CrossValidate(data, trainer, 2), fold => Assert.InRange(fold.Metrics.MicroAccuracy, 0, 1)));

    [Fact]
    public void BinaryCitizenship() => Check(Toy.Binary(_ml), (trainer, data) =>
        Assert.All(_ml.BinaryClassification.CrossValidate(data, trainer, 2), fold => Assert.InRange(fold.Metrics.Accuracy, 0, 1)));

    [Fact]
    public void MulticlassColumnNames() => ColumnNameWorkout.Check(_ml, Toy.Multiclass(_ml), ["Label", "Text"], ["PredictedLabel", "Score"], names =>
        _ml.Rbe.TextClassification(Toy.Options(o =>
        {
            (o.LabelColumnName, o.TextColumnName, o.Epochs) = (names["Label"], names["Text"], 1);
            (o.PredictedLabelColumnName, o.ScoreColumnName) = (names["PredictedLabel"], names["Score"]);
        })));

    [Fact]
    public void BinaryColumnNames() => ColumnNameWorkout.Check(_ml, Toy.Binary(_ml), ["Label", "Text"], ["PredictedLabel", "Score", "Probability"], names =>
        _ml.Rbe.TextClassification(Toy.Options(o =>
        {
            (o.LabelColumnName, o.TextColumnName, o.Epochs) = (names["Label"], names["Text"], 1);
            (o.PredictedLabelColumnName, o.ScoreColumnName, o.ProbabilityColumnName) = (names["PredictedLabel"], names["Score"], names["Probability"]);
        })));

    [Fact]
    public void AnOutputMayHideTheInput() => ColumnNameWorkout.CheckInPlace(_ml, Toy.Multiclass(_ml), "Text", "Score", names =>
        _ml.Rbe.TextClassification(Toy.Options(o => (o.TextColumnName, o.ScoreColumnName, o.Epochs) = (names["Text"], names["Score"], 1))));

    private void Check(IDataView valid, Action<IEstimator<ITransformer>, IDataView> crossValidate)
    {
        IDataView noText = Toy.Drop(_ml, "Text", valid), noLabel = Toy.Drop(_ml, "Label", valid);
        WorkoutReport report = EstimatorWorkout.Check(_ml, _ml.Rbe.TextClassification(Toy.Options(o => o.Epochs = 1)), valid, new WorkoutOptions
        {
            Prepare = ml => ml.UseRbe(),
            ForwardCount = () => ForwardCounter.Rows,
            Downstream = _ml.Transforms.CopyColumns("Copy", "PredictedLabel"),
            CrossValidate = crossValidate,
            Predictions = 200,
            Threads = 4,
            Invalid =
            [
                new InvalidInput(noText, "Text", RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform),
                new InvalidInput(noLabel, "Label"),
                new InvalidInput(_ml.Transforms.CopyColumns("Label", "Text").Fit(valid).Transform(valid), "Label"),
            ],
        });
        output.WriteLine(report.ToString());
        Assert.Contains("child-process", report.Names(Verdict.Passed));
    }
}
