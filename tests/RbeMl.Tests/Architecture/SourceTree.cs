using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace RbeMl.Tests.Architecture;

/// <summary>The sources as the compiler sees them: files, types, and which file names a type of which.</summary>
internal sealed class SourceTree
{
    private static readonly Lazy<SourceTree> s_instance = new(() => new SourceTree());
    private readonly Lazy<IReadOnlyList<Arrow>> _arrows;

    private SourceTree()
    {
        Root = FindRoot();
        List<SyntaxTree> trees = [];
        CSharpParseOptions options = CSharpParseOptions.Default.WithLanguageVersion(LanguageVersion.CSharp14);
        foreach (string path in Files("src")) trees.Add(CSharpSyntaxTree.ParseText(File.ReadAllText(Path.Combine(Root, path)), options, path));
        string[] usual = ["System", "System.Collections.Generic", "System.IO", "System.Linq", "System.Net.Http", "System.Threading", "System.Threading.Tasks"];
        trees.Add(CSharpSyntaxTree.ParseText(string.Concat(usual.Select(name => $"global using {name};")), options, "usings"));
        IEnumerable<string> references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            .Where(path => !Path.GetFileName(path).StartsWith("RbeMl", StringComparison.Ordinal));
        Compilation = CSharpCompilation.Create("sources", trees, references.Select(path => MetadataReference.CreateFromFile(path)),
            new CSharpCompilationOptions(OutputKind.DynamicallyLinkedLibrary, allowUnsafe: true));
        Trees = trees[..^1];
        _arrows = new Lazy<IReadOnlyList<Arrow>>(FindArrows);
    }

    public static SourceTree Instance => s_instance.Value;

    /// <summary>The folder of the repository.</summary>
    public string Root { get; }

    public CSharpCompilation Compilation { get; }

    /// <summary>Files of src; their paths start there.</summary>
    public IReadOnlyList<SyntaxTree> Trees { get; }

    /// <summary>Each file that names a type, with the file of that type, which is another.</summary>
    public IReadOnlyList<Arrow> Arrows => _arrows.Value;

    /// <summary>C# files under a folder of the repository, without what builds leave.</summary>
    public IEnumerable<string> Files(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Root, folder), "*.cs", SearchOption.AllDirectories)
            .Select(path => Path.GetRelativePath(Root, path).Replace('\\', '/'))
            .Where(path => !path.Split('/').Any(part => part is "bin" or "obj"))
            .Order(StringComparer.Ordinal);

    public static string FolderOf(string path) => path[..path.LastIndexOf('/')];

    private static string FindRoot()
    {
        DirectoryInfo? folder = new(AppContext.BaseDirectory);
        while (folder is not null && !File.Exists(Path.Combine(folder.FullName, "RbeMl.sln"))) folder = folder.Parent;
        return folder?.FullName ?? throw new InvalidOperationException("The tests of the architecture run inside the repository.");
    }

    private List<Arrow> FindArrows()
    {
        HashSet<string> sources = [.. Trees.Select(tree => tree.FilePath)];
        HashSet<Arrow> found = [];

        // Only names of types and of extension methods are bound: the rest names none.
        SyntaxNode[] roots = [.. Trees.Select(tree => tree.GetRoot())];
        HashSet<string> names =
            [.. roots.SelectMany(root => root.DescendantNodes()).OfType<BaseTypeDeclarationSyntax>().Select(type => type.Identifier.ValueText)];
        names.UnionWith(roots.SelectMany(root => root.DescendantNodes()).OfType<DelegateDeclarationSyntax>().Select(type => type.Identifier.ValueText));
        names.UnionWith(roots.SelectMany(root => root.DescendantNodes()).OfType<MethodDeclarationSyntax>()
            .Where(method => method.ParameterList.Parameters.Any(parameter => parameter.Modifiers.Any(SyntaxKind.ThisKeyword)))
                .Select(method => method.Identifier.ValueText));
        foreach (SyntaxTree tree in Trees)
        {
            SemanticModel model = Compilation.GetSemanticModel(tree);
            foreach (SimpleNameSyntax name in tree.GetRoot().DescendantNodes(node => node is not UsingDirectiveSyntax).OfType<SimpleNameSyntax>()
                .Where(name => names.Contains(name.Identifier.ValueText)))
            {
                SymbolInfo info = model.GetSymbolInfo(name);
                ISymbol? symbol = info.Symbol ?? info.CandidateSymbols.FirstOrDefault();
                INamedTypeSymbol? type = symbol switch
                {
                    INamedTypeSymbol named => named,
                    IMethodSymbol { MethodKind: MethodKind.Constructor or MethodKind.ReducedExtension } method => method.ContainingType,
                    _ => null,
                };
                while (type?.ContainingType is not null) type = type.ContainingType;
                if (type is null || HomeOf(type) is not { } home || home == tree.FilePath || !sources.Contains(home)) continue;
                if (!type.DeclaringSyntaxReferences.Any(part => part.SyntaxTree == tree)) found.Add(new Arrow(tree.FilePath, home, type.Name));
            }
        }

        return [.. found.OrderBy(arrow => (arrow.From, arrow.To, arrow.Type))];
    }

    // The file called as the type, else the first.
    private static string? HomeOf(INamedTypeSymbol type)
    {
        string[] homes = [.. type.OriginalDefinition.DeclaringSyntaxReferences.Select(part => part.SyntaxTree.FilePath).Order(StringComparer.Ordinal)];
        return homes.FirstOrDefault(path => Path.GetFileNameWithoutExtension(path) == type.Name) ?? homes.FirstOrDefault();
    }

    /// <summary>A file that names a type of another.</summary>
    internal readonly record struct Arrow(string From, string To, string Type);
}
