using System.Text.Json.Nodes;
using RbeMl.Notebooks.Tests.Documents;
using RbeMl.Notebooks.Tests.Running;

namespace RbeMl.Notebooks.Tests;

/// <summary>Each way in which a notebook can be wrong is found, with the cell named.</summary>
public sealed class FaultTests
{
    [Fact]
    public async Task AStaleOutputIsFound()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync("Console.WriteLine(\"one\");", "Console.WriteLine(\"sum 3\");");
        notebook.Edit(json => json["cells"]![2]!["outputs"]![0]!["text"] = new JsonArray("sum 4\n"));
        string problem = Assert.Single(await notebook.CheckAsync());
        Assert.Contains("cell 3 (code-2)", problem, StringComparison.Ordinal);
        Assert.Contains("sum 4", problem, StringComparison.Ordinal);
        Assert.Contains("sum 3", problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task AChangedSourceIsFound()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync("1 + 1");
        notebook.Edit(json => json["cells"]![1]!["source"] = new JsonArray("1 + 2"));
        Assert.Contains("cell 2 (code-1)", Assert.Single(await notebook.CheckAsync()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task AMissingOutputIsFound()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync("Console.WriteLine(1);");
        notebook.Edit(json => json["cells"]![1]!["outputs"] = new JsonArray());
        IReadOnlyList<string> problems = await notebook.CheckAsync();
        Assert.Contains(problems, p => p.Contains("has no output", StringComparison.Ordinal));
        Assert.Contains(problems, p => p.Contains("running gives 1", StringComparison.Ordinal));
    }

    [Fact]
    public async Task ACellThatShowsNothingIsFound()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync("int x = 1;");
        Assert.Contains("has no output", Assert.Single(await notebook.CheckAsync()), StringComparison.Ordinal);
    }

    [Fact]
    public async Task ANotebookThatWasNeverRunIsFound()
    {
        using TemporaryNotebook notebook = new("Console.WriteLine(1);");
        Assert.Contains(await notebook.CheckAsync(), p => p.Contains("execution_count", StringComparison.Ordinal));
    }

    [Fact]
    public async Task ACommittedErrorIsFound()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync("Console.WriteLine(1);");
        notebook.Edit(json => ((JsonArray)json["cells"]![1]!["outputs"]!).Add(
            new JsonObject { ["ename"] = "Error", ["evalue"] = "failed", ["output_type"] = "error", ["traceback"] = new JsonArray() }));
        Assert.Contains(await notebook.CheckAsync(), p => p.Contains("is an error", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("throw new InvalidOperationException(\"on purpose\");", "InvalidOperationException: on purpose")]
    [InlineData("Console.WriteLine(\n  nothing);", "(2,3): error CS0103")]
    [InlineData("RbeMl.Codec.RbeFormat.Quantized(4)", "CS0103: The name 'RbeMl'")] // not referenced by the notebook
    [InlineData("display(1).Update(2);", "updates what it displayed")]
    [InlineData("Console.WriteLine(File.Exists(\"small.ipynb\"));", "CS0103: The name 'File'")] // the kernel does not import System.IO
    public async Task ACellThatCannotRunIsNamed(string source, string message)
    {
        using TemporaryNotebook notebook = new("Console.WriteLine(1);", source);
        NotebookException error = await Assert.ThrowsAsync<NotebookException>(() => NotebookCheck.WriteAsync(notebook.FilePath));
        Assert.StartsWith("small.ipynb, cell 3 (code-2): ", error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("#r \"nuget: No.Such.Package, 1.0.0\"", "No.Such.Package is none of")]
    [InlineData("#r \"nuget: System.IO.Hashing, 9.0.0\"", "\"nuget: System.IO.Hashing, 10.0.14\"")]
    [InlineData("#r \"nuget: System.IO.Hashing\"", "in version ''")]
    [InlineData("#r \"../src/RbeMl/bin/Debug/net10.0/RbeMl.dll\"", "nor where a build leaves an assembly")]
    [InlineData("#r System.IO.Hashing", "neither")]
    [InlineData("#!pwsh\nls", "'#!pwsh' is a command")]
    [InlineData("#i \"nuget: somewhere\"", "is a command")]
    public async Task AReferenceThatReadersCannotFollowIsNamed(string source, string message)
    {
        using TemporaryNotebook notebook = new("Console.WriteLine(1);", source);
        string problem = Assert.Single(await notebook.CheckAsync());
        Assert.StartsWith("cell 3 (code-2): ", problem, StringComparison.Ordinal);
        Assert.Contains(message, problem, StringComparison.Ordinal);
    }

    [Fact]
    public async Task ACellThatDoesNotEndIsStopped()
    {
        using TemporaryNotebook notebook = new("await Task.Delay(60_000);");
        NotebookException error =
            await Assert.ThrowsAsync<NotebookException>(() => NotebookRunner.RunAsync(NotebookDocument.Load(notebook.FilePath), TimeSpan.FromSeconds(2)));
        Assert.Contains("still running", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "cannot be read as a notebook")]
    [InlineData("[]", "cannot be read as a notebook")]
    [InlineData("{}", "'cells' is missing")]
    [InlineData("{\"cells\":[1]}", "a cell is no object")]
    public async Task WhatIsNoNotebookIsRefused(string text, string message)
    {
        using TemporaryNotebook notebook = new();
        File.WriteAllText(notebook.FilePath, text);
        NotebookException error = await Assert.ThrowsAsync<NotebookException>(notebook.CheckAsync);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }
}
