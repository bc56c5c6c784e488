using RbeMl.Codec;

namespace RbeMl.Models;

/// <summary>What a model's weights take, and how many weights they stand for.</summary>
/// <param name="Bytes">fp32 trainable values, quantised bases, and places at 2 bytes a run: what has to be kept.</param>
/// <param name="DenseValues">Values of the same model dense: matrices, embeddings, biases, LayerNorms.</param>
/// <param name="ResidentBytes">All that they take in memory: beside <paramref name="Bytes"/> the kernels' walk orders and tables, and
/// copies for inference.</param>
public readonly record struct ModelSize(long Bytes, long DenseValues, long ResidentBytes)
{
    /// <summary>
    /// Bits for each value of the dense model, embeddings, biases and LayerNorms included. A matrix alone has bits a weight, see
    /// <see cref="CompressionReport.BitsPerWeight"/>.
    /// </summary>
    public double BitsPerParameter => 8.0 * Bytes / DenseValues;

    /// <summary>The sizes of a model.</summary>
    public static ModelSize Of(TransformerModel<float> model)
    {
        ArgumentNullException.ThrowIfNull(model);
        long values = model.Parameters.TrainableCount, bytes = values * sizeof(float), dense = values;
        foreach ((_, RbeMatrix matrix) in model.Matrices)
        {
            if (matrix.Support is { } support) bytes += (long)support.Starts.Length * sizeof(ushort);
            if (matrix.Base is { } frozen) bytes += frozen.StoredBits / 8;
            dense += ((long)matrix.Rows * matrix.Columns) - matrix.TrainableCount;
        }

        return new ModelSize(bytes, dense, model.WeightBytes);
    }
}
