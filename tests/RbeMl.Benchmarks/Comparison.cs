using System.Diagnostics;

namespace RbeMl.Benchmarks;

/// <summary>One comparison: medians, and the median of the ratios of pairs (above 1: the library is faster).</summary>
internal sealed record Timing(string Name, string Setting, int Threads, double TorchMs, double RbeMs, double Ratio);

/// <summary>Times two ways to compute the same, by turns in one process.</summary>
/// <param name="threads">Threads of both sides.</param>
/// <param name="rounds">Pairs of measurements.</param>
/// <param name="only">Part of the names to run; null for all.</param>
/// <param name="finished">Told of each result.</param>
internal sealed class Comparison(int threads, int rounds, string? only, Action<Timing> finished)
{
    private const double WarmSeconds = 0.5, SampleSeconds = 0.03;
    private readonly Random _order = new(1);

    public int Threads => threads;

    /// <summary>Whether a name is to be run.</summary>
    public bool Wants(string name) => only is null || name.Contains(only, StringComparison.OrdinalIgnoreCase);

    /// <summary>Warms both sides up, then takes pairs, the order within a pair by chance.</summary>
    public void Run(string name, string setting, Action torch, Action rbe)
    {
        if (!Wants(name)) return;
        Action[] sides = [torch, rbe];
        int[] counts = [.. sides.Select(side => (int)Math.Max(1, Math.Ceiling(SampleSeconds / Warm(side))))];
        double[][] times = [new double[rounds], new double[rounds]];
        for (int round = 0; round < rounds; round++)
        {
            int first = _order.Next(2);
            foreach (int side in (int[])[first, 1 - first]) times[side][round] = Sample(sides[side], counts[side]);
        }

        finished(new Timing(name, setting, threads, 1e3 * Median(times[0]), 1e3 * Median(times[1]), Median([.. times[0].Zip(times[1], (t, r) => t / r)])));
    }

    // Seconds of one run, when warm.
    private static double Warm(Action side)
    {
        long started = Stopwatch.GetTimestamp();
        double last;
        do
        {
            long before = Stopwatch.GetTimestamp();
            side();
            last = Stopwatch.GetElapsedTime(before).TotalSeconds;
        }
        while (Stopwatch.GetElapsedTime(started).TotalSeconds < WarmSeconds);
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

    private static double Median(double[] values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }
}
