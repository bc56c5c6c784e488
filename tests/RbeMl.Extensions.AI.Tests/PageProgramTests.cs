using System.Reflection;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using RbeMl.Extensions.AI.Tests.Support;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Notebooks.Tests.Documents;
using RbeMl.Tests.Files;

namespace RbeMl.Extensions.AI.Tests;

/// <summary>The programs of the package's page run as they are written there.</summary>
public sealed class PageProgramTests
{
    [Fact]
    public void The_programs_run()
    {
        using TemporaryFolder folder = new();
        using ModelBundle bundle = SmallChat.Create();
        ModelFile.Save(folder.File("cat.rbe"), bundle.Model, bundle.Tokenizer);
        SmallEncoder.Save(folder.File("encoder.rbe"));
        string[] printed =
        [
            .. Page.Blocks("src/RbeMl.Extensions.AI/README.md").Where(block => block.Language == "csharp")
                .Select(block => Run(Compile(block.Text), folder.Path)),
        ];
        Assert.Equal(3, printed.Length);
        Assert.Equal(SmallChat.Expected(bundle, "the cat", new GenerationOptions { MaxTokens = 24, Temperature = 0 }), printed[0]);
        Assert.Equal("3", printed[2].Trim());
        Assert.EndsWith(".", Assert.Single(printed[1].Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
    }

    private static Assembly Compile(string program)
    {
        string[] usual = ["System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Threading", "System.Threading.Tasks"];
        IEnumerable<SyntaxTree> trees = new[] { string.Concat(usual.Select(name => $"global using {name};\n")), program }
            .Select(text => CSharpSyntaxTree.ParseText(text, CSharpParseOptions.Default.WithLanguageVersion(LanguageVersion.CSharp14)));
        IEnumerable<MetadataReference> references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(path => !path.EndsWith("Tests.dll", StringComparison.Ordinal)).Select(path => MetadataReference.CreateFromFile(path));
        using MemoryStream assembly = new();
        CSharpCompilationOptions options = new(OutputKind.ConsoleApplication, nullableContextOptions: NullableContextOptions.Enable,
            specificDiagnosticOptions: [KeyValuePair.Create("CS1701", ReportDiagnostic.Suppress)]); // newer references, as projects have it
        IEnumerable<Diagnostic> found = CSharpCompilation.Create("page", trees, references, options).Emit(assembly).Diagnostics;
        Assert.DoesNotContain(found, diagnostic => diagnostic.Severity >= DiagnosticSeverity.Warning);
        return Assembly.Load(assembly.ToArray());
    }

    // No other test of this assembly prints or has paths from the current folder.
    private static string Run(Assembly program, string folder)
    {
        (TextWriter console, string current) = (Console.Out, Environment.CurrentDirectory);
        using StringWriter printed = new();
        try
        {
            Console.SetOut(printed);
            Environment.CurrentDirectory = folder;
            program.EntryPoint!.Invoke(null, program.EntryPoint.GetParameters().Length == 0 ? null : [Array.Empty<string>()]);
        }
        finally
        {
            Console.SetOut(console);
            Environment.CurrentDirectory = current;
        }

        return printed.ToString();
    }
}
