using System.Text.RegularExpressions;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests;

/// <summary>notebooks/few-labels.cs is a program of the code that its notebook, which is run, shows step by step.</summary>
public sealed partial class FewLabelsTests
{
    // A program of one file imports it without being told, the kernel does not.
    private const string ImportOfKernel = "using System.IO;";

    private static string Folder => Path.Combine(NotebookTests.Root, "notebooks");

    [GeneratedRegex(@"^// [0-9]\. .*$", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex(@"^(#|//).*$", RegexOptions.Multiline)]
    private static partial Regex Preamble();

    [Fact]
    public void ProgramAndNotebookAreOneCode()
    {
        string program = File.ReadAllText(Path.Combine(Folder, "few-labels.cs")).ReplaceLineEndings("\n");
        int types = program.IndexOf("internal sealed class", StringComparison.Ordinal);
        string[] parts = Heading().Split(program[..types]);
        parts[0] = Preamble().Replace(parts[0], "");
        NotebookCell[] cells = [.. NotebookDocument.Load(Path.Combine(Folder, "03-few-labels.ipynb")).Cells.Where(cell => cell.IsCode)];
        Assert.Equal(parts.Length, cells.Length);
        string shown = "";
        for (int i = 0; i < parts.Length; i++)
        {
            string[] lines = [.. Preamble().Replace(cells[i].Source.ReplaceLineEndings("\n"), "").Split('\n').Where(line => line != ImportOfKernel)];
            string source = string.Join('\n', lines);
            if (source.StartsWith("internal sealed class", StringComparison.Ordinal))
            {
                shown = program[types..].Trim();
                Assert.StartsWith(shown, source, StringComparison.Ordinal);
                source = source[shown.Length..];
            }

            Assert.Equal(parts[i].Trim(), source.Trim());
        }

        Assert.NotEmpty(shown);
    }

    /// <summary>What the program references is what it needs, in the places where a clone has it.</summary>
    [Fact]
    public void ProjectsOfTheProgramAreThere() => Assert.All(
        File.ReadLines(Path.Combine(Folder, "few-labels.cs")).Where(line => line.StartsWith("#:project ", StringComparison.Ordinal)),
        line => Assert.True(File.Exists(Path.Combine(Folder, line["#:project ".Length..])), line));
}
