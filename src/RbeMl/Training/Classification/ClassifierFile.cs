using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Training;

/// <summary>A classifier file's content.</summary>
/// <param name="Classifier">The classifier.</param>
/// <param name="Tokenizer">Its tokenizer, or null.</param>
public sealed record ClassifierBundle(SequenceClassifier<float> Classifier, ITokenizer? Tokenizer) : IDisposable
{
    /// <inheritdoc cref="ModelBundle.TokenizerProblem"/>
    public string? TokenizerProblem { get; init; }

    /// <inheritdoc/>
    public void Dispose() => Classifier.Dispose();
}

/// <summary>
/// A classifier in a <c>.rbe</c> container: what a model's file holds, and the head. Every value is stored as it is, so a classifier that was saved and
/// loaded gives the same scores, bit for bit. Streams need not be able to seek.
/// </summary>
public static class ClassifierFile
{
    private const int MostClasses = 1 << 20;
    private const string Weight = "classifier.weight", Bias = "classifier.bias";

    /// <summary>Saves a classifier, as a whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="classifier">The classifier.</param>
    /// <param name="tokenizer">Its tokenizer, to travel along; null for none.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite; nothing is written.</exception>
    /// <exception cref="InvalidSettingException">The tokenizer is not of this library.</exception>
    public static void Save(string path, SequenceClassifier<float> classifier, ITokenizer? tokenizer = null)
    {
        (JsonObject metadata, List<RbeTensor> tensors) = Content(classifier, tokenizer);
        RbeContainerWriter.Write(path, metadata, tensors, Features(classifier));
    }

    /// <summary>Writes a classifier's file to a stream, which stays open; its own errors pass through.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="classifier">The classifier.</param>
    /// <param name="tokenizer">Its tokenizer, to travel along; null for none.</param>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite; nothing is written.</exception>
    /// <exception cref="InvalidSettingException">The tokenizer is not of this library.</exception>
    public static void Save(Stream stream, SequenceClassifier<float> classifier, ITokenizer? tokenizer = null)
    {
        (JsonObject metadata, List<RbeTensor> tensors) = Content(classifier, tokenizer);
        RbeContainerWriter.Write(stream, metadata, tensors, Features(classifier));
    }

    /// <summary>Loads a classifier and checks every checksum.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RbeFileException">The file is no classifier, damaged, of a newer version, or a tensor is missing, left over or of a
    /// wrong shape.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static ClassifierBundle Load(string path)
    {
        using RbeContainer file = RbeContainer.Open(path);
        return Read(file, new RbeLoadOptions());
    }

    /// <summary>
    /// Loads a classifier from a stream to the file's last byte; what follows is left in the stream. Memory is taken only for bytes that
    /// came.
    /// </summary>
    /// <param name="stream">The stream; it stays open.</param>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="RbeFileException">It holds no classifier, is damaged, cut, of a newer version, or a tensor is missing, left over or
    /// of a wrong shape.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static ClassifierBundle Load(Stream stream, string name = "stream")
    {
        using RbeContainer file = RbeContainer.Open(stream, name);
        return Read(file, new RbeLoadOptions { Map = false });
    }

    private static uint Features(SequenceClassifier<float> classifier) =>
        ModelFile.Features(classifier.Model.Config, classifier.Model.Encoder) | (classifier.Config.Normalize ? RbeContainerWriter.UnitRowFeature : 0);

    private static unsafe (JsonObject Metadata, List<RbeTensor> Tensors) Content(SequenceClassifier<float> classifier, ITokenizer? tokenizer)
    {
        ArgumentNullException.ThrowIfNull(classifier);
        (JsonObject metadata, List<RbeTensor> tensors) = ModelFile.Content(classifier.Model, tokenizer, null);
        FiniteWeights.Check(classifier.Head);
        ClassifierConfig config = classifier.Config;
        metadata["kind"] = ContentKind.Classifier;
        metadata["classifier"] =
            new JsonObject { ["classes"] = config.Classes, ["pooling"] = config.Pooling.ToString(), ["headDropout"] = (double)config.Dropout };
        if (config.Normalize) metadata["classifier"]!["normalize"] = true;
        if (config.Labels is { } labels) metadata["classifier"]!["labels"] = new JsonArray([.. labels.Select(label => (JsonNode)label)]);
        foreach (ParameterSlice slice in classifier.Head.Slices) tensors.Add(RbeTensor.From(classifier.Head, slice));
        return (metadata, tensors);
    }

    private static ClassifierBundle Read(RbeContainer file, RbeLoadOptions options)
    {
        JsonFields metadata = new(file.Path, "metadata", file.Metadata);
        ContentKind.Require(metadata, ContentKind.Classifier, "Give a file that a classifier was saved to.");
        JsonFields fields = metadata.Object("classifier");
        ClassifierConfig config =
            new()
            {
                Classes = fields.Whole("classes", 2, MostClasses),
                Pooling = fields.Name<Pooling>("pooling"),
                Normalize = fields.OptionalFlag("normalize") ?? false,
                Dropout = (float)fields.Real("headDropout"),
                Labels = fields.OptionalTexts("labels"),
            };
        try
        {
            config.Validate();
        }
        catch (InvalidSettingException error)
        {
            throw new RbeFileException(file.Path, $"its classifier is wrong: {error.Message} Write it again.", error);
        }

        ModelBundle model = ModelFile.Read(file, options, [Weight, Bias]);
        try
        {
            float[] weight = file.Read<float>(Weight, (long)config.Classes * model.Model.Config.Width), bias = file.Read<float>(Bias, config.Classes);
            return new ClassifierBundle(new SequenceClassifier<float>(model.Model, config, weight, bias),
                model.Tokenizer)
            { TokenizerProblem = model.TokenizerProblem };
        }
        catch (InvalidSettingException error)
        {
            model.Dispose();
            throw new RbeFileException(file.Path, $"its classifier is wrong: {error.Message} Write it again.", error);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }
}
