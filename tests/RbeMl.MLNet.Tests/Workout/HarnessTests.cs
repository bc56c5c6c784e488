using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>What the citizenship test itself promises: values compared exactly, failures told by name, excuses that are needed.</summary>
public class HarnessTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void CheckThrowsTheWholeReport()
    {
        var failure = Assert.Throws<WorkoutFailedException>(() => EstimatorWorkout.Check(
            _ml, new FaultyEstimator(_ml, Fault.SharesBuffer), Samples.View(_ml), new WorkoutOptions { ChildProcess = false }));
        Assert.Contains("private-buffers", failure.Message);
        Assert.Contains("column 'Y'", failure.Message);
        Assert.Contains("promise", failure.Report.Names(Verdict.Passed));
        Assert.Contains("no-forward", failure.Report.Names(Verdict.Skipped));
    }

    [Fact]
    public void AnExcuseThatIsNotNeededFails()
    {
        WorkoutReport report = Run(Fault.None, new WorkoutOptions { Excused = new Dictionary<string, string> { ["ids"] = "who knows" } }, "ids");
        Assert.Equal(["ids"], report.Names(Verdict.Failed));
        Assert.Contains("who knows", report.Results[0].Message);
    }

    [Fact]
    public void AnExcuseThatIsNeededIsReportedWithItsReason()
    {
        WorkoutReport report = Run(Fault.IdsRepeat, new WorkoutOptions { Excused = new Dictionary<string, string> { ["ids"] = "for speed" } }, "ids");
        Assert.Equal(["ids"], report.Names(Verdict.Excused));
        Assert.Contains("for speed", report.Results[0].Message);
    }

    [Fact]
    public void AnUnknownNameIsRefused() => Assert.Throws<ArgumentException>(() => Run(Fault.None, new WorkoutOptions(), "no such check"));

    [Fact]
    public void AFailingCrossValidationIsReported()
    {
        var options = new WorkoutOptions { CrossValidate = (_, _) => throw new InvalidOperationException("folds disagree") };
        WorkoutReport report = Run(Fault.None, options, "cross-validate");
        Assert.Equal(["cross-validate"], report.Names(Verdict.Failed));
        Assert.Contains("folds disagree", report.Results[0].Message);
    }

    [Fact]
    public void PreparationMustNotCapture()
    {
        var seen = new List<MLContext>();
        WorkoutReport report = Run(Fault.None, new WorkoutOptions { Prepare = seen.Add }, "child-process");
        Assert.Contains("captures", Assert.Single(report.Results).Message);
    }

    [Fact]
    public void TheChildRunsThePreparation()
    {
        WorkoutReport report = Run(Fault.None, new WorkoutOptions { Prepare = FailsInChild }, "child-process");
        Assert.Equal(["child-process"], report.Names(Verdict.Failed));
        Assert.Contains("not the process of the tests", report.Results[0].Message);
    }

    [Fact]
    public void CellsCompareBitsAndTakeEveryNaNForOne()
    {
        float otherNaN = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(float.NaN) ^ 1);
        Assert.Equal<Cell>(new Cell<float>([float.NaN, 1], true), new Cell<float>([otherNaN, 1], true));
        Assert.NotEqual<Cell>(new Cell<float>([0f], false), new Cell<float>([-0f], false));
        Assert.NotEqual<Cell>(new Cell<double>([1], false), new Cell<double>([double.BitIncrement(1)], false));
        Assert.NotEqual<Cell>(new Cell<float>([1], false), new Cell<float>([1], true));
        Assert.NotEqual<Cell>(new Cell<int>([1], false), new Cell<uint>([1], false));
        Assert.NotEqual<Cell>(new Cell<int>([1, 2], true), new Cell<int>([1], true));
        Assert.Equal<Cell>(new Cell<ReadOnlyMemory<char>>(["ab".AsMemory()], false), new Cell<ReadOnlyMemory<char>>(["xab".AsMemory(1)], false));
    }

    [Fact]
    public void SparseAndDenseVectorsAreRead()
    {
        IDataView view = _ml.Transforms.Text.ProduceWordBags("Bag", "Text").Append(_ml.Transforms.Conversion.MapValueToKey("Key", "Word"))
            .Fit(Samples.View(_ml)).Transform(Samples.View(_ml));
        ViewSnapshot snapshot = ViewSnapshot.Of(view);
        Assert.Equal(20, snapshot.Rows.Count);
        Assert.IsType<Cell<uint>>(snapshot[0, view.Schema["Key"]]);
        var bag = Assert.IsType<Cell<float>>(snapshot[1, view.Schema["Bag"]]);
        Assert.Equal(((VectorDataViewType)view.Schema["Bag"].Type).Size, bag.Length);
        Assert.Contains(1f, bag.Values.ToArray());
        Assert.Equal<Cell>(new Cell<ReadOnlyMemory<char>>(["green".AsMemory()], false), snapshot[1, view.Schema["Word"]]);
    }

    private static void FailsInChild(MLContext ml)
    {
        if (Environment.GetCommandLineArgs().Contains(ChildProgram.TransformVerb))
            throw new InvalidOperationException($"{ml.GetType().Name}: not the process of the tests");
    }

    private WorkoutReport Run(Fault fault, WorkoutOptions options, params string[] only) =>
        EstimatorWorkout.Run(_ml, new FaultyEstimator(_ml, fault), Samples.View(_ml), options, only);
}
