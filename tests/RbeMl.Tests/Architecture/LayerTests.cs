using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace RbeMl.Tests.Architecture;

/// <summary>Folders are layers: arrows run down, folders form no circle, a top folder is a namespace.</summary>
public sealed class LayerTests
{
    // From the bottom to the top; those of one line do not know each other.
    private static readonly string[][] s_layers =
    [
        ["Errors"], ["Numerics"], ["Storage"], ["Memory"], ["Codec"], ["Kernels"], ["Layers"], ["Models", "Text"], ["Files"], ["Compression"],
            ["Training"], ["RbeMl.MLNet", "RbeMl.Extensions.AI", "RbeMl.Models.MiniLM", "RbeMl.Mpi", "RbeMl.Packing"], ["RbeMl.Cli"],
    ];

    [Fact]
    public void Arrows_run_down()
    {
        IEnumerable<string> up = SourceTree.Instance.Arrows
            .Where(arrow => LayerOf(arrow.From) is { } from && LayerOf(arrow.To) is { } to && from.Name != to.Name && from.Height <= to.Height
                && (from.Height, from.Name, to.Name) != (7, "Models", "Text"))
            .Select(arrow => $"{arrow.From} -> {arrow.To} ({arrow.Type})");
        Exceptions.Check("A file names types of its own layer and of those below it.", up);
    }

    [Fact]
    public void Every_folder_has_its_layer()
    {
        IEnumerable<string> without = SourceTree.Instance.Trees.Select(tree => tree.FilePath)
            .Where(path => path != "src/Shared/InterpolatedStrings.cs" && LayerOf(path) is null);
        Exceptions.Check("Every file of src lies in the folder of a layer.", without);
    }

    [Fact]
    public void Folders_form_no_circle()
    {
        Dictionary<string, HashSet<string>> edges = [];
        foreach (SourceTree.Arrow arrow in SourceTree.Instance.Arrows)
        {
            (string from, string to) = (SourceTree.FolderOf(arrow.From), SourceTree.FolderOf(arrow.To));
            if (from == to) continue;
            if (!edges.TryGetValue(from, out HashSet<string>? targets)) edges[from] = targets = [];
            targets.Add(to);
        }

        Exceptions.Check("No folder knows another that knows it, over others or not.",
            Circles(edges).Select(circle => string.Join(", ", circle.Select(folder => folder["src/".Length..]))));
    }

    [Fact]
    public void A_top_folder_is_a_namespace()
    {
        List<string> found = [];
        foreach (SyntaxTree tree in SourceTree.Instance.Trees)
        {
            string[] parts = tree.FilePath.Split('/');
            string? space = tree.GetRoot().DescendantNodes().OfType<BaseNamespaceDeclarationSyntax>().FirstOrDefault()?.Name.ToString();
            if (parts[1] == "Shared" || space is null) continue;
            string[] right = parts switch
            {
                [_, var project, var top, _, ..] when top is not ("Errors" or "Base" or "Shared") => [$"{project}.{top}"],
                _ => [parts[1]],
            };
            if (!right.Contains(space)) found.Add($"{tree.FilePath}: {space}");
        }

        Exceptions.Check(
            "The namespace is the project and the top folder; errors, and what the verbs or components share, are in the project's own.", found,
            ("src/RbeMl.Extensions.AI/RbeServiceCollectionExtensions.cs: Microsoft.Extensions.DependencyInjection", "found where IServiceCollection is"),
            ("src/RbeMl.MLNet/MLContextExtensions.cs: Microsoft.ML", "ml.Rbe is found where MLContext is"),
            ("src/RbeMl.Models.MiniLM/MiniLM.cs: RbeMl.Models", "found where SentenceEncoder is"));
    }

    private static (string Name, int Height)? LayerOf(string path)
    {
        string[] parts = path.Split('/');
        string name = parts[1] == "RbeMl" ? parts[2] : parts[1];
        int height = Array.FindIndex(s_layers, layer => layer.Contains(name));
        return height < 0 ? null : (name, height);
    }

    // Sets of folders of which each reaches each.
    private static IEnumerable<string[]> Circles(Dictionary<string, HashSet<string>> edges)
    {
        Dictionary<string, HashSet<string>> reached = edges.Keys.ToDictionary(folder => folder, Reach);
        HashSet<string> done = [];
        foreach (string folder in edges.Keys.Order(StringComparer.Ordinal))
        {
            if (!reached[folder].Contains(folder) || !done.Add(folder)) continue;
            string[] circle =
                [.. reached[folder].Where(other => reached.TryGetValue(other, out HashSet<string>? back) && back.Contains(folder))
                    .Order(StringComparer.Ordinal)];
            done.UnionWith(circle);
            yield return circle;
        }

        HashSet<string> Reach(string start)
        {
            HashSet<string> seen = [];
            Stack<string> open = new([start]);
            while (open.TryPop(out string? folder))
            {
                foreach (string next in edges.GetValueOrDefault(folder) ?? []) if (seen.Add(next)) open.Push(next);
            }

            return seen;
        }
    }
}
