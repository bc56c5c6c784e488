using System.Text.Json.Nodes;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests;

/// <summary>The runner gives cells what Polyglot's kernel gives them, and keeps what they show.</summary>
public sealed class RunnerTests
{
    [Fact]
    public async Task CellsContinueEachOtherAndShowInOrder()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync(
            "int x = 40;\nConsole.Write(\"a\");\nConsole.WriteLine(1.5);\ndisplay(HTML(\"<b>bold</b>\"));\nConsole.WriteLine(\"after\");",
            "x + 2.5",
            "await Task.Delay(1);\nvar shown = display(\"before\");\nshown.Update(new List<double> { 1.5, 2 }.Where(v => v > 0));");

        IReadOnlyList<NotebookCell> cells = NotebookDocument.Load(notebook.FilePath).Cells;
        Assert.Equal([1, 2, 3], cells.Skip(1).Select(c => (int)c.Json["execution_count"]!));
        Assert.Equal([(OutputKind.Stream, "a1.5\n"), (OutputKind.DisplayData, "<b>bold</b>"), (OutputKind.Stream, "after\n")], cells[1].Outputs.Select(o => (o.Kind, o.Data.Values.Single())));
        Assert.True(cells[1].Outputs[1].Data.ContainsKey("text/html"));
        NotebookOutput value = Assert.Single(cells[2].Outputs);
        Assert.Equal((OutputKind.ExecuteResult, "42.5"), (value.Kind, value.Data["text/plain"]));
        Assert.Equal("[ 1.5, 2 ]", Assert.Single(cells[3].Outputs).Data["text/plain"]);
        Assert.Empty(await notebook.CheckAsync());
    }

    [Fact]
    public async Task TheWorkingFolderIsTheNotebooksAndConsoleComesBack()
    {
        (string folder, TextWriter console) = (Environment.CurrentDirectory, Console.Out);
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync("Console.WriteLine(File.Exists(\"small.ipynb\"));");

        Assert.Equal("True\n", NotebookDocument.Load(notebook.FilePath).Cells[1].Outputs[0].Data["text/plain"]);
        Assert.Equal(folder, Environment.CurrentDirectory);
        Assert.Same(console, Console.Out);
    }

    [Fact]
    public async Task TheRepositorysAssembliesAreTheLoadedOnes()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync(
            "#r \"../src/RbeMl/bin/Release/net10.0/RbeMl.dll\"\n#r \"nuget: System.IO.Hashing, 10.0.14\"\nusing RbeMl.Codec;\n"
            + "Console.WriteLine(RbeCompressor.Compress(new float[64 * 64], 64, 64, new RbeOptions { Format = RbeFormat.Quantized(4) }).TileCount);\n"
            + "AppDomain.CurrentDomain.GetAssemblies().Count(a => a.GetName().Name == \"RbeMl\")");

        Assert.Equal(["1\n", "1"], NotebookDocument.Load(notebook.FilePath).Cells[1].Outputs.Select(o => o.Data["text/plain"]));
    }

    [Fact]
    public async Task MlNetRunsBesideTheRepositorysPackage()
    {
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync(
            "#r \"../src/RbeMl/bin/Release/net10.0/RbeMl.dll\"\n#r \"../src/RbeMl.MLNet/bin/Release/net10.0/RbeMl.MLNet.dll\"\n#r \"nuget: Microsoft.ML, 5.0.1\"\n"
            + "#r \"nuget: Microsoft.ML.Tokenizers, 2.0.1\"\n#r \"nuget: System.IO.Hashing, 10.0.14\"\nusing Microsoft.ML;\nusing Microsoft.ML.Data;\nMLContext ml = new(seed: 1);\nConsole.WriteLine(\"ready\");",
            "class Point { public float X { get; set; } }\nvar data = ml.Data.LoadFromEnumerable(new[] { new Point { X = 0 }, new Point { X = 1 }, new Point { X = 4 } });\n"
            + "var scaled = ml.Transforms.NormalizeMinMax(\"Y\", \"X\").Fit(data).Transform(data);\nstring.Join(\" \", scaled.GetColumn<float>(\"Y\"))");

        Assert.Equal("0 0.25 1", NotebookDocument.Load(notebook.FilePath).Cells[2].Outputs[0].Data["text/plain"]);
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
