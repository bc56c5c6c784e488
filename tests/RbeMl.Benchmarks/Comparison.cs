using System.Diagnostics;
using System.Text.Json.Serialization;

namespace RbeMl.Benchmarks;

/// <summary>One comparison: medians, and the median of the ratios of pairs (above 1: the library is faster).</summary>
internal sealed record Timing(string Name, string Setting, int Threads, double TorchMs, double RbeMs, double Ratio)
{
    /// <summary>Most native memory that the library's side takes for activations and scratch, where that was measured.</summary>
    public long? RbePeakBytes { get; init; }

    /// <summary>Fastest runs of both sides: what other work on the machine disturbs least.</summary>
    [JsonIgnore]
    public (double Torch, double Rbe) Least { get; init; }

    /// <summary>Where it was measured.</summary>
    public MachineRecord? Machine { get; init; }
}

/// <summary>Times two ways to compute the same, by turns in one process.</summary>
/// <param name="threads">Threads of both sides.</param>
/// <param name="rounds">Pairs of measurements.</param>
/// <param name="only">Part of the names to run; null for all.</param>
/// <param name="finished">Told of each result.</param>
/// <param name="warmSeconds">How long a side runs before it is timed.</param>
internal sealed class Comparison(int threads, int rounds, string? only, Action<Timing> finished, double warmSeconds)
{
    private const double SampleSeconds = 0.03;
    private readonly Random _order = new(1);

    public int Threads => threads;

    /// <summary>Whether a name is to be run.</summary>
    public bool Wants(string name) => only is null || name.Contains(only, StringComparison.OrdinalIgnoreCase);

    /// <summary>Warms both sides up, then takes pairs, the order within a pair by chance.</summary>
    /// <returns>The result, or null when the name is not wanted.</returns>
    public Timing? Run(string name, string setting, Action torch, Action rbe, long? rbePeakBytes = null)
    {
        if (!Wants(name)) return null;
        Action[] sides = [torch, rbe];
        int[] counts = [.. sides.Select(side => (int)Math.Max(1, Math.Ceiling(SampleSeconds / Warm(side))))];
        double[][] times = [new double[rounds], new double[rounds]];
        for (int round = 0; round < rounds; round++)
        {
            int first = _order.Next(2);
            foreach (int side in (int[])[first, 1 - first]) times[side][round] = Sample(sides[side], counts[side]);
        }

        Timing timing =
            new(name, setting, threads, 1e3 * Medians.Of(times[0]), 1e3 * Medians.Of(times[1]),
                Medians.Of([.. times[0].Zip(times[1], (t, r) => t / r)]))
            { RbePeakBytes = rbePeakBytes, Least = (1e3 * times[0].Min(), 1e3 * times[1].Min()) };
        finished(timing);
        return timing;
    }

    // Seconds of one run, when warm.
    private double Warm(Action side)
    {
        long started = Stopwatch.GetTimestamp();
        double last;
        do
        {
            long before = Stopwatch.GetTimestamp();
            side();
            last = Stopwatch.GetElapsedTime(before).TotalSeconds;
        }
        while (Stopwatch.GetElapsedTime(started).TotalSeconds < warmSeconds);
        return last;
    }

    // The pause lets the other side's threads stop spinning, the run before the clock brings the weights back into the caches.
    private static double Sample(Action side, int count)
    {
        Thread.Sleep(20);
        side();
        long started = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++) side();
        return Stopwatch.GetElapsedTime(started).TotalSeconds / count;
    }
}
