using RbeMl.Storage;

namespace RbeMl.Cli;

/// <summary>The words that start this program again, as it was started: what every command line that it prints begins with.</summary>
internal static class StartedAs
{
    /// <summary>The name of the installed command.</summary>
    public const string Command = "rbeml";

    private const string Host = "dotnet", Project = "RbeMl.Cli"; // the name of the project is that of the program which dotnet run starts
    private const int FoldersUp = 4; // of bin/Release/net10.0, with or without a runtime's name

    /// <summary>Of this process.</summary>
    public static string Here() =>
        Of(Environment.ProcessPath ?? Command, AppContext.BaseDirectory, Environment.CurrentDirectory,
            (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator));

    /// <summary>Of any process.</summary>
    /// <param name="program">Its executable.</param>
    /// <param name="folder">The folder of its assemblies.</param>
    /// <param name="current">The current folder.</param>
    /// <param name="path">The folders in which a shell looks for programs.</param>
    public static string Of(string program, string folder, string current, IReadOnlyList<string> path)
    {
        string name = Path.GetFileNameWithoutExtension(program);
        if (Path.GetFileName(program) is Project or Project + ".exe" && ProjectAbove(folder) is { } project)
        {
            string configuration = folder.Split(Path.DirectorySeparatorChar).Contains("Release") ? " -c Release" : "";
            string where = Path.GetRelativePath(current, project) == "." ? "" : $" --project {Shown(project, current)}";
            return $"{Host} run{configuration}{where} --";
        }

        if (name == Host) return $"{Host} {Shown(Path.Combine(folder, Project + ".dll"), current)}";
        string? found = path.Where(Path.IsPathRooted).Select(f => Path.Combine(f, Path.GetFileName(program))).FirstOrDefault(File.Exists);
        if (found is not null && AtomicFile.IsSame(found, program))
        {
            return CommandLine.Quote(Path.GetFileName(program) == $"{name}.exe" ? name : Path.GetFileName(program));
        }

        string shown = Shown(program, current);
        return shown.Contains(Path.DirectorySeparatorChar) ? shown : $".{Path.DirectorySeparatorChar}{shown}";
    }

    // As a word of a command line: from the current folder where it is below that, which is shorter.
    private static string Shown(string file, string current)
    {
        string relative = Path.GetRelativePath(current, file);
        return CommandLine.Quote(relative.StartsWith("..", StringComparison.Ordinal) ? Path.TrimEndingDirectorySeparator(file) : relative);
    }

    private static string? ProjectAbove(string folder)
    {
        string? above = Path.TrimEndingDirectorySeparator(folder);
        for (int i = 0; i < FoldersUp && above is not null; i++)
        {
            above = Path.GetDirectoryName(above);
            if (above is not null && File.Exists(Path.Combine(above, Project + ".csproj"))) return above;
        }

        return null;
    }
}
