using RbeMl.MLNet.Classification;

namespace RbeMl.MLNet;

public sealed partial class RbeCatalog
{
    /// <summary>
    /// Trains a classifier of texts: a GPT-2 model of compressed blocks and a linear head. Of a key label it adds <c>PredictedLabel</c> (the same key) and
    /// <c>Score</c> (probabilities), of a Boolean label <c>PredictedLabel</c>, <c>Score</c> (log odds) and <c>Probability</c>.
    /// </summary>
    /// <param name="labelColumnName">The label: a key of UInt32, or a Boolean.</param>
    /// <param name="textColumnName">A text, or a vector of token ids (Int32, Int64, UInt32 or keys).</param>
    /// <param name="outputColumnName">The column of the predicted label.</param>
    /// <param name="scoreColumnName">The column of the scores.</param>
    /// <param name="modelPath">A pretrained model: a <c>.rbe</c> file or the folder of a Hugging Face GPT-2; null trains a small new one.</param>
    public TextClassificationTrainer TextClassification(
        string labelColumnName = "Label", string textColumnName = "Text", string outputColumnName = "PredictedLabel", string scoreColumnName = "Score", string? modelPath = null)
        => TextClassification(new TextClassificationOptions
        {
            LabelColumnName = labelColumnName,
            TextColumnName = textColumnName,
            PredictedLabelColumnName = outputColumnName,
            ScoreColumnName = scoreColumnName,
            ModelPath = modelPath,
        });

    /// <inheritdoc cref="TextClassification(string, string, string, string, string?)"/>
    /// <param name="options">All settings.</param>
    public TextClassificationTrainer TextClassification(TextClassificationOptions options) => new(Environment, options);

    /// <summary>Loads a classifier that <see cref="RbeTransformer.Save"/> wrote.</summary>
    /// <param name="stream">Where from; it is left open.</param>
    /// <exception cref="RbeFileException">The bytes are of something else, of a newer version, cut or damaged.</exception>
    public TextClassificationTransformer LoadTextClassification(Stream stream)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return Loader<TextClassificationTransformer>.Load(Environment, stream);
    }
}
