using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.RegularExpressions;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace RbeMl.Notebooks.Tests;

/// <summary>notebooks/micro.cs is short, needs nothing but the framework, and learns its text.</summary>
public sealed partial class MicroTests
{
    // What a project imports that has implicit usings.
    private const string Usings =
        "global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq;";

    private static string FilePath => Path.Combine(NotebookTests.Root, "notebooks", "micro.cs");

    [GeneratedRegex(@"^step +(?<step>[0-9]+)  loss (?<loss>[0-9]+\.[0-9]{4})$")]
    private static partial Regex StepLine();

    [Fact]
    public void ItFitsOnAFewScreens()
    {
        string[] lines = File.ReadAllLines(FilePath);
        Assert.InRange(lines.Length, 1, 300);
        Assert.All(lines, line => Assert.InRange(line.Length, 0, 140));
        Assert.DoesNotContain(lines, line => line.StartsWith("#:", StringComparison.Ordinal)); // packages and projects of a file
    }

    [Fact]
    public void ItCompilesAloneAndLearns()
    {
        string[] printed = Run(Compile()).ReplaceLineEndings("\n").TrimEnd('\n').Split('\n');
        Match[] steps = [.. printed.Select(line => StepLine().Match(line)).TakeWhile(match => match.Success)];
        double[] losses = [.. steps.Select(match => double.Parse(match.Groups["loss"].Value, CultureInfo.InvariantCulture))];
        Assert.Equal("0,10,20,30,40", string.Join(',', steps.Take(5).Select(match => match.Groups["step"].Value)));
        Assert.True(losses[0] > 3, $"Before any step the letters should be equally likely; the loss is {losses[0]}.");
        Assert.True(losses[^1] < 1, $"The text should be learnt; the last loss is {losses[^1]}.");
        string sample = string.Join('\n', printed.Skip(steps.Length));
        Assert.StartsWith("The ", sample, StringComparison.Ordinal);
        Assert.True(sample.Length > 100, sample);
        Assert.True(Regex.Matches(sample, @"\b(the|is|not|of|waves?|and|tile)\b").Count >= 5, sample);
    }

    // Against the framework alone, with every warning an error.
    private static byte[] Compile()
    {
        SyntaxTree[] trees = [CSharpSyntaxTree.ParseText(Usings), CSharpSyntaxTree.ParseText(File.ReadAllText(FilePath), path: FilePath)];
        IEnumerable<MetadataReference> framework = Directory.EnumerateFiles(RuntimeEnvironment.GetRuntimeDirectory(), "System*.dll")
            .Where(IsManaged).Select(path => MetadataReference.CreateFromFile(path));
        CSharpCompilationOptions options = new(
            OutputKind.ConsoleApplication,
            optimizationLevel: OptimizationLevel.Release,
            warningLevel: 9,
            nullableContextOptions: NullableContextOptions.Enable);
        using MemoryStream assembly = new();
        CSharpCompilation compilation = CSharpCompilation.Create("micro", trees, framework, options);
        Assert.Empty(compilation.Emit(assembly).Diagnostics.Where(d => d.Severity >= DiagnosticSeverity.Warning));
        return assembly.ToArray();
    }

    private static bool IsManaged(string path)
    {
        using FileStream file = File.OpenRead(path);
        using System.Reflection.PortableExecutable.PEReader reader = new(file);
        return reader.HasMetadata;
    }

    private static string Run(byte[] assembly)
    {
        TextWriter console = Console.Out;
        using StringWriter text = new(CultureInfo.InvariantCulture);
        Console.SetOut(text);
        try
        {
            Assembly.Load(assembly).EntryPoint!.Invoke(null, null);
        }
        finally
        {
            Console.SetOut(console);
        }

        return text.ToString();
    }
}
