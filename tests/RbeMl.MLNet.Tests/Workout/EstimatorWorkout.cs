using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>
/// The citizenship test of an ML.NET component: that it behaves as ML.NET's own do, or better, wherever a pipeline, a cursor, an engine or a file
/// may meet it. Give it a few dozen rows: every row is read some fifty times.
/// </summary>
public static class EstimatorWorkout
{
    private static readonly (string Name, Action<WorkoutContext> Run)[] s_checks =
    [
        ("promise", SchemaChecks.Promise),
        ("annotations", SchemaChecks.Annotations),
        ("invalid-input", InvalidInputChecks.Refused),
        ("lockstep", CursorChecks.Lockstep),
        ("interleaved", CursorChecks.Interleaved),
        ("cursor-set", CursorChecks.Set),
        ("row-count", CursorChecks.RowCount),
        ("position", CursorChecks.PositionAndBatch),
        ("ids", CursorChecks.Ids),
        ("shuffle", CursorChecks.Shuffled),
        ("subsets", ActiveChecks.Subsets),
        ("inactive", ActiveChecks.Inactive),
        ("wrong-type", ActiveChecks.WrongType),
        ("no-forward", ForwardChecks.Unasked),
        ("forward-once", ForwardChecks.Once),
        ("getter-twice", GetterChecks.Twice),
        ("getter-skipped", GetterChecks.Skipped),
        ("getter-order", GetterChecks.Order),
        ("destination", BufferChecks.Destination),
        ("private-buffers", BufferChecks.Private),
        ("mapper-rows", MapperChecks.Rows),
        ("mapper-schema", MapperChecks.Schema),
        ("dependencies", MapperChecks.Dependencies),
        ("same-seed", RepeatChecks.SameSeed),
        ("threads", RepeatChecks.Threads),
        ("heap", HeapChecks.Steady),
        ("save-load", SaveChecks.Loaded),
        ("save-twice", SaveChecks.Twice),
        ("save-again", SaveChecks.Again),
        ("child-process", SaveChecks.Child),
        ("cache", ChainChecks.Cache),
        ("downstream", ChainChecks.Downstream),
        ("cross-validate", ChainChecks.CrossValidate),
        ("dispose", RepeatChecks.Disposed),
    ];

    /// <summary>The names of all checks, in the order they run.</summary>
    public static IEnumerable<string> Names => s_checks.Select(c => c.Name);

    /// <summary>Runs all checks.</summary>
    /// <exception cref="WorkoutFailedException">One failed; its message lists them all.</exception>
    public static WorkoutReport Check(MLContext ml, IEstimator<ITransformer> estimator, IDataView valid, WorkoutOptions options)
    {
        WorkoutReport report = Run(ml, estimator, valid, options);
        return report.Names(Verdict.Failed).Any() ? throw new WorkoutFailedException(report) : report;
    }

    /// <summary>Runs all checks, or the named ones, and reports failures instead of throwing.</summary>
    public static WorkoutReport Run(
        MLContext ml, IEstimator<ITransformer> estimator, IDataView valid, WorkoutOptions options, params string[] only)
    {
        foreach (string name in options.Excused.Keys.Concat(only))
            if (!Names.Contains(name)) throw new ArgumentException($"there is no check '{name}'; there are {string.Join(", ", Names)}", nameof(options));
        var context = new WorkoutContext(ml, estimator, valid, options);
        var results = s_checks.Where(c => only.Length == 0 || only.Contains(c.Name)).Select(c => RunOne(context, c.Name, c.Run));
        return new WorkoutReport(estimator.GetType().Name, [.. results]);
    }

    private static CheckResult RunOne(WorkoutContext context, string name, Action<WorkoutContext> run)
    {
        context.Comparisons = 0;
        bool excused = context.Options.Excused.TryGetValue(name, out string? reason);
        try
        {
            run(context);
        }
        catch (CheckSkippedException skipped)
        {
            return new CheckResult(name, Verdict.Skipped, context.Comparisons, skipped.Message);
        }
        catch (Exception failure)
        {
            string message = failure is CheckFailedException ? failure.Message : $"{failure.GetType().Name}: {failure.Message}";
            return excused
                ? new CheckResult(name, Verdict.Excused, context.Comparisons, $"{reason} ({message})")
                : new CheckResult(name, Verdict.Failed, context.Comparisons, message);
        }

        if (excused) return new CheckResult(name, Verdict.Failed, context.Comparisons, $"passes, but is excused: {reason}");
        return context.Comparisons > 0
            ? new CheckResult(name, Verdict.Passed, context.Comparisons)
            : new CheckResult(name, Verdict.Failed, 0, "compared nothing");
    }
}
