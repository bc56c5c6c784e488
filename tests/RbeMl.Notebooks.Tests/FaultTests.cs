using System.Text.Json.Nodes;
using RbeMl.Notebooks.Tests.Documents;
using RbeMl.Notebooks.Tests.Running;

namespace RbeMl.Notebooks.Tests;

/// <summary>Each way in which a notebook can be wrong is found, with the cell named.</summary>
public sealed class FaultTests
{
    private const string Own = "#r \"../src/RbeMl/bin/Release/net10.0/RbeMl.dll\"\n#r \"nuget: System.IO.Hashing, 10.0.14\"\n";

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
    [InlineData("Console.WriteLine(\n  nothing);", "line 2: CS0103")]
    [InlineData("RbeMl.Codec.RbeFormat.Quantized(4)", "does not compile: line 1: CS0103 The name 'RbeMl'")] // RbeMl is loaded, but not referenced by the notebook
    [InlineData("#r \"nuget: No.Such.Package, 1.0.0\"", "No.Such.Package is not referenced")]
    [InlineData("#r \"nuget: System.IO.Hashing, 9.0.0\"", "\"nuget: System.IO.Hashing, 10.0.14\"")]
    [InlineData("#r \"nuget: System.IO.Hashing\"", "in version ''")]
    [InlineData("#r \"nuget: RbeMl, 0.0.1\"", "RbeMl is asked for in version '0.0.1'")]
    [InlineData("#r \"../src/RbeMl/bin/Debug/net10.0/RbeMl.dll\"", "not where a build leaves it")]
    [InlineData("#r \"../src/RbeMl/bin/Release/net10.0/Other.dll\"", "no assembly of the repository")]
    [InlineData("#r \"../src/RbeMl/bin/Release/net10.0/RbeMl.dll\"", "needs System.IO.Hashing")]
    [InlineData("#r System.IO.Hashing", "neither")]
    [InlineData("#!pwsh\nls", "command of the kernel")]
    [InlineData("#i \"nuget: somewhere\"", "command of the kernel")]
    public async Task ACellThatCannotRunIsNamed(string source, string message)
    {
        using TemporaryNotebook notebook = new("Console.WriteLine(1);", source);
        NotebookException error = await Assert.ThrowsAsync<NotebookException>(() => NotebookCheck.WriteAsync(notebook.FilePath));
        Assert.StartsWith("small.ipynb, cell 3 (code-2): ", error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OwnPackagesGoByTheRepositorysVersion()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync($"#r \"nuget: RbeMl, {PackageGraph.Instance.Find("RbeMl")!.Version}\"\nRbeMl.Codec.RbeFormat.Quantized(4).Bits");
        Assert.Empty(await notebook.CheckAsync());
    }

    [Fact]
    public async Task ACellThatDoesNotEndIsStopped()
    {
        using TemporaryNotebook notebook = new(Own + "await Task.Delay(60_000);");
        NotebookException error = await Assert.ThrowsAsync<NotebookException>(() => NotebookRunner.RunAsync(NotebookDocument.Load(notebook.FilePath), TimeSpan.FromSeconds(2)));
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
