using Microsoft.ML;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Classification;
using RbeMl.MLNet.Embeddings;
using RbeMl.MLNet.Interop;
using RbeMl.MLNet.Similarity;

namespace RbeMl.MLNet;

/// <summary>The components where ML.NET's users look for such: beside ML.NET's own. They are those of <c>ml.Rbe</c>.</summary>
public static class CatalogExtensions
{
    /// <inheritdoc cref="RbeCatalog.TextEmbedding(string, string?, string, string?)"/>
    /// <param name="catalog"><c>ml.Transforms.Text</c>.</param>
    /// <param name="outputColumnName">The column added, <c>Vector&lt;Single, D&gt;</c>.</param>
    /// <param name="inputColumnName">The text; null for the same name.</param>
    /// <param name="modelPath">A <c>.rbe</c> file of an encoder, or the folder or .onnx file of a BERT.</param>
    /// <param name="prompt">Name of the prompt to put before each text; null for the encoder's default.</param>
    public static TextEmbeddingEstimator RbeEmbedding(
        this TransformsCatalog.TextTransforms catalog, string outputColumnName, string? inputColumnName, string modelPath, string? prompt = null) =>
        catalog.RbeEmbedding(new TextEmbeddingOptions
        {
            OutputColumnName = outputColumnName,
            InputColumnName = inputColumnName ?? outputColumnName,
            ModelPath = modelPath,
            Prompt = prompt,
        });

    /// <inheritdoc cref="RbeCatalog.TextEmbedding(TextEmbeddingOptions)"/>
    /// <param name="catalog"><c>ml.Transforms.Text</c>.</param>
    /// <param name="options">All settings.</param>
    public static TextEmbeddingEstimator RbeEmbedding(this TransformsCatalog.TextTransforms catalog, TextEmbeddingOptions options) =>
        new(Environment(catalog), options);

    /// <inheritdoc cref="RbeCatalog.TextClassification(string, string, string, string, string?)"/>
    /// <param name="trainers"><c>ml.MulticlassClassification.Trainers</c>.</param>
    /// <param name="labelColumnName">The label, a key of UInt32.</param>
    /// <param name="textColumnName">The text.</param>
    /// <param name="outputColumnName">The column of the predicted label.</param>
    /// <param name="scoreColumnName">The column of the scores.</param>
    /// <param name="modelPath">A pretrained model: a <c>.rbe</c> file, or the folder of a BERT or a GPT-2, or the .onnx file of a BERT;
    /// null trains a small new one.</param>
    public static TextClassificationTrainer RbeTextClassification(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers trainers, string labelColumnName = "Label", string textColumnName = "Text",
        string outputColumnName = "PredictedLabel", string scoreColumnName = "Score", string? modelPath = null) =>
        trainers.RbeTextClassification(new TextClassificationOptions
        {
            LabelColumnName = labelColumnName,
            TextColumnName = textColumnName,
            PredictedLabelColumnName = outputColumnName,
            ScoreColumnName = scoreColumnName,
            ModelPath = modelPath,
        });

    /// <inheritdoc cref="RbeCatalog.TextClassification(TextClassificationOptions)"/>
    /// <param name="trainers"><c>ml.MulticlassClassification.Trainers</c>.</param>
    /// <param name="options">All settings.</param>
    public static TextClassificationTrainer RbeTextClassification(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers trainers, TextClassificationOptions options) =>
        new(Environment(trainers), options);

    /// <inheritdoc cref="RbeCatalog.TextClassification(TextClassificationOptions)"/>
    /// <param name="trainers"><c>ml.BinaryClassification.Trainers</c>.</param>
    /// <param name="options">All settings; the label is a Boolean.</param>
    public static TextClassificationTrainer RbeTextClassification(
        this BinaryClassificationCatalog.BinaryClassificationTrainers trainers, TextClassificationOptions options) =>
        new(Environment(trainers), options);

    /// <inheritdoc cref="RbeCatalog.SentenceSimilarity(SentenceSimilarityOptions)"/>
    /// <param name="trainers"><c>ml.Regression.Trainers</c>.</param>
    /// <param name="options">All settings.</param>
    public static SentenceSimilarityTrainer RbeSentenceSimilarity(
        this RegressionCatalog.RegressionTrainers trainers, SentenceSimilarityOptions options) =>
        new(Environment(trainers), options);

    private static IHostEnvironment Environment(object catalog)
    {
        IHostEnvironment environment = MlNetInternals.Environment(catalog);
        Components.Register(environment.ComponentCatalog);
        return environment;
    }
}
