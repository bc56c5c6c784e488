using RbeMl.MLNet.Features;
using RbeMl.Models;

namespace RbeMl.MLNet;

public sealed partial class RbeCatalog
{
    /// <summary>Texts as vectors of features from a GPT-2, to be learned from by any trainer.</summary>
    /// <param name="outputColumnName">The column added, <c>Vector&lt;Single, D&gt;</c>.</param>
    /// <param name="inputColumnName">The text, or token ids; null for the same name.</param>
    /// <param name="modelPath">A <c>.rbe</c> model, or the folder of a Hugging Face GPT-2.</param>
    /// <param name="pooling">How a text's tokens become one vector.</param>
    /// <param name="layer">Whose output; null takes the last.</param>
    public FeaturizeEstimator Featurize(string outputColumnName, string? inputColumnName, string modelPath, Pooling pooling = Pooling.Mean, int? layer = null)
        => Featurize(new FeaturizeOptions { OutputColumnName = outputColumnName, InputColumnName = inputColumnName ?? outputColumnName, ModelPath = modelPath, Pooling = pooling, Layer = layer });

    /// <inheritdoc cref="Featurize(string, string?, string, Pooling, int?)"/>
    /// <param name="outputColumnName">The column added.</param>
    /// <param name="inputColumnName">The text, or token ids; null for the same name.</param>
    /// <param name="model">A model in hand; it is copied.</param>
    /// <param name="pooling">How a text's tokens become one vector.</param>
    /// <param name="layer">Whose output; null takes the last.</param>
    public FeaturizeEstimator Featurize(string outputColumnName, string? inputColumnName, Gpt2Bundle model, Pooling pooling = Pooling.Mean, int? layer = null)
        => Featurize(new FeaturizeOptions { OutputColumnName = outputColumnName, InputColumnName = inputColumnName ?? outputColumnName, Model = model, Pooling = pooling, Layer = layer });

    /// <inheritdoc cref="Featurize(string, string?, string, Pooling, int?)"/>
    /// <param name="options">All settings.</param>
    public FeaturizeEstimator Featurize(FeaturizeOptions options) => new(Environment, options);

    /// <summary>Loads a featurizing transformer that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public FeaturizeTransformer LoadFeaturize(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<FeaturizeTransformer>.Load(Environment, stream);
    }
}
