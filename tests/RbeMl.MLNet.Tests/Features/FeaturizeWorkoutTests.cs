using Microsoft.ML;
using RbeMl.MLNet.Features;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tests.Workout;
using RbeMl.Models;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.Features;

/// <summary>The featurizer is a citizen, before ML.NET's own trainers too.</summary>
public sealed class FeaturizeWorkoutTests(ITestOutputHelper output) : IDisposable
{
    private readonly MLContext _ml = new(seed: 1);
    private readonly ModelBundle _bundle = TextRows.Bundle();

    public void Dispose() => _bundle.Dispose();

    [Fact]
    public void Citizenship()
    {
        IDataView valid = TextRows.View(_ml);
        RefusedBy all = RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform;
        WorkoutReport report = EstimatorWorkout.Check(_ml, Make(), valid, new WorkoutOptions
        {
            Invalid =
            [
                new(_ml.Transforms.DropColumns("Text").Fit(valid).Transform(valid), "Text", all),
                new(_ml.Transforms.CopyColumns("Text", "Id").Fit(valid).Transform(valid), "Text", RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform),
            ],
            ForwardCount = () => ForwardCounter.Rows,
            Again = () => Make(),
            Downstream = _ml.Transforms.ReplaceMissingValues("Features").Append(_ml.BinaryClassification.Trainers.LbfgsLogisticRegression()),
        });
        output.WriteLine(report.ToString());
        Assert.Contains("child-process", report.Names(Verdict.Passed));
        Assert.Contains("downstream", report.Names(Verdict.Passed));
    }

    [Fact]
    public void ColumnNames() => ColumnNameWorkout.Check(_ml, TextRows.View(_ml), ["Text"], ["Features"], names => Make(names["Text"], names["Features"]));

    [Fact]
    public void InPlace() => ColumnNameWorkout.CheckInPlace(_ml, TextRows.View(_ml), "Text", "Features", names => Make(names["Text"], names["Features"]));

    private FeaturizeEstimator Make(string input = "Text", string result = "Features")
        => _ml.Rbe.Featurize(new FeaturizeOptions { InputColumnName = input, OutputColumnName = result, Model = _bundle, BatchRows = 5 });
}
