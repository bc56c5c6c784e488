using System.Reflection;
using System.Runtime.CompilerServices;
using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Tests;

/// <summary>Lists with nothing in one of their places.</summary>
public class NullItemTests
{
    // Whatever is public and takes a list of objects.
    private static IEnumerable<string> Takers() => typeof(TokenDataset).Assembly.GetExportedTypes()
        .Where(type => !typeof(Delegate).IsAssignableFrom(type))
        .SelectMany(type => type.GetConstructors().Cast<MethodBase>()
            .Concat(type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly))
                .Select(method => (type, method)))
        .Where(taker => !taker.method.IsSpecialName || taker.method.IsConstructor)
        .Where(taker => taker.method.Name is not ("Equals" or "Deconstruct"))
        .Where(taker => taker.method.GetParameters().Any(parameter => ItemOf(parameter.ParameterType) is { IsValueType: false, IsGenericParameter: false }))
        .Select(taker => $"{taker.type.Name}.{taker.method.Name}").Distinct().Order(StringComparer.Ordinal);

    private static Type? ItemOf(Type type)
    {
        if (type == typeof(string)) return null;
        if (type.IsArray) return type.GetElementType();
        return type.GetInterfaces().Append(type)
            .FirstOrDefault(part => part.IsGenericType && part.GetGenericTypeDefinition() == typeof(IEnumerable<>))?.GetGenericArguments()[0];
    }

    // By the name of what takes the list.
    private static readonly Dictionary<string, Action> s_calls = new()
    {
        ["ChoiceSettings.Candidates"] = () => _ = new ChoiceSettings { Candidates = [new RbeOptions(), null!] },
        ["TransformerWeights.Blocks"] = () => _ = TransformerWeights.CreateRandom(new TransformerConfig { Width = 8, Heads = 1, Layers = 1, Vocabulary = 3 },
            new RbeOptions { Tile = 32 }, 1) with
        { Blocks = [null!] },
        ["CalibrationWindows.CutSentences"] = () => CalibrationWindows.CutSentences([[1, 2], null!],
            new WordPieceTokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a"]), 8, 8),
        ["SentenceEncoder.Embed"] = () => ((SentenceEncoder)RuntimeHelpers.GetUninitializedObject(typeof(SentenceEncoder))).Embed(["a", null!]),
        ["WordPieceTokenizer..ctor"] = () => _ = new WordPieceTokenizer(["a", null!]),
        ["CalibrationWindows.Cut"] = () => CalibrationWindows.Cut([[1, 2], null!], 8, 8),
        ["EvaluationData.FromSequences"] = () => EvaluationData.FromSequences([[1, 2], null!]),
        ["MatrixOutcome.BitsPerWeight"] = () => MatrixOutcome.BitsPerWeight([null!]),
        ["MatrixOutcome.RelativeError"] = () => MatrixOutcome.RelativeError([null!]),
        ["NamePatterns..ctor"] = () => _ = new NamePatterns(["a", null!], []),
        ["NamePatterns.RequireMatches"] = () => new NamePatterns(["a"], []).RequireMatches(["a", null!]),
        ["RateAllocator.MinimizeBits"] = () => RateAllocator.MinimizeBits([null!], [1], 1),
        ["RateAllocator.MinimizeError"] = () => RateAllocator.MinimizeError([null!], [1], 1),
        ["RateCurve..ctor"] = () => _ = new RateCurve(1, [null!]),
        ["RateCurve.Measure"] = () => RateCurve.Measure(new float[64], 8, 8, [new RbeOptions(), null!]),
        ["RbeContainerWriter.Write"] = () => RbeContainerWriter.Write(Stream.Null, [], [null!]),
        ["RbeMatrixSet.Save"] = () => RbeMatrixSet.Save("never", [null!]),
        ["SafetensorsWriter.Write"] = () => SafetensorsWriter.Write("never", [null!]),
        ["TextSource.OfFiles"] = () => TextSource.OfFiles(["a", null!]),
        ["TokenDataset.FromDocuments"] = () => TokenDataset.FromDocuments([new TokenDocument([1, 2]), null!], 5),
        ["TokenDataset.FromTexts"] = () => TokenDataset.FromTexts(["ab", null!], new ByteTokenizer()),
        ["TokenDataset.FromSequences"] = () => TokenDataset.FromSequences([[1, 2], null!], 5),
    };

    // Results, which the library makes.
    private static readonly string[] s_results = ["CompressedModel..ctor"];

    public static TheoryData<string> Calls => [.. s_calls.Keys];

    [Theory]
    [MemberData(nameof(Calls))]
    public void Nothing_in_a_list_is_an_argument_error(string call)
    {
        ArgumentException error = Assert.ThrowsAny<ArgumentException>(s_calls[call]);
        Assert.Matches("^Item [12]( of [12])? is null\\. ", error.Message);
        Assert.False(File.Exists("never"));
    }

    [Fact]
    public void Every_taker_of_a_list_is_tried() => Assert.Empty(Takers().Except(s_calls.Keys).Except(s_results));
}
