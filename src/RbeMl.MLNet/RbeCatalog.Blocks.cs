using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.Blocks;

namespace RbeMl.MLNet;

public sealed partial class RbeCatalog
{
    /// <summary>A compressed Transformer block over a column of activations, <c>Vector&lt;Single, T x D&gt;</c>.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The activations, [T, D] row-major; null for the same name.</param>
    /// <param name="config">Shapes.</param>
    /// <param name="weights">Compressed weights.</param>
    public TransformerBlockEstimator TransformerBlock(string outputColumnName, string? inputColumnName, TransformerConfig config, BlockWeights weights)
        => TransformerBlock(new TransformerBlockOptions { OutputColumnName = outputColumnName, InputColumnName = inputColumnName ?? outputColumnName, Config = config, Weights = weights });

    /// <summary>The same, with dense weights that are compressed when the estimator is fitted.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The activations; null for the same name.</param>
    /// <param name="config">Shapes.</param>
    /// <param name="dense">Dense weights.</param>
    /// <param name="compression">How they are compressed; 6 bits when null.</param>
    public TransformerBlockEstimator TransformerBlock(string outputColumnName, string? inputColumnName, TransformerConfig config, DenseBlockWeights dense, RbeOptions? compression = null)
    {
        TransformerBlockOptions options = new() { OutputColumnName = outputColumnName, InputColumnName = inputColumnName ?? outputColumnName, Config = config, DenseWeights = dense };
        if (compression is not null) options.Compression = compression;
        return TransformerBlock(options);
    }

    /// <summary>The same, with a block of a model.</summary>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The activations; null for the same name.</param>
    /// <param name="modelPath">A <c>.rbe</c> model, or the folder of a Hugging Face GPT-2.</param>
    /// <param name="layer">Which block.</param>
    public TransformerBlockEstimator TransformerBlock(string outputColumnName, string? inputColumnName, string modelPath, int layer = 0)
        => TransformerBlock(new TransformerBlockOptions { OutputColumnName = outputColumnName, InputColumnName = inputColumnName ?? outputColumnName, ModelPath = modelPath, Layer = layer });

    /// <inheritdoc cref="TransformerBlock(string, string?, TransformerConfig, BlockWeights)"/>
    /// <param name="options">All settings.</param>
    public TransformerBlockEstimator TransformerBlock(TransformerBlockOptions options) => new(Environment, options);

    /// <summary>Loads a block that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public TransformerBlockTransformer LoadTransformerBlock(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<TransformerBlockTransformer>.Load(Environment, stream);
    }
}
