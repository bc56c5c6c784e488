using RbeMl.Layers;

namespace RbeMl.Files;

/// <summary>
/// The names and shapes of a Hugging Face BERT's tensors. D width, F feed-forward width, V vocabulary, P positions; linear maps are [out, in]. Names are those
/// of a BertModel; a folder may have them behind any of the prefixes that heads and training tools leave, and a LayerNorm's values as gamma and beta.
/// </summary>
internal static class BertTensorNames
{
    public const string TokenEmbedding = "embeddings.word_embeddings.weight";
    public const string PositionEmbedding = "embeddings.position_embeddings.weight";
    public const string TokenTypes = "embeddings.token_type_embeddings.weight";

    private const string EmbeddingNorm = "embeddings.LayerNorm";

    private static readonly string[] Prefixes = ["bert.", "model.", "module.", "_orig_mod.", "auto_model.", "0."];

    // Buffers, and heads that no embedding goes through.
    private static readonly string[] Unused = ["embeddings.position_ids", "embeddings.token_type_ids", "pooler.", "cls.", "classifier.", "qa_outputs."];

    /// <summary>A name as a BertModel has it.</summary>
    public static string Plain(string name)
    {
        while (Prefixes.FirstOrDefault(prefix => name.StartsWith(prefix, StringComparison.Ordinal)) is { } prefix) name = name[prefix.Length..];
        if (name.EndsWith("LayerNorm.gamma", StringComparison.Ordinal)) return name[..^"gamma".Length] + "weight";
        return name.EndsWith("LayerNorm.beta", StringComparison.Ordinal) ? name[..^"beta".Length] + "bias" : name;
    }

    /// <summary>Whether a tensor has no part in an embedding and is left out.</summary>
    public static bool IsUnused(string plain) => Unused.Any(start => plain.StartsWith(start, StringComparison.Ordinal));

    /// <summary>Whether names are those of a BERT.</summary>
    public static bool AreBert(SafetensorsSet tensors)
    {
        HashSet<string> names = [.. tensors.Tensors.Select(t => Plain(t.Name))];
        return names.Contains(TokenEmbedding) && names.Contains(Matrix(0, BlockMatrix.Query) + ".weight");
    }

    /// <summary>One of the six linear maps of a layer.</summary>
    public static string Matrix(int layer, BlockMatrix matrix) => $"encoder.layer.{layer}." + matrix switch
    {
        BlockMatrix.Query => "attention.self.query",
        BlockMatrix.Key => "attention.self.key",
        BlockMatrix.Value => "attention.self.value",
        BlockMatrix.Output => "attention.output.dense",
        BlockMatrix.UpProjection => "intermediate.dense",
        _ => "output.dense",
    };

    /// <summary>The LayerNorm that a block of ours begins with: BERT counts it to the layer before, or to the embedding.</summary>
    public static string FirstNorm(int layer) => layer == 0 ? EmbeddingNorm : $"encoder.layer.{layer - 1}.output.LayerNorm";

    /// <summary>The LayerNorm between the halves of a layer.</summary>
    public static string SecondNorm(int layer) => $"encoder.layer.{layer}.attention.output.LayerNorm";

    /// <summary>All tensors with their shapes.</summary>
    public static IEnumerable<(string Name, long[] Shape)> All(TransformerConfig config, int types)
    {
        long d = config.Width;
        yield return (TokenEmbedding, [config.Vocabulary, d]);
        yield return (PositionEmbedding, [config.MaxSequenceLength, d]);
        yield return (TokenTypes, [types, d]);
        foreach (string norm in Norms(config))
        {
            yield return (norm + ".weight", [d]);
            yield return (norm + ".bias", [d]);
        }

        for (int l = 0; l < config.Layers; l++)
        {
            foreach (BlockMatrix m in Enum.GetValues<BlockMatrix>())
            {
                (int rows, int columns) = BlockLayout.ShapeOf(config, m);
                yield return (Matrix(l, m) + ".weight", [rows, columns]);
                yield return (Matrix(l, m) + ".bias", [rows]);
            }
        }
    }

    private static IEnumerable<string> Norms(TransformerConfig config) =>
        Enumerable.Range(0, config.Layers).SelectMany(l => new[] { FirstNorm(l), SecondNorm(l) }).Append(FirstNorm(config.Layers));
}
