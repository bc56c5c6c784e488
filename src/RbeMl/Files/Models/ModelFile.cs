using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>
/// A GPT-2 or an encoder of compressed blocks in a <c>.rbe</c> container. Every trainable value is stored as it is, so a model that was saved and
/// loaded gives the same logits, bit for bit.
/// </summary>
public static partial class ModelFile
{
    private const string EndTokensKey = "endTokens", TypesName = "embedding.types";

    /// <summary>Saves a model, as a whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="model">The model.</param>
    /// <param name="tokenizer">Its tokenizer, to travel along; null for none.</param>
    /// <param name="reports">
    /// What compression measured, by matrix name, to travel along for <see cref="RbeInspection"/>; null for none. Loading leaves reports in the file: a
    /// model that is trained on and saved no longer has those errors.
    /// </param>
    /// <param name="run">The training run that the weights are of, for readers of <see cref="ModelBundle.Run"/>; null for none.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite; nothing is written.</exception>
    /// <exception cref="InvalidSettingException">The tokenizer is not of this library, or a report is of no matrix.</exception>
    /// <exception cref="ShapeMismatchException">A report is of a matrix with another number of tiles.</exception>
    public static void Save(string path, TransformerModel<float> model, ITokenizer? tokenizer = null,
        IReadOnlyDictionary<string, CompressionReport>? reports = null, RunMark? run = null)
    {
        (JsonObject metadata, List<RbeTensor> tensors) = Content(model, tokenizer, reports);
        run?.AddTo(metadata);
        RbeContainerWriter.Write(path, metadata, tensors, Features(model.Config, model.Encoder));
    }

    /// <summary>Saves weights, as a whole or not at all; no model is made of them. They are checked as a model checks them.</summary>
    /// <param name="path">The file.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="tokenizer">Their tokenizer, to travel along; null for none.</param>
    /// <param name="reports">What compression measured, by matrix name, to travel along for <see cref="RbeInspection"/>; null for none.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite; nothing is written.</exception>
    /// <exception cref="InvalidSettingException">The tokenizer is not of this library, a report is of no matrix, or LayerNorms cannot be
    /// stored as the configuration says.</exception>
    /// <exception cref="ShapeMismatchException">A weight does not fit the configuration, or a report is of a matrix with another number of tiles.</exception>
    public static void Save(string path, TransformerWeights weights, ITokenizer? tokenizer = null,
        IReadOnlyDictionary<string, CompressionReport>? reports = null)
    {
        ArgumentNullException.ThrowIfNull(weights);
        FiniteWeights.Check(weights);
        (JsonObject metadata, List<RbeTensor> tensors) = Content(
            new ModelFacts(weights.Config, weights.Tokens, weights.Encoder, weights.TokenTypes), weights.Matrices,
            weights.Vectors.Select(vector => RbeTensor.From(vector.Name, vector.Values)), tokenizer, reports);
        RbeContainerWriter.Write(path, metadata, tensors, Features(weights.Config, weights.Encoder));
    }

    /// <summary>Writes a model's file to a stream, which need not be able to seek and stays open; its own errors pass through.</summary>
    /// <inheritdoc cref="Save(string, TransformerModel{float}, ITokenizer?, IReadOnlyDictionary{string, CompressionReport}?, RunMark?)"/>
    public static void Save(Stream stream, TransformerModel<float> model, ITokenizer? tokenizer = null,
        IReadOnlyDictionary<string, CompressionReport>? reports = null, RunMark? run = null)
    {
        (JsonObject metadata, List<RbeTensor> tensors) = Content(model, tokenizer, reports);
        run?.AddTo(metadata);
        RbeContainerWriter.Write(stream, metadata, tensors, Features(model.Config, model.Encoder));
    }

    /// <summary>
    /// Loads a model. Codes stay in the file where <see cref="RbeLoadOptions.Map"/> says so; the model may still be saved over its own file (but for
    /// Windows, see there).
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Whether codes are mapped and checked; null for the defaults, which check every checksum.</param>
    /// <exception cref="RbeFileException">The file is no model, damaged, or a tensor is missing, left over or of a wrong shape.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static ModelBundle Load(string path, RbeLoadOptions? options = null)
    {
        using RbeContainer file = RbeContainer.Open(path);
        return Load(file, options ?? new RbeLoadOptions());
    }

    /// <summary>
    /// Loads a model from a stream, which need not be able to seek, and checks every checksum. The file's last byte is the last that is read, and memory is
    /// taken only for bytes that came.
    /// </summary>
    /// <param name="stream">The stream; it stays open.</param>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="RbeFileException">It holds no model, is damaged or cut, or a tensor is missing, left over or of a wrong shape.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static ModelBundle Load(Stream stream, string name = "stream")
    {
        using RbeContainer file = RbeContainer.Open(stream, name);
        return Load(file, new RbeLoadOptions { Map = false });
    }

    /// <summary>The model of an open file, which stays open.</summary>
    internal static ModelBundle Load(RbeContainer file, RbeLoadOptions options)
    {
        RequireKind(file);
        return Read(file, options, []);
    }

    /// <summary>The model of an open container; <paramref name="read"/> are the tensors that belong to something else, and then all.</summary>
    internal static ModelBundle Read(RbeContainer file, RbeLoadOptions options, HashSet<string> read)
    {
        (TransformerWeights weights, ITokenizer? tokenizer, string? problem) = ReadWeights(file, options, read, storesTables: true);
        return new ModelBundle(new TransformerModel<float>(weights), tokenizer) { TokenizerProblem = problem, Run = RunMark.Of(file.Metadata) };
    }

