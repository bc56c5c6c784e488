using RbeMl.Layers;

namespace RbeMl.Cli.Finetune;

/// <summary>A stage of the steps; names as in <see cref="ProfileStage"/>, and <c>rest</c> for what no stage covers.</summary>
/// <param name="Name">The stage.</param>
/// <param name="Count">How often it ran.</param>
/// <param name="Seconds">Its part of the wall time.</param>
/// <param name="AverageMilliseconds">Mean of one run.</param>
/// <param name="Share">Part of the whole, 0 to 1.</param>
internal sealed record StageRecord(string Name, long Count, double Seconds, double AverageMilliseconds, double Share);

/// <summary>Where the time of a run's steps went; validation, samples and files are not in it.</summary>
/// <param name="Steps">Steps profiled.</param>
/// <param name="Seconds">Their wall time: the sum of the stages.</param>
/// <param name="Stages">The stages in the order of a step, the rest last.</param>
internal sealed record ProfileRecord(long Steps, double Seconds, IReadOnlyList<StageRecord> Stages)
{
    /// <summary>That of a trainer; null when it kept none.</summary>
    public static ProfileRecord? Of(StepProfile? profile)
    {
        if (profile is null || profile.Steps == 0) return null;
        double total = profile.Total.TotalSeconds;
        StageRecord Stage(string name, long count, TimeSpan time) =>
            new(name, count, time.TotalSeconds, 1e3 * time.TotalSeconds / count, time.TotalSeconds / total);
        List<StageRecord> stages =
            [.. profile.Entries.Select(e => Stage(char.ToLowerInvariant(e.Stage.ToString()[0]) + e.Stage.ToString()[1..], e.Count, e.Total))];
        stages.Add(Stage("rest", profile.Steps, profile.Rest));
        return new ProfileRecord(profile.Steps, total, stages);
    }

    /// <summary>Headings of <see cref="Rows"/>.</summary>
    public static IReadOnlyList<string> Headings { get; } = ["stage", "runs", "seconds", "average", "share"];

    /// <summary>What it is a table of.</summary>
    public string Title =>
        $"{Output.Format.Seconds(Seconds)} in {Output.Format.Count(Steps, "step")}; stages that run on several threads count with their "
            + $"time divided by the threads, the rest is waiting and what no stage covers";

    /// <summary>The lines of a table for people.</summary>
    public IEnumerable<string[]> Rows =>
        Stages.Select(s =>
            (string[])[Words(s.Name), Output.Format.Count(s.Count), Output.Format.Figure(s.Seconds) + " s",
                Output.Format.Figure(s.AverageMilliseconds) + " ms", Output.Format.Percent(s.Share)]);

    // layerNorm2Backward -> layer norm2 backward.
    private static string Words(string name) => string.Concat(name.Select(c => char.IsUpper(c) ? $" {char.ToLowerInvariant(c)}" : $"{c}"));
}
