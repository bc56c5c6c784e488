using Microsoft.ML;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>ML.NET's own components pass all that applies to them, but for what is excused here: so nothing is asked that ML.NET doesn't do.</summary>
public class MlNetOwnTests(ITestOutputHelper output)
{
    // Getters of inactive columns: one-to-one transforms run into a null, row mappers throw ArgumentOutOfRangeException, and composed
    // estimators activate their own helper columns.
    private const string Inactive = "inactive";
    private const string Reason = "ML.NET's contract is an exception of any type, or a column that is active without need";

    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void NormalizeMinMax() => Check(_ml.Transforms.NormalizeMinMax("Y", "X"), "X");

    // Its Fit looks at no data, the schema included: what is missing shows when the data is transformed.
    [Fact]
    public void Concatenate() => Check(
        _ml.Transforms.Concatenate("Y", "X", "Size"), "Size", RefusedBy.Shape | RefusedBy.Transform);

    [Fact]
    public void MapValueToKey() => Check(_ml.Transforms.Conversion.MapValueToKey("Y", "Word"), "Word");

    [Fact]
    public void FeaturizeText() => Check(_ml.Transforms.Text.FeaturizeText("Y", "Text"), "Text");

    [Fact]
    public void ProduceWordBags() => Check(_ml.Transforms.Text.ProduceWordBags("Y", "Text"), "Text");

    // Its predictor names the missing column without quotes.
    [Fact]
    public void OnlineGradientDescent() => Check(_ml.Regression.Trainers.OnlineGradientDescent("Size", "X"), "X", RefusedBy.Shape | RefusedBy.Fit);

    private void Check(IEstimator<ITransformer> estimator, string input, RefusedBy by = RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform)
    {
        IDataView valid = Samples.View(_ml);
        var options = new WorkoutOptions
        {
            Invalid = [new InvalidInput(_ml.Transforms.DropColumns(input).Fit(valid).Transform(valid), input, by)],
            Excused = new Dictionary<string, string> { [Inactive] = Reason },
        };
        WorkoutReport report = EstimatorWorkout.Check(_ml, estimator, valid, options);
        output.WriteLine(report.ToString());
        Assert.Equal([Inactive], report.Names(Verdict.Excused));
    }
}
