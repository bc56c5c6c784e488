using RbeMl.MLNet.LanguageModels;

namespace RbeMl.MLNet;

public sealed partial class RbeCatalog
{
    /// <summary>
    /// Trains a language model of texts, a GPT-2 of compressed blocks. It adds <c>Perplexity</c> (Single: how badly the model predicts the text) and
    /// <c>GeneratedText</c> (text: how the model goes on), each computed only where it is read.
    /// </summary>
    /// <param name="textColumnName">A text, or a vector of token ids (Int32, Int64, UInt32 or keys).</param>
    /// <param name="perplexityColumnName">The column of the perplexity; null adds none.</param>
    /// <param name="generatedTextColumnName">The column of the continuation; null adds none.</param>
    /// <param name="modelPath">A pretrained model: a <c>.rbe</c> file or the folder of a Hugging Face GPT-2; null trains a small new one.</param>
    public LanguageModelEstimator LanguageModel(
        string textColumnName = "Text", string? perplexityColumnName = "Perplexity", string? generatedTextColumnName = "GeneratedText", string? modelPath = null)
        => LanguageModel(new LanguageModelOptions
        {
            TextColumnName = textColumnName,
            PerplexityColumnName = perplexityColumnName,
            GeneratedTextColumnName = generatedTextColumnName,
            ModelPath = modelPath,
        });

    /// <inheritdoc cref="LanguageModel(string, string?, string?, string?)"/>
    /// <param name="options">All settings.</param>
    public LanguageModelEstimator LanguageModel(LanguageModelOptions options) => new(Environment, options);

    /// <summary>Loads a language model that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public LanguageModelTransformer LoadLanguageModel(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<LanguageModelTransformer>.Load(Environment, stream);
    }
}
