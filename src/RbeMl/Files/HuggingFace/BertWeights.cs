using RbeMl.Layers;

namespace RbeMl.Files;

/// <summary>
/// The parts of a BERT as a model here has them, from whatever gives its tensors by their names. A block of ours begins with the LayerNorm that ends the layer
/// before (<see cref="BlockOrder.PostNorm"/>), and the row of the first token type is in the positions.
/// </summary>
/// <param name="config">Shapes.</param>
/// <param name="read">
/// Row-major values of a tensor by its plain Hugging Face name (<see cref="BertTensorNames"/>), such as
/// <c>encoder.layer.0.attention.self.query.weight</c>, which
/// is [out, in]; checked by the reader for shape and for NaN and infinities.
/// </param>
internal sealed class BertWeights(TransformerConfig config, Func<string, float[]> read)
{
    /// <summary>The weights of a block.</summary>
    public DenseBlockWeights Block(int layer)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(layer);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(layer, config.Layers);
        BlockVectors vectors = BlockVectors.Read(config, LayerNormStorage.Dense, (name, _) => read(name switch
        {
            "ln1.gamma" => BertTensorNames.FirstNorm(layer) + ".weight",
            "ln1.beta" => BertTensorNames.FirstNorm(layer) + ".bias",
            "ln2.gamma" => BertTensorNames.SecondNorm(layer) + ".weight",
            "ln2.beta" => BertTensorNames.SecondNorm(layer) + ".bias",
            _ => BertTensorNames.Matrix(layer, Enum.GetValues<BlockMatrix>().Single(m => name == $"{BlockLayout.NameOf(m)}.bias")) + ".bias",
        }));
        return DenseBlockWeights.From(m => read(BertTensorNames.Matrix(layer, m) + ".weight"), vectors);
    }

    /// <summary>[V, D].</summary>
    public float[] TokenEmbedding() => read(BertTensorNames.TokenEmbedding);

    /// <summary>[types, D].</summary>
    public float[] TokenTypes() => read(BertTensorNames.TokenTypes);

    /// <summary>[P, D], the row of the first token type added to each.</summary>
    public float[] Positions()
    {
        float[] positions = read(BertTensorNames.PositionEmbedding), types = TokenTypes();
        for (int i = 0; i < positions.Length; i++) positions[i] += types[i % config.Width];
        return positions;
    }

    /// <summary>The positions as BERT has them: without the first token type, rounded once.</summary>
    public static float[] WithoutType(float[] positions, float[]? types, int width)
    {
        if (types is null) return positions;
        float[] rows = new float[positions.Length];
        for (int i = 0; i < rows.Length; i++) rows[i] = positions[i] - types[i % width];
        return rows;
    }

    /// <summary>Gamma and beta of the last layer's LayerNorm.</summary>
    public (float[] Gamma, float[] Beta) FinalNorm()
    {
        string norm = BertTensorNames.FirstNorm(config.Layers);
        return (read(norm + ".weight"), read(norm + ".bias"));
    }
}
