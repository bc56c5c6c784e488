using System.Globalization;

namespace RbeMl.Fuzz;

/// <summary>Runs cases in this process and writes findings as lines.</summary>
internal static class Worker
{
    public const string Verb = "worker";

    /// <summary>Runs cases from where the progress stands: those whose number is <paramref name="share"/> modulo the number of workers.</summary>
    public static void Run(Options options, int share, string progressPath, string folder)
    {
        using Progress progress = new(progressPath, options.Kinds.Count);
        int kinds = options.Kinds.Count;
        for (long current = Math.Max(progress.Current, (long)share * kinds); current / kinds < options.Cases;)
        {
            progress.Current = current;
            int kind = (int)(current % kinds);
            long number = current / kinds;
            CaseResult result = CaseResult.Of(options.Kinds[kind], options.Seed, number, folder);
            progress[kind] = progress[kind].With(result);
            if (result.Fault is not null)
            {
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{options.Kinds[kind].Name}\t{number}\t{result.Fault}"));
            }

            current = Next(options, current);
        }
    }

    /// <summary>The case after one.</summary>
    public static long Next(Options options, long current)
    {
        int kinds = options.Kinds.Count;
        return (int)(current % kinds) + 1 < kinds ? current + 1 : ((current / kinds) + options.Workers) * kinds;
    }
}
