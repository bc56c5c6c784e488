using System.Diagnostics;

namespace RbeMl.Cli.Finetune;

/// <summary>How far a run is, by steps or by time, whichever is further.</summary>
/// <param name="steps">Steps of the run, or null.</param>
/// <param name="seconds">Time of the run, or null.</param>
/// <param name="before">Time of the run up to the state that it goes on from.</param>
/// <param name="ranks">The ranks of the run, whose clock is that of the first; null for one process.</param>
internal sealed class RunClock(int? steps, double? seconds, TimeSpan before = default, RunRanks? ranks = null)
{
    private readonly Stopwatch _watch = Stopwatch.StartNew();
    private TimeSpan? _told;

    /// <summary>Time so far; of several ranks when they last looked at the clock.</summary>
    public TimeSpan Elapsed => ranks is { Several: true } ? _told ?? before : before + _watch.Elapsed;

    /// <summary>Looks at the clock, which all ranks must do together: what follows from the time is the same on all.</summary>
    public void Look()
    {
        if (ranks is { Several: true }) _told = TimeSpan.FromSeconds(ranks.OfFirst((before + _watch.Elapsed).TotalSeconds));
    }

    /// <summary>Fraction done, 0 to 1.</summary>
    public double Fraction(int stepsDone) =>
        Math.Min(1, Math.Max(steps is { } all ? (double)stepsDone / all : 0, seconds is { } limit ? Elapsed.TotalSeconds / limit : 0));

    /// <summary>Whether the run is at its end; it has at least one step.</summary>
    public bool IsOver(int stepsDone) => stepsDone > 0 && Fraction(stepsDone) >= 1;
}
