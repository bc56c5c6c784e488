using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace RbeMl.Tests.Architecture;

/// <summary>Types, files and lines that one can read.</summary>
public sealed class SizeTests
{
    private const int MostFiles = 2, MostLines = 400, MostCharacters = 160;

    [Fact]
    public void A_type_has_at_most_two_files()
    {
        IEnumerable<string> found = SourceTree.Instance.Trees
            .SelectMany(tree => tree.GetRoot().DescendantNodes().OfType<TypeDeclarationSyntax>()
                .Where(type => type.Parent is not TypeDeclarationSyntax).Select(type => (Name: NameOf(type), tree.FilePath)))
            .GroupBy(type => type.Name).Where(type => type.Select(part => part.FilePath).Distinct().Count() > MostFiles)
            .Select(type => type.Key);
        Exceptions.Check($"A type stands in at most {MostFiles} files.", found);
    }

    [Fact]
    public void A_file_has_at_most_400_lines()
    {
        SourceTree sources = SourceTree.Instance;
        IEnumerable<string> found = sources.Files("src").Concat(sources.Files("tests"))
            .Where(path => File.ReadLines(Path.Combine(sources.Root, path)).Count() > MostLines);
        Exceptions.Check($"A file has at most {MostLines} lines.", found, KnownFiles);
    }

    [Fact]
    public void A_line_has_at_most_160_characters()
    {
        SourceTree sources = SourceTree.Instance;
        IEnumerable<string> found = sources.Files("src").Concat(sources.Files("tests"))
            .Where(path => File.ReadLines(Path.Combine(sources.Root, path)).Any(line => line.Length > MostCharacters))
            .Select(path => string.Join('/', path.Split('/')[..2]));
        Exceptions.Check($"A line has at most {MostCharacters} characters.", found);
    }

    private static string NameOf(TypeDeclarationSyntax type) =>
        $"{type.Ancestors().OfType<BaseNamespaceDeclarationSyntax>().First().Name}.{type.Identifier}"
        + $"{(type.TypeParameterList is { } list ? "`" + list.Parameters.Count : "")}";

    private static (string What, string Why)[] KnownFiles => [];
}
