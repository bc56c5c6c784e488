using System.Diagnostics;

namespace RbeMl.Cli.Finetune;

/// <summary>How far a run is, by steps or by time, whichever is further.</summary>
/// <param name="steps">Steps of the run, or null.</param>
/// <param name="seconds">Time of the run, or null.</param>
/// <param name="before">Time of the run up to the state that it goes on from.</param>
internal sealed class RunClock(int? steps, double? seconds, TimeSpan before = default)
{
    private readonly Stopwatch _watch = Stopwatch.StartNew();

    /// <summary>Time so far.</summary>
    public TimeSpan Elapsed => before + _watch.Elapsed;

    /// <summary>Fraction done, 0 to 1.</summary>
    public double Fraction(int stepsDone) =>
        Math.Min(1, Math.Max(steps is { } all ? (double)stepsDone / all : 0, seconds is { } limit ? Elapsed.TotalSeconds / limit : 0));

    /// <summary>Whether the run is at its end; it has at least one step.</summary>
    public bool IsOver(int stepsDone) => stepsDone > 0 && Fraction(stepsDone) >= 1;
}
