using RbeMl.Notebooks.Tests.Documents;
using RbeMl.Notebooks.Tests.Running;

namespace RbeMl.Notebooks.Tests;

/// <summary>The pipeline that README.md shows runs as it is written there.</summary>
public sealed class ReadmeTests
{
    [Fact]
    public async Task TheMlNetPipelineRuns()
    {
        string[] lines = await File.ReadAllLinesAsync(Path.Combine(NotebookTests.Root, "README.md"));
        string[] section = [.. lines.SkipWhile(l => l != "## In an ML.NET pipeline").Skip(1).TakeWhile(l => !l.StartsWith("## ", StringComparison.Ordinal))];
        string[] snippet = [.. section.SkipWhile(l => l != "```csharp").Skip(1).TakeWhile(l => l != "```")];
        Assert.InRange(snippet.Length, 5, 12);
        using TemporaryNotebook notebook = await TemporaryNotebook.RunAsync(References() + string.Join('\n', snippet));
        Assert.Equal("warm\ncold\n", Assert.Single(NotebookDocument.Load(notebook.FilePath).Cells[1].Outputs).Data[NotebookOutput.Plain]);
        Assert.True(File.Exists(Path.Combine(notebook.Folder, "weather.zip")));
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
