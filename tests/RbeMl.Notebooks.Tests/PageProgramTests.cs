using System.Text.RegularExpressions;
using RbeMl.Notebooks.Tests.Documents;
using RbeMl.Notebooks.Tests.Running;

namespace RbeMl.Notebooks.Tests;

/// <summary>Every C# program that a page shows runs as it is written there.</summary>
public sealed partial class PageProgramTests
{
    private const string Language = "csharp";

    /// <summary>The page of each program, which of its programs it is, what it prints, and a file that it writes.</summary>
    public static TheoryData<string, int, string, string?> Programs() => new()
    {
        { "README.md", 0, "^1 [0-9.]+\n(.*\n)*200 [0-9.]+\n.*the mat.*\n$", "cat.rbe" },
        { "README.md", 1, "^warm\ncold\n$", "weather.zip" },
        { "src/RbeMl.MLNet/README.md", 0, "^64\n64\n$", null },
        { "src/RbeMl.Mpi/README.md", 0, "^[0-9a-f]{32}\n$", null },
        { "src/RbeMl/Codec/README.md", 0, "^(?:[0-9.]+ bits a weight, error 0\\.[0-9]+, at least 0\\.[0-9]+ on .*\n){3}$", null },
        { "src/RbeMl/Codec/README.md", 1, "^[34]\\.[0-9]+ bits a weight, output error [0-9.]+\n$", null },
        { "src/RbeMl/README.md", 0, "^$", null },
    };

    [Theory]
    [MemberData(nameof(Programs))]
    public async Task A_program_runs(string page, int index, string printed, string? file)
    {
        string program = ProgramsOf(page).ElementAt(index).Text;
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync(References() + AsCell(program));
        IReadOnlyList<NotebookOutput> outputs = NotebookDocument.Load(notebook.FilePath).Cells[1].Outputs;
        Assert.All(outputs, output => Assert.Equal((OutputKind.Stream, "stdout"), (output.Kind, output.Name)));
        Assert.Matches(printed, string.Concat(outputs.Select(output => output.Data[NotebookOutput.Plain])));
        if (file is not null) Assert.True(File.Exists(Path.Combine(notebook.Folder, file)));
    }

    // Its program needs newer assemblies than the kernel's process has: the project's own tests run it.
    private const string RunElsewhere = "src/RbeMl.Extensions.AI/README.md";

    [Fact]
    public void Every_program_is_run() => Assert.Equal(
        Page.All.Where(page => page != RunElsewhere).SelectMany(page => ProgramsOf(page).Select((_, i) => (page, i))),
        Programs().Select(row => ((string)row[0]!, (int)row[1]!)));

    /// <summary>A block of C# under another name would not be run.</summary>
    [Fact]
    public void Languages_are_known() => Assert.All(
        Page.All.SelectMany(Page.Blocks), block => Assert.True(block.Language is Language or "" or "text" or "hexdump", $"{block.Page}: ```{block.Language}"));

    private static IEnumerable<CodeBlock> ProgramsOf(string page) => Page.Blocks(page).Where(block => block.Language == Language);

    [GeneratedRegex("""^using [A-Za-z.]+;$""")]
    private static partial Regex Import();

    // What a program declares with using is disposed at its end; a cell has no end, so that needs a block.
    private static string AsCell(string program)
    {
        string[] lines = program.Split('\n');
        int imports = Array.FindLastIndex(lines, Import().IsMatch) + 1;
        return string.Join('\n', [.. lines[..imports], "{", .. lines[imports..], "}"]);
    }

    // What a project that references RbeMl.MLNet and RbeMl.Mpi has.
    private static string References()
    {
        string[] projects = ["RbeMl", "RbeMl.MLNet", "RbeMl.Mpi"], packages = ["Microsoft.ML", "Microsoft.ML.Tokenizers", "System.IO.Hashing"];
        string notebooks = Path.Combine(Page.Root, "notebooks");
        return string.Concat(projects.Select(p => $"#r \"{Path.GetFullPath(NotebookReferences.PathOf(p), notebooks)}\"\n")
            .Concat(packages.Select(p => $"#r \"nuget: {p}, {NotebookReferences.Versions[p]}\"\n")));
    }
}
