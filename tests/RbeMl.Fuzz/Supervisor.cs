using System.Diagnostics;
using System.Globalization;

namespace RbeMl.Fuzz;

/// <summary>Runs workers, starts them again when they die or hang, and tells what was found.</summary>
internal sealed class Supervisor(Options options, IReadOnlyList<string> arguments)
{
    // A case that takes so much processor time is ended; over a second of it is a finding already.
    private static readonly TimeSpan MostTime = TimeSpan.FromSeconds(20);

    private const int MostDeaths = 100, LongestLine = 600;
    private readonly Dictionary<string, int> _findings = [];
    private readonly Lock _gate = new();

    /// <summary>Runs everything.</summary>
    /// <returns>The number of different findings.</returns>
    public int Run()
    {
        string folder = Directory.CreateTempSubdirectory("rbeml-fuzz-").FullName;
        Stopwatch watch = Stopwatch.StartNew();
        try
        {
            Counts[][] counts =
                [.. Enumerable.Range(0, options.Workers).AsParallel().WithDegreeOfParallelism(options.Workers)
                    .Select(share => Supervise(share, folder, watch))];
            Report(counts, watch.Elapsed);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        return _findings.Count;
    }

    private Counts[] Supervise(int share, string folder, Stopwatch watch)
    {
        string path = Path.Combine(folder, $"progress-{share}"), own = Path.Combine(folder, $"files-{share}");
        Directory.CreateDirectory(own);
        using Progress progress = new(path, options.Kinds.Count);
        for (int deaths = 0; deaths < MostDeaths && Start(share, path, own, progress, watch); deaths++)
        {
            progress.Current = Worker.Next(options, progress.Current);
        }

        return [.. Enumerable.Range(0, options.Kinds.Count).Select(kind => progress[kind])];
    }

    // Whether another worker is needed.
    private bool Start(int share, string path, string folder, Progress progress, Stopwatch watch)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!) { RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(typeof(Supervisor).Assembly.Location);
        foreach (string argument in (string[])[Worker.Verb, $"{share}", path, folder, .. arguments]) start.ArgumentList.Add(argument);
        start.Environment["DOTNET_GCHeapHardLimit"] = "0x80000000"; // what asks for more is a finding, not the machine's end
        using Process process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) => Found(line.Data);
        List<string> last = [];
        process.ErrorDataReceived += (_, line) =>
        {
            if (!string.IsNullOrWhiteSpace(line.Data) && last.Count < 12) last.Add(line.Data.Trim());
        };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        long current = -1;
        TimeSpan since = default;
        while (!process.WaitForExit(200))
        {
            bool over = options.Time is { } time && watch.Elapsed > time;
            if (over || Hangs(process, progress.Current, ref current, ref since)) process.Kill();
            if (over) break;
        }

        process.WaitForExit();
        if (process.ExitCode == 0 || (options.Time is { } end && watch.Elapsed > end)) return false;
        string what = since == TimeSpan.MaxValue ? FormattableString.Invariant($"hang: over {MostTime.TotalSeconds} s of processor time")
            : $"crash: exit code {process.ExitCode} {string.Join(" | ", last)}";
        Found(string.Create(CultureInfo.InvariantCulture,
            $"{options.Kinds[(int)(progress.Current % options.Kinds.Count)].Name}\t{progress.Current / options.Kinds.Count}\t{what}"));
        return true;
    }

    private static bool Hangs(Process process, long now, ref long current, ref TimeSpan since)
    {
        TimeSpan used;
        try
        {
            used = process.TotalProcessorTime;
        }
        catch (InvalidOperationException)
        {
            return false; // it has ended
        }

        if (now != current)
        {
            (current, since) = (now, used);
            return false;
        }

        if (used - since < MostTime) return false;
        since = TimeSpan.MaxValue;
        return true;
    }

    // Tells the first of each: kind, what and where, without numbers.
    private void Found(string? line)
    {
        if (line?.Split('\t', 3) is not [string kind, string number, string what]) return;
        lock (_gate)
        {
            string signature = kind + new string([.. what.Where(c => !char.IsAsciiDigit(c))])[..Math.Min(160, what.Count(c => !char.IsAsciiDigit(c)))];
            _findings[signature] = _findings.GetValueOrDefault(signature) + 1;
            if (_findings[signature] > 1) return;
            Console.WriteLine($"FOUND {kind} case {number}: {(what.Length <= LongestLine ? what : what[..LongestLine])}");
            Console.WriteLine($"  replay: dotnet run -c Release --project tests/RbeMl.Fuzz -- --seed {options.Seed} --kind {kind} --case {number}");
        }
    }

    private void Report(Counts[][] counts, TimeSpan time)
    {
        Counts all = default;
        Console.WriteLine($"{"kind",-22}{"cases",10}{"loaded",10}{"findings",10}{"us/case",10}{"most KiB",10}");
        for (int kind = 0; kind < options.Kinds.Count; kind++)
        {
            Counts sum = counts.Aggregate(default(Counts), (a, worker) => a + worker[kind]);
            all += sum;
            Line(options.Kinds[kind].Name, sum);
        }

        Line("all", all);
        double rate = all.Cases / time.TotalHours;
        Console.WriteLine(
            string.Create(CultureInfo.InvariantCulture,
            $"seed {options.Seed}, {options.Workers} workers, {time.TotalSeconds:F0} s: {rate:F0} cases an hour; {_findings.Count} different findings"));

        static void Line(string name, Counts c) => Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{name,-22}{c.Cases,10}{c.Loaded,10}{c.Faults,10}{c.Microseconds / Math.Max(1, c.Cases),10}{c.MostAllocated / 1024,10}"));
    }
}
