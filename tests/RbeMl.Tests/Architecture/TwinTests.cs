using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace RbeMl.Tests.Architecture;

/// <summary>Each kernel has a readable twin, and a test that holds one against the other.</summary>
public sealed class TwinTests
{
    private static readonly string[] s_names = ["Kernel", "BlockTransform", "Elementwise", "Gemm"];

    [Fact]
    public void A_kernel_has_a_twin_and_a_test_that_names_both()
    {
        SourceTree sources = SourceTree.Instance;
        string[] types =
            [.. sources.Trees.SelectMany(tree => tree.GetRoot().DescendantNodes().OfType<TypeDeclarationSyntax>()).Select(type => type.Identifier.Text)];
        string[] tests = [.. sources.Files("tests/RbeMl.Tests").Select(path => File.ReadAllText(Path.Combine(sources.Root, path)))];
        List<string> found = [];
        foreach (string kernel in types.Where(IsKernel).Distinct())
        {
            string twin = "Reference" + (kernel.EndsWith("Kernel", StringComparison.Ordinal) ? kernel[..^"Kernel".Length] : kernel);
            if (!types.Contains(twin)) found.Add($"{kernel} has no {twin}");
            else if (!tests.Any(text => text.Contains(kernel + ".", StringComparison.Ordinal)
                && text.Contains(twin + ".", StringComparison.Ordinal))) found.Add($"no test names {kernel} and {twin}");
        }

        Exceptions.Check("Each kernel has a reference twin, and a test that names both.", found, Known);
    }

    private static bool IsKernel(string type) =>
        !type.StartsWith("Reference", StringComparison.Ordinal)
            && s_names.Any(name => name == "Kernel" ? type.EndsWith(name, StringComparison.Ordinal) : type == name);

    private static (string What, string Why)[] Known =>
    [
        ("AverageKernel has no ReferenceAverage", "its twin is ReferenceOptimizer.Average, held by OptimizerKernelTests"),
        ("LionKernel has no ReferenceLion", "its twin is ReferenceOptimizer.Lion, held by OptimizerKernelTests"),
        ("MomentumKernel has no ReferenceMomentum", "its twin is ReferenceOptimizer.Nesterov, held by OptimizerKernelTests"),
        ("SgdKernel has no ReferenceSgd", "its twin is ReferenceOptimizer.Sgd, held by OptimizerKernelTests"),
    ];
}
