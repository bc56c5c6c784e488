using Microsoft.DotNet.Interactive;
using Microsoft.DotNet.Interactive.Commands;
using Microsoft.DotNet.Interactive.CSharp;
using Microsoft.DotNet.Interactive.Events;
using Microsoft.DotNet.Interactive.PackageManagement;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests.Running;

/// <summary>
/// Runs the code cells of a notebook from top to bottom in the C# kernel of Polyglot Notebooks, so that a cell sees what it sees there: the
/// kernel's imports, its functions, its packages. The working folder is the notebook's. One notebook at a time: the working folder belongs to the process.
/// </summary>
public static class NotebookRunner
{
    /// <summary>Runs a notebook.</summary>
    /// <param name="notebook">It is not changed.</param>
    /// <param name="limit">Time after which the run counts as failed.</param>
    /// <returns>The outputs of each code cell.</returns>
    /// <exception cref="NotebookException">A cell does not compile, throws, refers to something unknown, or takes too long.</exception>
    public static async Task<IReadOnlyList<IReadOnlyList<NotebookOutput>>> RunAsync(NotebookDocument notebook, TimeSpan limit)
    {
        string folder = Environment.CurrentDirectory;
        Environment.CurrentDirectory = Path.GetDirectoryName(notebook.FilePath)!;
        using CancellationTokenSource late = new(limit);
        using CompositeKernel kernel = Start();
        try
        {
            List<IReadOnlyList<NotebookOutput>> outputs = [];
            foreach (NotebookCell cell in notebook.Cells.Where(c => c.IsCode)) outputs.Add(await RunAsync(notebook, cell, kernel, limit, late.Token));
            return outputs;
        }
        finally
        {
            Environment.CurrentDirectory = folder;
        }
    }

    private static CompositeKernel Start()
    {
        CSharpKernel csharp = new CSharpKernel().UseKernelHelpers();
        csharp.UseNugetDirective(
            (kernel, packages) =>
            {
                kernel.AddAssemblyReferences(packages.SelectMany(p => p.AssemblyPaths));
                return Task.CompletedTask;
            },
            false);
        return new CompositeKernel { csharp };
    }

    private static async Task<IReadOnlyList<NotebookOutput>> RunAsync(
        NotebookDocument notebook, NotebookCell cell, CompositeKernel kernel, TimeSpan limit, CancellationToken late)
    {
        KernelCommandResult result;
        try
        {
            result = await kernel.SendAsync(new SubmitCode(cell.Source), late).WaitAsync(late);
        }
        catch (OperationCanceledException inner)
        {
            throw new NotebookException(notebook.FilePath, cell.Place, $"was still running when the notebook's {limit.TotalSeconds:0} s were over.", inner);
        }

        if (result.Events.OfType<CommandFailed>().FirstOrDefault() is { } failed)
        {
            throw new NotebookException(notebook.FilePath, cell.Place, failed.Message, failed.Exception);
        }

        if (result.Events.OfType<DisplayedValueUpdated>().Any(IsOurs))
        {
            throw new NotebookException(notebook.FilePath, cell.Place, "updates what it displayed. Display a value once, when it is whole.");
        }

        return Outputs(result.Events.OfType<DisplayEvent>().Where(IsOurs));
    }

    // What a package's restore shows depends on the machine.
    private static bool IsOurs(DisplayEvent shown) => shown.Value is not InstallPackagesMessage;

    // Text of one stream that follows itself is one output.
    private static List<NotebookOutput> Outputs(IEnumerable<DisplayEvent> events)
    {
        List<NotebookOutput> outputs = [];
        foreach (DisplayEvent shown in events)
        {
            if (Stream(shown) is { } name) AddText(outputs, name, shown.FormattedValues.Single().Value);
            else outputs.Add(Value(shown, shown is ReturnValueProduced ? OutputKind.ExecuteResult : OutputKind.DisplayData));
        }

        return outputs;
    }

    private static string? Stream(DisplayEvent shown) => shown switch
    {
        StandardOutputValueProduced => "stdout",
        StandardErrorValueProduced => "stderr",
        _ => null,
    };

    private static void AddText(List<NotebookOutput> outputs, string name, string text)
    {
        text = text.ReplaceLineEndings("\n"); // the same file on every system
        if (outputs is [.., { Kind: OutputKind.Stream } last] && last.Name == name) outputs[^1] =
            NotebookOutput.Stream(name, last.Data[NotebookOutput.Plain] + text);
        else outputs.Add(NotebookOutput.Stream(name, text));
    }

    private static NotebookOutput Value(DisplayEvent shown, OutputKind kind) =>
        new(kind, "", shown.FormattedValues.ToDictionary(f => f.MimeType, f => f.Value.ReplaceLineEndings("\n")));
}
