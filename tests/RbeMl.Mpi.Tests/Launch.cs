using System.Diagnostics;
using System.Runtime.InteropServices;
using RbeMl.Tests.Support;

namespace RbeMl.Mpi.Tests;

/// <summary>The launchers of MPI on this machine, and <c>rbeml</c> started by them.</summary>
internal static class Launch
{
    public const string OpenMpi = "openmpi", Mpich = "mpich";

    /// <summary>Why a launcher cannot be used here; null where it can.</summary>
    public static string? Missing(string kind)
    {
        if (Launcher(kind) is null) return $"needs {kind}'s mpirun, which is not on the path (Debian: apt-get install -y {Package(kind)})";
        return Libraries(kind).Any(name => NativeLibrary.TryLoad(name, out _)) ? null : $"needs {kind}'s library, which cannot be loaded";
    }

    /// <summary>Starts <c>rbeml</c> on ranks; <paramref name="parts"/> are their number and the words of each. Disposing it ends them.</summary>
    public static Process Start(string kind, IReadOnlyDictionary<string, string>? environment, params (int Ranks, string[] Words)[] parts)
    {
        ProcessStartInfo start = new(Launcher(kind)!) { RedirectStandardOutput = true, RedirectStandardError = true };
        for (int part = 0; part < parts.Length; part++)
        {
            if (part > 0) start.ArgumentList.Add(":");
            foreach (string word in (string[])["-np", $"{parts[part].Ranks}", Host, Program, .. parts[part].Words]) start.ArgumentList.Add(word);
        }

        // Tests run as whoever they run as, on machines of whatever number of processors.
        (string Name, string Value)[] usual =
        [
            ("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"), ("OMPI_MCA_rmaps_base_oversubscribe", "1"),
            ("PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe"), ("OMPI_MCA_hwloc_base_binding_policy", "none"),
            ("OMPI_MCA_mpi_yield_when_idle", "1"), ("PRTE_MCA_hwloc_default_binding_policy", "none"),
        ];
        foreach ((string name, string value) in usual) start.Environment[name] = value;
        foreach ((string name, string value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        Job job = new() { StartInfo = start };
        job.Start();
        return job;
    }

    /// <summary>Runs <c>rbeml</c> on ranks to its end.</summary>
    public static Task<Ended> Run(string kind, int ranks, params string[] words) => Run(kind, null, (ranks, words));

    /// <summary>The same, with variables and words of their own for some ranks.</summary>
    public static async Task<Ended> Run(string kind, IReadOnlyDictionary<string, string>? environment, params (int Ranks, string[] Words)[] parts)
    {
        using Process process = Start(kind, environment, parts);
        return await End(process);
    }

    /// <summary>What a process that runs says until its end.</summary>
    public static async Task<Ended> End(Process process)
    {
        Task<string> output = process.StandardOutput.ReadToEndAsync(Patience.Start().Token);
        Task<string> error = process.StandardError.ReadToEndAsync(Patience.Start().Token);
        await process.WaitForExitAsync(Patience.Start().Token);
        return new Ended(process.ExitCode, await output, await error);
    }

    /// <summary>The process of a rank that trains in a folder. Linux.</summary>
    public static int ProcessOf(int rank, string folder) => Directory.EnumerateDirectories("/proc").Select(Path.GetFileName)
        .Where(name => int.TryParse(name, out _)).Select(name => int.Parse(name!))
        .Single(id => Has(id, "cmdline", folder) && (Has(id, "environ", $"OMPI_COMM_WORLD_RANK={rank}\0") || Has(id, "environ", $"PMI_RANK={rank}\0")));

    private static string Host => Environment.ProcessPath is { } path && Path.GetFileNameWithoutExtension(path) == "dotnet" ? path : "dotnet";

    private static string Program => Path.Combine(AppContext.BaseDirectory, "RbeMl.Cli.dll");

    private static string Package(string kind) => kind == OpenMpi ? "openmpi-bin" : "mpich";

    private static string[] Libraries(string kind) => kind == OpenMpi ? ["libmpi.so.40"] : ["libmpich.so.12", "libmpi.so.12"];

    // Where both are installed each has a name of its own.
    private static string? Launcher(string kind)
    {
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        foreach (string name in (string[])[$"mpirun.{kind}", "mpirun"])
        {
            if (folders.Select(folder => Path.Combine(folder, name)).FirstOrDefault(File.Exists) is not { } path) continue;
            if (name.Contains('.', StringComparison.Ordinal) || IsOf(kind, path)) return path;
        }

        return null;
    }

    private static bool IsOf(string kind, string launcher)
    {
        using Process process = Process.Start(new ProcessStartInfo(launcher, ["--version"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        string said = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return said.Contains(kind == OpenMpi ? "Open MPI" : "HYDRA", StringComparison.Ordinal);
    }

    private static bool Has(int process, string file, string text)
    {
        try
        {
            return File.ReadAllText($"/proc/{process}/{file}").Contains(text, StringComparison.Ordinal);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            return false; // it has ended, or is another user's
        }
    }
}

/// <summary>Ranks that run no longer than the test that has started them.</summary>
internal sealed class Job : Process
{
    protected override void Dispose(bool disposing)
    {
        if (disposing && !HasExited) Kill(entireProcessTree: true);
        base.Dispose(disposing);
    }
}

/// <summary>How a program ended.</summary>
internal sealed record Ended(int Code, string Out, string Error)
{
    /// <summary>Asserts that it succeeded.</summary>
    public void Succeeds() => Assert.True(Code == 0, $"exit code {Code}: {Out}{Error}");

    /// <summary>Asserts a failure whose one line of ours is about something.</summary>
    public void Fails(string message)
    {
        Assert.NotEqual(0, Code);
        string[] ours = [.. Error.Split('\n').Where(line => line.StartsWith("rbeml: ", StringComparison.Ordinal))];
        Assert.Contains(message, Assert.Single(ours.Distinct()), StringComparison.Ordinal);
    }
}

/// <summary>A test that starts ranks, skipped with the reason where that MPI is not installed.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class MpiFactAttribute : FactAttribute
{
    /// <summary>Skips the test where one of the kinds is missing.</summary>
    /// <param name="kinds">openmpi, mpich.</param>
    public MpiFactAttribute(params string[] kinds) => Skip = kinds.Select(Launch.Missing).FirstOrDefault(why => why is not null);
}
