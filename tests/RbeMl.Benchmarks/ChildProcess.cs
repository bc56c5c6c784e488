using System.Diagnostics;

namespace RbeMl.Benchmarks;

/// <summary>This program once more, so that what it does has memory and runtime of its own.</summary>
internal static class ChildProcess
{
    /// <summary>Runs it to its end.</summary>
    /// <param name="what">What it does, for the error.</param>
    /// <param name="words">Its verb and arguments.</param>
    /// <returns>What it wrote to standard output.</returns>
    /// <exception cref="InvalidDataException">It failed.</exception>
    public static string Output(string what, params IEnumerable<string> words)
    {
        ProcessStartInfo start = new(Environment.ProcessPath!) { RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet") start.ArgumentList.Add(typeof(ChildProcess).Assembly.Location);
        foreach (string word in words) start.ArgumentList.Add(word);
        using Process process = Process.Start(start)!;
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidDataException($"{what}: its process ended with exit code {process.ExitCode}.");
    }
}
