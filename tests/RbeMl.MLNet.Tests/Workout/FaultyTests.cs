using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The citizenship test can fail: each fault is caught by the check that is meant to catch it, and none is seen where there is none.</summary>
public class FaultyTests
{
    private readonly MLContext _ml = new(seed: 1);

    /// <summary>The checks and the faults they must catch.</summary>
    public static TheoryData<string, Fault> Faults { get; } = new()
    {
        { "promise", Fault.PromisesScalar },
        { "promise", Fault.PromisesKey },
        { "promise", Fault.PromisesTooLittle },
        { "promise", Fault.PromisesTooMuch },
        { "promise", Fault.PromisesNoAnnotation },
        { "promise", Fault.SchemasDiffer },
        { "annotations", Fault.AnnotationIsShared },
        { "annotations", Fault.AnnotationIsShort },
        { "invalid-input", Fault.AcceptsMissingColumn },
        { "invalid-input", Fault.ChecksInFitOnly },
        { "invalid-input", Fault.ChecksInShapeOnly },
        { "invalid-input", Fault.RefusesWithoutName },
        { "lockstep", Fault.CursorsShareCounter },
        { "interleaved", Fault.CursorsShareCounter },
        { "cursor-set", Fault.SetGivesRowsTwice },
        { "cursor-set", Fault.SetSharesBatch },
        { "row-count", Fault.WrongRowCount },
        { "row-count", Fault.MovesPastEnd },
        { "position", Fault.PositionStuck },
        { "position", Fault.BatchDecreases },
        { "ids", Fault.IdsRepeat },
        { "ids", Fault.LosesRowsUnlessAsked },
        { "shuffle", Fault.CachesByPosition },
        { "shuffle", Fault.ShuffleDependsOnColumns },
        { "subsets", Fault.NeedsOtherColumnActive },
        { "subsets", Fault.LosesRowsUnlessAsked },
        { "inactive", Fault.InactiveGetterWorks },
        { "inactive", Fault.InactiveIsArgumentError },
        { "inactive", Fault.ClaimsAllActive },
        { "wrong-type", Fault.WrongTypeIsCastError },
        { "wrong-type", Fault.WrongTypeIsNull },
        { "no-forward", Fault.ComputesInTransform },
        { "no-forward", Fault.ComputesWhenInactive },
        { "no-forward", Fault.CountsNothing },
        { "forward-once", Fault.ComputesTwice },
        { "getter-twice", Fault.SecondCallDiffers },
        { "getter-skipped", Fault.CountsCalls },
        { "getter-order", Fault.OrderMatters },
        { "destination", Fault.KeepsLongDestination },
        { "destination", Fault.AddsToDestination },
        { "private-buffers", Fault.SharesBuffer },
        { "mapper-rows", Fault.MapperDiffers },
        { "mapper-rows", Fault.MapperKeepsFirstRow },
        { "mapper-schema", Fault.RowSchemaIsCopy },
        { "dependencies", Fault.DependsOnNothing },
        { "dependencies", Fault.DependsOnAll },
        { "same-seed", Fault.FitIsRandom },
        { "threads", Fault.ThreadsShareScratch },
        { "heap", Fault.KeepsEveryRow },
        { "heap", Fault.KeepsNativeMemory },
        { "save-load", Fault.SavesNothing },
        { "save-load", Fault.SavesOther },
        { "save-twice", Fault.SavesByTurns },
        { "save-again", Fault.SavesOther },
        { "child-process", Fault.SavesNothing },
        { "child-process", Fault.SavesOther },
        { "cache", Fault.BelongsToThread },
        { "downstream", Fault.PromisesTooMuch },
        { "dispose", Fault.DisposeBreaks },
    };

    [Fact]
    public void ASoundComponentPassesEverything()
    {
        WorkoutReport report = EstimatorWorkout.Check(_ml, new FaultyEstimator(_ml, Fault.None), Samples.View(_ml), Options());
        Assert.All(report.Results, r => Assert.Equal(("", Verdict.Passed), (r.Message, r.Verdict)));
        Assert.Equal(EstimatorWorkout.Names, report.Results.Select(r => r.Name));
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public void AFaultIsCaught(string check, Fault fault)
    {
        WorkoutReport report = EstimatorWorkout.Run(_ml, new FaultyEstimator(_ml, fault), Samples.View(_ml), Options(), check);
        CheckResult result = Assert.Single(report.Results);
        Assert.Equal((check, Verdict.Failed), (result.Name, result.Verdict));
        Assert.DoesNotContain("compared nothing", result.Message);
        Assert.DoesNotContain(nameof(NullReferenceException), result.Message);
    }

    [Fact]
    public void EveryFaultIsTriedAndEveryCheckHasAFault()
    {
        Assert.Equal(Enum.GetValues<Fault>().Where(f => f != Fault.None).Order(), Faults.Select(row => (Fault)row[1]).Distinct().Order());
        string[] tried = [.. Faults.Select(row => (string)row[0]).Append("cross-validate").Distinct()];
        Assert.Equal(EstimatorWorkout.Names.Order(), tried.Order());
    }

    private WorkoutOptions Options() => new()
    {
        Invalid = [new InvalidInput(_ml.Transforms.DropColumns("X").Fit(Samples.View(_ml)).Transform(Samples.View(_ml)), "X")],
        ForwardCount = () => FaultyEstimator.Forwards,
        Downstream = _ml.Transforms.Concatenate("All", "Y", "Z"),
        CrossValidate = (estimator, data) => Assert.NotNull(estimator.Fit(data)),
        Predictions = 10_000, // what one prediction leaves must outweigh what the rest of a busy process frees meanwhile
    };
}
