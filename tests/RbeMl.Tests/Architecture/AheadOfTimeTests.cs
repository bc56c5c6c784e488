using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;

namespace RbeMl.Tests.Architecture;

/// <summary>
/// What the core's analysers for compilation ahead of time do not see: a collection expression adds what is no JsonNode by its static type with
/// JsonArray's generic Add, which needs reflection.
/// </summary>
public sealed class AheadOfTimeTests
{
    [Fact]
    public void Json_arrays_are_made_of_nodes()
    {
        List<string> found = [];
        foreach (SyntaxTree tree in SourceTree.Instance.Trees.Where(tree => tree.FilePath.StartsWith("src/RbeMl/", StringComparison.Ordinal)
            && tree.ToString().Contains("Json", StringComparison.Ordinal))) // binding takes time, and what makes JSON names some of it
        {
            SemanticModel model = SourceTree.Instance.Compilation.GetSemanticModel(tree);
            foreach (CollectionExpressionSyntax collection in tree.GetRoot().DescendantNodes().OfType<CollectionExpressionSyntax>())
            {
                if (model.GetTypeInfo(collection).ConvertedType?.Name != "JsonArray") continue;
                IEnumerable<ITypeSymbol?> types = collection.Elements.Select(element => element switch
                {
                    ExpressionElementSyntax single => model.GetTypeInfo(single.Expression).Type,
                    SpreadElementSyntax many => ItemOf(model.GetTypeInfo(many.Expression).Type),
                    _ => null,
                });
                found.AddRange(types.Where(type => type is not null && type.Name != "JsonNode").Select(type =>
                    $"{tree.FilePath}({collection.GetLocation().GetLineSpan().StartLinePosition.Line + 1}): {type!.Name}"));
            }
        }

        Exceptions.Check("Items of a collection expression that becomes a JsonArray are JsonNode by their type.", found);
    }

    private static ITypeSymbol? ItemOf(ITypeSymbol? sequence) => sequence switch
    {
        IArrayTypeSymbol array => array.ElementType,
        INamedTypeSymbol named => new[] { named }.Concat(named.AllInterfaces)
            .FirstOrDefault(type => type.OriginalDefinition.SpecialType == SpecialType.System_Collections_Generic_IEnumerable_T)?.TypeArguments[0],
        _ => null,
    };
}
