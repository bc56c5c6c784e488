using RbeMl.Notebooks.Tests.Documents;
using RbeMl.Notebooks.Tests.Running;

namespace RbeMl.Notebooks.Tests;

/// <summary>Checks notebook files, and fills their outputs in.</summary>
public static class NotebookCheck
{
    /// <summary>Set to 1, the tests write the outputs of notebooks that run instead of comparing them.</summary>
    public const string WriteVariable = "RBEML_WRITE_NOTEBOOKS";

    /// <summary>Far more than a notebook should take, for slow and busy machines.</summary>
    public static TimeSpan Limit { get; } = TimeSpan.FromMinutes(10);

    /// <summary>Everything that is wrong with a notebook: its format, its outputs, and what differs when it is run.</summary>
    /// <exception cref="NotebookException">It cannot be read or run.</exception>
    public static async Task<IReadOnlyList<string>> CheckAsync(string path)
    {
        NotebookDocument notebook = NotebookDocument.Load(path);
        List<string> problems = NotebookFormat.Check(notebook);
        if (problems.Count > 0) return problems;
        problems = NotebookFormat.CheckOutputs(notebook);
        IReadOnlyList<IReadOnlyList<NotebookOutput>> ran = await NotebookRunner.RunAsync(notebook, Limit);
        foreach ((NotebookCell cell, IReadOnlyList<NotebookOutput> outputs) in notebook.Cells.Where(c => c.IsCode).Zip(ran))
        {
            if (OutputComparer.Difference(cell.Outputs, outputs) is { } difference) problems.Add($"{cell.Place}: {difference}.");
        }

        return problems;
    }

    /// <summary>Runs a notebook and writes its outputs; the file stays as it was when a cell fails.</summary>
    /// <exception cref="NotebookException">It cannot be read or run.</exception>
    public static async Task WriteAsync(string path)
    {
        NotebookDocument notebook = NotebookDocument.Load(path);
        IReadOnlyList<IReadOnlyList<NotebookOutput>> ran = await NotebookRunner.RunAsync(notebook, Limit);
        foreach ((NotebookCell cell, IReadOnlyList<NotebookOutput> outputs) in notebook.Cells.Where(c => c.IsCode).Zip(ran)) cell.SetOutputs(outputs);
        notebook.Save();
    }
}
