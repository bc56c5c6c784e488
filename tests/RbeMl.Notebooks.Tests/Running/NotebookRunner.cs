using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.Scripting;
using Microsoft.CodeAnalysis.Scripting.Hosting;
using RbeMl.Notebooks.Tests.Documents;

namespace RbeMl.Notebooks.Tests.Running;

/// <summary>
/// Runs the code cells of a notebook from top to bottom by Roslyn scripting, which Polyglot's C# kernel is built on: each cell continues the one before. The working folder
/// is the notebook's, as in the kernel. One notebook at a time: console and working folder belong to the process.
/// </summary>
public static partial class NotebookRunner
{
    // Those that Polyglot's C# kernel starts with.
    private static readonly string[] s_usings = ["System", "System.IO", "System.Text", "System.Collections", "System.Collections.Generic", "System.Linq", "System.Threading.Tasks"];
    private static readonly Lazy<MetadataReference[]> s_framework = new(FrameworkReferences);

    [GeneratedRegex(@"^[ \t]*#(!|i[ \t])[^\r\n]*", RegexOptions.Multiline)]
    private static partial Regex KernelCommand();

    /// <summary>Runs a notebook.</summary>
    /// <param name="notebook">It is not changed.</param>
    /// <param name="limit">Time after which the run counts as failed.</param>
    /// <returns>The outputs of each code cell.</returns>
    /// <exception cref="NotebookException">A cell does not compile, throws, refers to something unknown, or takes too long.</exception>
    public static async Task<IReadOnlyList<IReadOnlyList<NotebookOutput>>> RunAsync(NotebookDocument notebook, TimeSpan limit)
    {
        string place = "file";
        List<IReadOnlyList<NotebookOutput>> outputs = [];
        Task run = Task.Run(async () =>
        {
            using InteractiveAssemblyLoader loader = new();
            Session session = new(notebook.FilePath, loader);
            foreach (NotebookCell cell in notebook.Cells.Where(c => c.IsCode))
            {
                place = cell.Place;
                outputs.Add(await session.RunAsync(cell));
            }
        });

        string folder = Environment.CurrentDirectory;
        (TextWriter console, TextWriter error) = (Console.Out, Console.Error);
        try
        {
            Environment.CurrentDirectory = Path.GetDirectoryName(notebook.FilePath)!;
            await run.WaitAsync(limit);
            return outputs;
        }
        catch (TimeoutException inner)
        {
            throw new NotebookException(notebook.FilePath, place, $"was still running when the notebook's {limit.TotalSeconds:0} s were over.", inner);
        }
        finally
        {
            Console.SetOut(console);
            Console.SetError(error);
            Environment.CurrentDirectory = folder;
        }
    }

    private static MetadataReference[] FrameworkReferences()
    {
        string folder = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
        string[] trusted = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator);
        return [.. trusted.Where(p => Path.GetDirectoryName(p) == folder).Select(p => MetadataReference.CreateFromFile(p))];
    }

    /// <summary>The state that cells hand on.</summary>
    private sealed class Session(string path, InteractiveAssemblyLoader loader)
    {
        private readonly NotebookGlobals _globals = new();
        private readonly NotebookReferences _references = new(Path.GetDirectoryName(path)!);
        private readonly HashSet<string> _loaded = [];
        private ScriptState<object>? _state;
        private ScriptOptions _options = ScriptOptions.Default.WithReferences(s_framework.Value).WithImports(s_usings).WithFilePath(path).WithFileEncoding(Encoding.UTF8)
            .WithLanguageVersion(LanguageVersion.Latest).WithOptimizationLevel(OptimizationLevel.Release).WithAllowUnsafe(true);

        public async Task<IReadOnlyList<NotebookOutput>> RunAsync(NotebookCell cell)
        {
            CellOutputs outputs = _globals.Outputs = new CellOutputs();
            Console.SetOut(outputs.Out);
            Console.SetError(outputs.Error);
            string source;
            try
            {
                source = Prepare(cell.Source);
            }
            catch (FormatException error)
            {
                throw new NotebookException(path, cell.Place, error.Message, error);
            }

            try
            {
                _state = _state is null
                    ? await CSharpScript.Create<object>(source, _options, typeof(NotebookGlobals), loader).RunAsync(_globals)
                    : await _state.ContinueWithAsync(source, _options);
                return outputs.Finish(_state.ReturnValue);
            }
            catch (CompilationErrorException error)
            {
                throw new NotebookException(path, cell.Place, $"does not compile: {string.Join("; ", error.Diagnostics.Select(Describe))}", error);
            }
            catch (Exception error)
            {
                throw new NotebookException(path, cell.Place, $"failed with {error.GetType().Name}: {error.Message}", error);
            }
        }

        private string Prepare(string source)
        {
            if (KernelCommand().Match(source) is { Success: true } command) throw new FormatException($"'{command.Value.Trim()}' is a command of the kernel that a run without it does not know.");
            string rest = _references.Take(source);
            foreach (string name in _references.Assemblies.Where(_loaded.Add))
            {
                Assembly assembly = Assembly.Load(name);
                loader.RegisterDependency(assembly); // the one that is loaded already, not a second copy
                _options = _options.AddReferences(assembly);
            }

            return rest;
        }

        private static string Describe(Diagnostic diagnostic) =>
            $"line {diagnostic.Location.GetLineSpan().StartLinePosition.Line + 1}: {diagnostic.Id} {diagnostic.GetMessage(System.Globalization.CultureInfo.InvariantCulture)}";
    }
}
