using System.Text;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>How a check ended.</summary>
public enum Verdict
{
    /// <summary>All comparisons held.</summary>
    Passed,

    /// <summary>One didn't, or something threw.</summary>
    Failed,

    /// <summary>It doesn't apply to this component, or the options lack what it needs.</summary>
    Skipped,

    /// <summary>It failed, as the options say it would.</summary>
    Excused,
}

/// <summary>The result of one check: the comparisons made, and the message of a failure or the reason for skipping.</summary>
public sealed record CheckResult(string Name, Verdict Verdict, int Comparisons, string Message = "");

/// <summary>The results of all checks.</summary>
public sealed record WorkoutReport(string Component, IReadOnlyList<CheckResult> Results)
{
    /// <summary>The names of the checks with this verdict.</summary>
    public IEnumerable<string> Names(Verdict verdict) => Results.Where(r => r.Verdict == verdict).Select(r => r.Name);

    /// <summary>A line for each check.</summary>
    public override string ToString()
    {
        var text = new StringBuilder().Append(Component).Append(": ").Append(Names(Verdict.Passed).Count()).Append(" checks passed, ")
            .Append(Names(Verdict.Failed).Count()).Append(" failed\n");
        foreach (CheckResult r in Results) text.Append($"  {r.Name,-20} {r.Verdict,-8} {r.Comparisons,7}  {r.Message}\n");
        return text.ToString();
    }
}

/// <summary>A component failed its citizenship test.</summary>
public sealed class WorkoutFailedException(WorkoutReport report) : Exception(report.ToString())
{
    /// <summary>All results.</summary>
    public WorkoutReport Report { get; } = report;
}

/// <summary>A comparison of a check didn't hold.</summary>
internal sealed class CheckFailedException(string message) : Exception(message);

/// <summary>A check doesn't apply.</summary>
internal sealed class CheckSkippedException(string reason) : Exception(reason);
