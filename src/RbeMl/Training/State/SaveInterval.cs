using System.Globalization;

namespace RbeMl.Training;

/// <summary>How often a training saves something: every so many steps, or after so much time, or never.</summary>
/// <param name="Steps">Steps from one save to the next; 0 goes by time.</param>
/// <param name="Time">Time from one save to the next, where steps are 0; zero saves never.</param>
public readonly record struct SaveInterval(int Steps, TimeSpan Time)
{
    /// <summary>Saves never.</summary>
    public static SaveInterval Never => default;

    /// <summary>Saves every so many steps.</summary>
    public static SaveInterval EverySteps(int steps) => new(steps, default);

    /// <summary>Saves once so many minutes have gone by.</summary>
    public static SaveInterval EveryMinutes(double minutes) =>
        new(0, !(minutes > 0) ? TimeSpan.Zero
            : TimeSpan.FromTicks((long)Math.Clamp(minutes * TimeSpan.TicksPerMinute, 1, TimeSpan.MaxValue.Ticks / 2)));

    /// <summary>Whether it saves at all.</summary>
    internal bool Saves => Steps > 0 || Time > TimeSpan.Zero;

    /// <summary>Whether it is time to save.</summary>
    /// <param name="step">Steps done.</param>
    /// <param name="saved">Steps done when it was saved last, or begun: a step that could not be saved at makes the next one due.</param>
    /// <param name="since">Time since then.</param>
    internal bool IsDue(int step, int saved, TimeSpan since) => Steps > 0 ? step / Steps != saved / Steps : Time > TimeSpan.Zero && since >= Time;

    /// <summary>As on the command line: <c>100</c> steps, <c>10m</c>inutes, <c>0</c> for never.</summary>
    public override string ToString() => Steps > 0 || !Saves ? Steps.ToString(CultureInfo.InvariantCulture)
        : string.Create(CultureInfo.InvariantCulture, $"{Time.TotalMinutes}m");
}
