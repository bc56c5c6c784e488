using Microsoft.ML;
using Xunit.Abstractions;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The tokenizing component is a citizen.</summary>
public class TokenizeWorkoutTests(ITestOutputHelper output)
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void Citizenship()
    {
        const RefusedBy Everywhere = RefusedBy.Shape | RefusedBy.Fit | RefusedBy.Transform;
        IDataView valid = Samples.View(_ml);
        WorkoutReport report = EstimatorWorkout.Check(_ml, _ml.Rbe.Tokenize("Ids", "Text"), valid, new WorkoutOptions
        {
            Invalid =
            [
                new InvalidInput(_ml.Transforms.DropColumns("Text").Fit(valid).Transform(valid), "Text", Everywhere),
                new InvalidInput(_ml.Transforms.CopyColumns("Text", "Size").Fit(valid).Transform(valid), "Text", Everywhere),
            ],
        });
        output.WriteLine(report.ToString());
        Assert.Contains("child-process", report.Names(Verdict.Passed));
    }

    [Fact]
    public void ColumnNames() =>
        ColumnNameWorkout.Check(_ml, Samples.View(_ml), ["Text"], ["Ids"], names => _ml.Rbe.Tokenize(names["Ids"], names["Text"]));

    [Fact]
    public void InPlace() =>
        ColumnNameWorkout.CheckInPlace(_ml, Samples.View(_ml), "Text", "Ids", names => _ml.Rbe.Tokenize(names["Ids"], names["Text"]));
}
