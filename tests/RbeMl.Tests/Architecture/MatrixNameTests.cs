using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace RbeMl.Tests.Architecture;

/// <summary>The six matrices of a block are named in one place, and where files call them otherwise.</summary>
public sealed class MatrixNameTests
{
    [Fact]
    public void Names_of_matrices_stand_in_the_layout_and_in_mappings_of_files()
    {
        IEnumerable<string> found = SourceTree.Instance.Trees
            .Where(tree => !tree.FilePath.StartsWith("src/RbeMl/Files/", StringComparison.Ordinal) && Path.GetFileName(tree.FilePath) != "BlockLayout.cs")
            .Where(tree => tree.GetRoot().DescendantTokens().Any(token => token.IsKind(SyntaxKind.StringLiteralToken) && IsName(token.ValueText)))
            .Select(tree => tree.FilePath);
        Exceptions.Check("Names such as attention.query stand in BlockLayout and in the mappings of files only.", found);
    }

    private static bool IsName(string text) =>
        text.StartsWith("attention.", StringComparison.Ordinal) || text.StartsWith("feedforward.", StringComparison.Ordinal);
}