    /// <summary>The weights of an open file, and its tokenizer or why it cannot be read. No model is made of them.</summary>
    internal static (TransformerWeights Weights, ITokenizer? Tokenizer, string? TokenizerProblem) LoadWeights(RbeContainer file, RbeLoadOptions options)
    {
        RequireKind(file);
        return ReadWeights(file, options, [], storesTables: false);
    }

    /// <summary>Metadata and tensors of a model's file. Its vectors are read where they lie when the file is written.</summary>
    internal static (JsonObject Metadata, List<RbeTensor> Tensors) Content(TransformerModel<float> model, ITokenizer? tokenizer,
        IReadOnlyDictionary<string, CompressionReport>? reports)
    {
        ArgumentNullException.ThrowIfNull(model);
        FiniteWeights.Check(model.Parameters);
        IEnumerable<ParameterSlice> vectors = model.Parameters.Slices.Where(s => s.Kind is not (ParameterKind.Alpha or ParameterKind.Coefficient));
        ModelFacts facts = new(model.Config, model.Tokens, model.Encoder, model.TokenTypes);
        return Content(facts, model.Matrices, vectors.Select(slice => RbeTensor.From(model.Parameters, slice)), tokenizer, reports);
    }

    private static (JsonObject Metadata, List<RbeTensor> Tensors) Content(
        ModelFacts facts, IEnumerable<(string Name, RbeMatrix Matrix)> matrices, IEnumerable<RbeTensor> vectors,
        ITokenizer? tokenizer, IReadOnlyDictionary<string, CompressionReport>? reports)
    {
        JsonArray entries = [];
        List<RbeTensor> tensors = [];
        HashSet<string> unused = reports is null ? [] : [.. reports.Keys];
        foreach ((string name, RbeMatrix matrix) in matrices)
        {
            RbeMatrixFile.Add(name, matrix, unused.Remove(name) ? reports![name] : null, entries, tensors);
        }

        if (unused.Count > 0)
        {
            throw new InvalidSettingException("reports", unused.First(),
                "the model has no matrix of that name. Give reports by the names of TransformerModel.Matrices.");
        }

        tensors.AddRange(vectors);
        if (facts.TokenTypes is { } types) tensors.Add(RbeTensor.From(TypesName, types));
        JsonObject metadata = new() { ["kind"] = ContentKind.Model, ["config"] = Describe(facts.Config), ["matrices"] = entries };
        if (facts.Encoder is { } encoder) EncoderJson.AddTo(metadata, facts.Config, encoder);
        if (tokenizer is not null) metadata["tokenizer"] = TokenizerJson.Save(tokenizer);
        if (EndTokens(facts.Config, facts.Tokens, tokenizer) is { } ends) metadata[EndTokensKey] = new JsonArray([.. ends.Select(id => (JsonNode)id)]);
        return (metadata, tensors);
    }

    // The model's end tokens where the tokenizer does not say the same; null writes nothing.
    private static IReadOnlyList<int>? EndTokens(TransformerConfig config, ModelTokens tokens, ITokenizer? tokenizer)
    {
        IReadOnlyList<int> unsaid = ModelTokens.Unknown.With(tokenizer, config.Vocabulary).EndTokens ?? [];
        return tokens.EndTokens is { } ends && !ends.SequenceEqual(unsaid) ? ends : null;
    }

    // What a file says of a model besides its values.
    private sealed record ModelFacts(TransformerConfig Config, ModelTokens Tokens, EncoderSettings? Encoder, float[]? TokenTypes);

    private static void RequireKind(RbeContainer file) => ContentKind.Require(new JsonFields(file.Path, "metadata", file.Metadata), ContentKind.Model,
        "Give a file that finetune, or compress of a model's folder, wrote.");

    /// <summary>What a reader must know to compute a model rightly.</summary>
    internal static uint Features(TransformerConfig config, EncoderSettings? encoder = null) =>
        (encoder is null ? 0 : RbeContainerWriter.EncoderFeature)
        | (config.HasUsualAttentionScale ? 0 : RbeContainerWriter.AttentionScaleFeature)
        | (config.Order == BlockOrder.PreNorm ? 0 : RbeContainerWriter.BlockOrderFeature);

    // Keys that came later are there only where they say something.
    internal static JsonObject Describe(TransformerConfig config)
    {
        JsonObject json = new()
        {
            ["width"] = config.Width,
            ["feedForwardWidth"] = config.FeedForwardWidth,
            ["heads"] = config.Heads,
            ["layers"] = config.Layers,
            ["vocabulary"] = config.Vocabulary,
            ["maxSequenceLength"] = config.MaxSequenceLength,
            ["dropout"] = (double)config.Dropout,
            ["layerNormEpsilon"] = config.LayerNormEpsilon,
            ["gelu"] = config.Gelu.ToString(),
            ["causal"] = config.Causal,
            ["tiedHead"] = config.TiedHead,
            ["layerNorm"] = config.LayerNorm.ToString(),
        };
        if (config.AttentionDropout is { } attention) json["attentionDropout"] = (double)attention;
        if (config.EmbeddingDropout is { } embedding) json["embeddingDropout"] = (double)embedding;
        if (!config.ScaleAttention) json["scaleAttention"] = false;
        if (config.ScaleAttentionByLayer) json["scaleAttentionByLayer"] = true;
        if (config.Order != BlockOrder.PreNorm) json["order"] = config.Order.ToString();
        if (config.FirstLayer > 0) json["firstLayer"] = config.FirstLayer;
        return json;
    }
}
