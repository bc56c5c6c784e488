using RbeMl.Notebooks.Tests.Documents;
using RbeMl.Notebooks.Tests.Running;

namespace RbeMl.Notebooks.Tests;

/// <summary>Every program that README.md shows runs as it is written there.</summary>
public sealed class ReadmeTests
{
    private const string Start = "```csharp", End = "```";

    /// <summary>The section of each program, which of its programs it is, what it prints, and a file that it writes.</summary>
    public static TheoryData<string, int, string, string?> Programs() => new()
    {
        { "In code", 0, "^$", null },
        { "In code", 1, "^1 [0-9.]+\n(.*\n)*200 [0-9.]+\n.*the mat.*\n$", "cat.rbe" },
        { "In code", 2, "^[34]\\.[0-9]+ bits a weight, output error [0-9.]+\n$", null },
        { "In an ML.NET pipeline", 0, "^warm\ncold\n$", "weather.zip" },
    };

    [Theory]
    [MemberData(nameof(Programs))]
    public async Task A_program_runs(string section, int index, string printed, string? file)
    {
        (string Section, string Text) program = Read().Where(p => p.Section == section).ElementAt(index);
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync(References() + AsCell(program.Text));
        IReadOnlyList<NotebookOutput> outputs = NotebookDocument.Load(notebook.FilePath).Cells[1].Outputs;
        Assert.All(outputs, output => Assert.Equal((OutputKind.Stream, "stdout"), (output.Kind, output.Name)));
        Assert.Matches(printed, string.Concat(outputs.Select(output => output.Data[NotebookOutput.Plain])));
        if (file is not null) Assert.True(File.Exists(Path.Combine(notebook.Folder, file)));
    }

    [Fact]
    public void Every_program_is_run() => Assert.Equal(
        Programs().Select(row => ((string)row[0]!, (int)row[1]!)),
        Read().Select((program, i) => (program.Section, Read().Take(i).Count(earlier => earlier.Section == program.Section))));

    private static List<(string Section, string Text)> Read()
    {
        List<(string, string)> programs = [];
        List<string>? program = null;
        string section = "";
        foreach (string line in File.ReadAllLines(Path.Combine(NotebookTests.Root, "README.md")))
        {
            if (program is not null && line == End)
            {
                programs.Add((section, string.Join('\n', program)));
                program = null;
            }
            else if (program is not null)
            {
                program.Add(line);
            }
            else if (line == Start)
            {
                program = [];
            }
            else if (line.StartsWith("## ", StringComparison.Ordinal))
            {
                section = line[3..];
            }
        }

        return programs;
    }

    // What a program declares with using is disposed at its end; a cell has no end, so that needs a block.
    private static string AsCell(string program)
    {
        string[] lines = program.Split('\n');
        int imports = Array.FindLastIndex(lines, line => line.StartsWith("using ", StringComparison.Ordinal) && line.EndsWith(';') && !line.Contains('=', StringComparison.Ordinal) && !line.Contains('(', StringComparison.Ordinal)) + 1;
        return string.Join('\n', [.. lines[..imports], "{", .. lines[imports..], "}"]);
    }

    // What a project that references RbeMl.MLNet has.
    private static string References()
    {
        string[] projects = ["RbeMl", "RbeMl.MLNet"], packages = ["Microsoft.ML", "Microsoft.ML.Tokenizers", "System.IO.Hashing"];
        string notebooks = Path.Combine(NotebookTests.Root, "notebooks");
        return string.Concat(projects.Select(p => $"#r \"{Path.GetFullPath(NotebookReferences.PathOf(p), notebooks)}\"\n")
            .Concat(packages.Select(p => $"#r \"nuget: {p}, {NotebookReferences.Versions[p]}\"\n")));
    }
}
