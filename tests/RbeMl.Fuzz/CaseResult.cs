using RbeMl.Memory;

namespace RbeMl.Fuzz;

/// <summary>What came of one case.</summary>
/// <param name="Loaded">Whether the files loaded in spite of the damage.</param>
/// <param name="Allocated">Bytes that loading allocated.</param>
/// <param name="Seconds">Processor time.</param>
/// <param name="Fault">What is wrong: nothing, or "untyped", "allocation", "hang" with details.</param>
internal sealed record CaseResult(bool Loaded, long Allocated, double Seconds, string? Fault)
{
    /// <summary>Most processor time of a case.</summary>
    public const double MostSeconds = 1;

    /// <summary>Runs a case.</summary>
    public static CaseResult Of(FuzzKind kind, ulong seed, long number, string folder)
    {
        CaseResult result = Once(kind, seed, number, folder);

        // The first of a kind compiles code and makes samples.
        return result.Seconds <= MostSeconds || result.Fault is not null ? result
            : Once(kind, seed, number, folder) is { Seconds: > MostSeconds } again
                ? again with { Fault = FormattableString.Invariant($"hang: {again.Seconds:F1} s of processor time") }
            : result;
    }

    private static CaseResult Once(FuzzKind kind, ulong seed, long number, string folder)
    {
        foreach (string old in Directory.EnumerateFileSystemEntries(folder)) Delete(old);
        Dice dice = Dice.Of(seed, kind.Name, number);
        CaseFiles files = new(kind.Make(dice), folder);
        TimeSpan start = Environment.CpuUsage.TotalTime;
        object? loaded = null;
        long allocated = 0;
        string? fault = null;
        try
        {
            using (MemoryCounter counter = MemoryCounter.Open())
            {
                long before = GC.GetAllocatedBytesForCurrentThread();
                try
                {
                    loaded = kind.Load(files, dice);
                }
                finally
                {
                    allocated = GC.GetAllocatedBytesForCurrentThread() - before + counter.PeakBytes;
                }
            }

            if (loaded is not null) kind.Use(loaded, dice);
        }
        catch (Exception error) when (kind.IsPromised(error))
        {
            // As it should be.
        }
        catch (Exception error)
        {
            fault = $"untyped: {error.GetType().Name} {Where(error)}: {error.Message.ReplaceLineEndings(" ")}";
        }
        finally
        {
            (loaded as IDisposable)?.Dispose();
        }

        if (allocated > (2 * files.Length) + kind.Room) fault ??= FormattableString.Invariant($"allocation: {allocated} bytes for files of {files.Length}");
        return new CaseResult(loaded is not null, allocated, (Environment.CpuUsage.TotalTime - start).TotalSeconds, fault);
    }

    // The innermost places of this library.
    private static string Where(Exception error)
    {
        IEnumerable<string> frames = (error.StackTrace ?? "").Split('\n').Select(line => line.Trim())
            .Where(line => line.StartsWith("at RbeMl", StringComparison.Ordinal)).Take(3);
        return string.Join(" < ", frames.Select(frame => frame[3..(frame.IndexOf('(', StringComparison.Ordinal) is > 3 and var end ? end : frame.Length)]));
    }

    private static void Delete(string entry)
    {
        if (File.GetAttributes(entry).HasFlag(FileAttributes.Directory)) Directory.Delete(entry, recursive: true);
        else File.Delete(entry);
    }
}
