using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// A single compressed block in a <c>.rbe</c> container, of the kind <c>rbeml-block</c>; its tensors are named as those of a model's block,
/// without the layer.
/// </summary>
public static class BlockFile
{
    /// <summary>The kind in the container's metadata.</summary>
    public const string Kind = ContentKind.Block;

    /// <summary>Writes a block to a stream, which is left open.</summary>
    /// <param name="stream">The stream; it need not seek.</param>
    /// <param name="config">Shapes.</param>
    /// <param name="weights">The weights.</param>
    /// <exception cref="IOException">The stream cannot be written.</exception>
    public static void Save(Stream stream, TransformerConfig config, BlockWeights weights)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(weights);
        JsonArray matrices = [];
        List<RbeTensor> tensors = [];
        foreach (BlockMatrix m in Enum.GetValues<BlockMatrix>()) RbeMatrixFile.Add(BlockLayout.NameOf(m), weights.MatrixAt(m), null, matrices, tensors);
        foreach ((string name, float[] values) in weights.Vectors.Named.OrderBy(v => IsNorm(v.Name))) tensors.Add(RbeTensor.From(NameOf(name), values));
        RbeContainerWriter.Write(stream, new JsonObject { ["kind"] = Kind, ["config"] = ModelFile.Describe(config), ["matrices"] = matrices },
            tensors, ModelFile.Features(config));
    }

    /// <summary>Reads a block from a stream, exactly its own bytes, and checks every checksum.</summary>
    /// <param name="stream">The stream; it need not seek.</param>
    /// <param name="name">What the messages call it.</param>
    /// <exception cref="RbeFileException">The bytes are no block, damaged, or a tensor is missing, left over or of a wrong shape.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static (TransformerConfig Config, BlockWeights Weights) Load(Stream stream, string name = "stream")
    {
        using RbeContainer file = RbeContainer.Open(stream, name);
        JsonFields metadata = new(name, "metadata", file.Metadata);
        ContentKind.Require(metadata, Kind, "Give what BlockFile wrote.");
        TransformerConfig config = ModelFile.ReadConfig(metadata.Object("config"));
        HashSet<string> read = [];
        Dictionary<string, RbeMatrix> matrices = RbeMatrixFile.ReadAll(file, metadata, read, new RbeLoadOptions { Map = false });
        BlockWeights weights = RbeMatrixFile.TakeBlock(file, matrices, "", config) with
        {
            Vectors = BlockVectors.Read(config, LayerNormStorage.Dense, (part, length) => RbeMatrixFile.ReadVector(file, NameOf(part), length, read)),
        };
        string? extra = matrices.Keys.FirstOrDefault() ?? file.Tensors.FirstOrDefault(t => !read.Contains(t.Name))?.Name;
        if (extra is not null) throw new RbeFileException(name, $"tensor \"{extra}\" belongs to no part of a block. Write it again.");
        return (config, weights);
    }

    private static bool IsNorm(string name) => name.StartsWith("ln", StringComparison.Ordinal);

    // A block's file says norm where a model's says ln, and has the LayerNorms last.
    private static string NameOf(string name) => IsNorm(name) ? "norm" + name[2..] : name;
}
