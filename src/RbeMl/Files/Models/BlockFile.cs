using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Numerics;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>A single compressed block in a <c>.rbe</c> container, of the kind <c>rbeml-block</c>; its tensors are named as those of a model's block, without the layer.</summary>
public static class BlockFile
{
    /// <summary>The kind in the container's metadata.</summary>
    public const string Kind = "rbeml-block";

    private static readonly string[] MatrixNames =
        ["attention.query", "attention.key", "attention.value", "attention.output", "feedforward.expand", "feedforward.contract"];

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
        for (int i = 0; i < MatrixNames.Length; i++) RbeMatrixFile.Add(MatrixNames[i], weights.MatrixAt((BlockMatrix)i), null, matrices, tensors);
        foreach ((string name, float[] values) in Vectors(weights.Vectors)) tensors.Add(RbeTensor.From(name, values, values.Length));
        RbeContainerWriter.Write(stream, new JsonObject { ["kind"] = Kind, ["config"] = Gpt2File.Describe(config), ["matrices"] = matrices }, tensors, Gpt2File.Features(config));
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
        if (metadata.Text("kind") is var kind && kind != Kind) throw new RbeFileException(name, $"holds \"{kind}\", a block (\"{Kind}\") is needed. Give what BlockFile wrote.");
        TransformerConfig config = Gpt2File.ReadConfig(metadata.Object("config"));
        HashSet<string> read = [];
        Dictionary<string, RbeMatrix> matrices = [];
        foreach (JsonFields entry in metadata.Objects("matrices"))
        {
            (string matrixName, RbeMatrix matrix) = RbeMatrixFile.Read(file, entry, read, new RbeLoadOptions { Map = false });
            if (!matrices.TryAdd(matrixName, matrix)) throw new RbeFileException(name, $"matrix \"{matrixName}\" is listed twice. Write it again.");
        }

        int d = config.Width, f = config.HiddenWidth;
        BlockWeights weights = new()
        {
            Query = Take(0, d, d),
            Key = Take(1, d, d),
            Value = Take(2, d, d),
            Output = Take(3, d, d),
            Expand = Take(4, f, d),
            Contract = Take(5, d, f),
            Vectors = BlockVectors.Initial(d, f),
        };
        foreach ((string vector, float[] values) in Vectors(weights.Vectors))
        {
            read.Add(vector);
            file.Read<float>(vector, values.Length).CopyTo(values, 0);
            if (FiniteSearch.IndexOfNonFinite(values) is >= 0 and var bad) throw RbeMatrixFile.NotFinite(vector, values[bad], bad);
        }

        string? extra = matrices.Keys.FirstOrDefault() ?? file.Tensors.FirstOrDefault(t => !read.Contains(t.Name))?.Name;
        if (extra is not null) throw new RbeFileException(name, $"tensor \"{extra}\" belongs to no part of a block. Write it again.");
        return (config, weights);

        RbeMatrix Take(int index, int rows, int columns)
        {
            if (!matrices.Remove(MatrixNames[index], out RbeMatrix? matrix)) throw new RbeFileException(name, $"matrix \"{MatrixNames[index]}\" is missing. Write it again.");
            return matrix.Rows == rows && matrix.Columns == columns
                ? matrix
                : throw new RbeFileException(name, $"matrix \"{MatrixNames[index]}\": expected {rows} x {columns}, the file has {matrix.Rows} x {matrix.Columns}. Write it again.");
        }
    }

    private static (string Name, float[] Values)[] Vectors(BlockVectors v) =>
    [
        ("attention.query.bias", v.QueryBias), ("attention.key.bias", v.KeyBias), ("attention.value.bias", v.ValueBias), ("attention.output.bias", v.OutputBias),
        ("feedforward.expand.bias", v.ExpandBias), ("feedforward.contract.bias", v.ContractBias),
        ("norm1.gamma", v.Gamma1), ("norm1.beta", v.Beta1), ("norm2.gamma", v.Gamma2), ("norm2.beta", v.Beta2),
    ];
}
