using RbeMl.Notebooks.Tests.Documents;

[assembly: CollectionBehavior(DisableTestParallelization = true)] // console and working folder belong to the process

namespace RbeMl.Notebooks.Tests;

/// <summary>Every notebook of the repository runs, and shows in its file what running shows.</summary>
public sealed class NotebookTests
{
    public static TheoryData<string> Notebooks =>
        [.. Directory.EnumerateFiles(Folder, "*.ipynb").Select(p => Path.GetFileName(p)).Order(StringComparer.Ordinal)];

    /// <summary>The repository's folder.</summary>
    internal static string Root => Page.Root;

    private static string Folder => Path.Combine(Root, "notebooks");

    [Theory]
    [MemberData(nameof(Notebooks))]
    public async Task RunsAndShowsWhatIsCommitted(string notebook)
    {
        string path = Path.Combine(Folder, notebook);
        if (Environment.GetEnvironmentVariable(NotebookCheck.WriteVariable) == "1") await NotebookCheck.WriteAsync(path);
        IReadOnlyList<string> problems = await NotebookCheck.CheckAsync(path);
        Assert.True(problems.Count == 0, $"{notebook}:\n{string.Join("\n", problems)}\nIf what running gives is right, write it: see notebooks/README.md.");
    }
}
