using System.Globalization;

namespace RbeMl.Fuzz;

/// <summary>Runs one case in this process, and keeps its files to look at.</summary>
internal static class Replay
{
    public static int Run(Options options, long number)
    {
        int faults = 0;
        foreach (FuzzKind kind in options.Kinds)
        {
            string folder = Directory.CreateTempSubdirectory("rbeml-case-").FullName, files = Directory.CreateTempSubdirectory("rbeml-case-files-").FullName;
            new CaseFiles(kind.Make(Dice.Of(options.Seed, kind.Name, number)), files).Written();
            CaseResult result = CaseResult.Of(kind, options.Seed, number, folder);
            Directory.Delete(folder, recursive: true);
            if (result.Fault is not null) faults++;
            Console.WriteLine(
                string.Create(CultureInfo.InvariantCulture,
                $"{kind.Name} case {number}: {result.Fault ?? (result.Loaded ? "loaded and used" : "refused")}; {result.Allocated} bytes allocated, "
                    + $"{result.Seconds:F3} s; files in {files}"));
        }

        return faults == 0 ? 0 : 1;
    }
}
