using System.Text.Json.Nodes;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests;

/// <summary>What cells show in the kernel is kept, in order.</summary>
public sealed class RunnerTests
{
    [Fact]
    public async Task CellsContinueEachOtherAndShowInOrder()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync(
            "int x = 40;\nConsole.Write(\"a\");\nConsole.WriteLine(1.5);\ndisplay(HTML(\"<b>bold</b>\"));\nConsole.WriteLine(\"after\");",
            "x + 2.5",
            "await Task.Delay(1);\nConsole.Error.WriteLine(\"late\");");

        IReadOnlyList<NotebookCell> cells = NotebookDocument.Load(notebook.FilePath).Cells;
        Assert.Equal([1, 2, 3], cells.Skip(1).Select(c => (int)c.Json["execution_count"]!));
        Assert.Equal([(OutputKind.Stream, "a1.5\n"), (OutputKind.DisplayData, "<b>bold</b>"), (OutputKind.Stream, "after\n")],
            cells[1].Outputs.Select(o => (o.Kind, o.Data.Values.Single())));
        Assert.True(cells[1].Outputs[1].Data.ContainsKey("text/html"));
        NotebookOutput value = Assert.Single(cells[2].Outputs);
        Assert.Equal(OutputKind.ExecuteResult, value.Kind);
        Assert.Contains("<pre>42.5</pre>", value.Data["text/html"], StringComparison.Ordinal);
        Assert.Equal("stderr", Assert.Single(cells[3].Outputs).Name);
        Assert.Empty(await notebook.CheckAsync());
    }

    [Fact]
    public async Task TheWorkingFolderIsTheNotebooksWhileItRuns()
    {
        string folder = Environment.CurrentDirectory;
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync("Console.WriteLine(System.IO.File.Exists(\"small.ipynb\"));");

        Assert.Equal("True\n", NotebookDocument.Load(notebook.FilePath).Cells[1].Outputs[0].Data["text/plain"]);
        Assert.Equal(folder, Environment.CurrentDirectory);
    }

    [Fact]
    public async Task WritingTwiceChangesNothingAndTidiesTheLayout()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync("Console.WriteLine(\"<≈é>\");\nint y = 1;");
        string first = File.ReadAllText(notebook.FilePath);
        await NotebookCheck.WriteAsync(notebook.FilePath);
        Assert.Equal(first, File.ReadAllText(notebook.FilePath));
        Assert.EndsWith("}\n", first, StringComparison.Ordinal);
        Assert.Contains("<≈é>\\n", first, StringComparison.Ordinal);
        Assert.DoesNotContain('\r', first);

        notebook.Edit(json => json["cells"]![1]!["source"] = "Console.WriteLine(\"<≈é>\");\nint y = 1;");
        Assert.Contains("layout", Assert.Single(await notebook.CheckAsync()), StringComparison.Ordinal);
        await NotebookCheck.WriteAsync(notebook.FilePath);
        Assert.Equal(first, File.ReadAllText(notebook.FilePath));
        Assert.Equal([notebook.FilePath], Directory.GetFiles(notebook.Folder));
    }

    [Fact]
    public async Task AFailedRunLeavesTheFileAsItWas()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync("Console.WriteLine(1);", "Console.WriteLine(2);");
        notebook.Edit(json => json["cells"]![2]!["source"] = new JsonArray("throw new Exception(\"no\");"));
        string before = File.ReadAllText(notebook.FilePath);
        await Assert.ThrowsAsync<NotebookException>(() => NotebookCheck.WriteAsync(notebook.FilePath));
        Assert.Equal(before, File.ReadAllText(notebook.FilePath));
    }
}
