using System.Text.Json.Nodes;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Numerics;
using RbeMl.Storage;
using RbeMl.Text;

namespace RbeMl.Files;

/// <summary>
/// A GPT-2 model of compressed blocks in a <c>.rbe</c> container. Every trainable value is stored as it is, so a model that was saved and
/// loaded gives the same logits, bit for bit.
/// </summary>
public static partial class Gpt2File
{
    internal const string Kind = "rbeml-gpt2";
    private const string EndTokensKey = "endTokens";

    /// <summary>Saves a model, as a whole or not at all.</summary>
    /// <param name="path">The file.</param>
    /// <param name="model">The model.</param>
    /// <param name="tokenizer">Its tokenizer, to travel along; null for none.</param>
    /// <param name="reports">
    /// What compression measured, by matrix name, to travel along for <see cref="RbeInspection"/>; null for none. Loading leaves reports in the file: a
    /// model that is trained on and saved no longer has those errors.
    /// </param>
    /// <param name="run">The training run that the weights are of, for readers of <see cref="Gpt2Bundle.Run"/>; null for none.</param>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite; nothing is written.</exception>
    /// <exception cref="InvalidSettingException">The tokenizer is not of this library, or a report is of no matrix.</exception>
    /// <exception cref="ShapeMismatchException">A report is of a matrix with another number of tiles.</exception>
    public static void Save(string path, Gpt2Model<float> model, ITokenizer? tokenizer = null, IReadOnlyDictionary<string, CompressionReport>? reports = null, RunMark? run = null)
    {
        (JsonObject metadata, List<RbeTensor> tensors) = Content(model, tokenizer, reports);
        run?.AddTo(metadata);
        RbeContainerWriter.Write(path, metadata, tensors, Features(model.Config));
    }

    /// <summary>Writes a model's file to a stream, which need not be able to seek and stays open; its own errors pass through.</summary>
    /// <inheritdoc cref="Save(string, Gpt2Model{float}, ITokenizer?, IReadOnlyDictionary{string, CompressionReport}?, RunMark?)"/>
    public static void Save(Stream stream, Gpt2Model<float> model, ITokenizer? tokenizer = null, IReadOnlyDictionary<string, CompressionReport>? reports = null, RunMark? run = null)
    {
        (JsonObject metadata, List<RbeTensor> tensors) = Content(model, tokenizer, reports);
        run?.AddTo(metadata);
        RbeContainerWriter.Write(stream, metadata, tensors, Features(model.Config));
    }

    /// <summary>Loads a model and checks every checksum.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RbeFileException">The file is no model, damaged, or a tensor is missing, left over or of a wrong shape.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static Gpt2Bundle Load(string path) => Load(path, new RbeLoadOptions());

    /// <summary>
    /// Loads a model. Codes stay in the file where <see cref="RbeLoadOptions.Map"/> says so; the model may still be saved over its own file (but for
    /// Windows, see there).
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Whether codes are mapped and checked.</param>
    /// <exception cref="RbeFileException">The file is no model, damaged, or a tensor is missing, left over or of a wrong shape.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static Gpt2Bundle Load(string path, RbeLoadOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        using RbeContainer file = RbeContainer.Open(path);
        return Load(file, options);
    }

    /// <summary>
    /// Loads a model from a stream, which need not be able to seek, and checks every checksum. The file's last byte is the last that is read, and memory is
    /// taken only for bytes that came.
    /// </summary>
    /// <param name="stream">The stream; it stays open.</param>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="RbeFileException">It holds no model, is damaged or cut, or a tensor is missing, left over or of a wrong shape.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public static Gpt2Bundle Load(Stream stream, string name = "stream")
    {
        using RbeContainer file = RbeContainer.Open(stream, name);
        return Load(file, new RbeLoadOptions { Map = false });
    }

    /// <summary>The model of an open file, which stays open.</summary>
    internal static Gpt2Bundle Load(RbeContainer file, RbeLoadOptions options)
    {
        RequireKind(file);
        return Read(file, options, []);
    }

    /// <summary>The model of an open container; <paramref name="read"/> are the tensors that belong to something else, and then all.</summary>
    internal static Gpt2Bundle Read(RbeContainer file, RbeLoadOptions options, HashSet<string> read)
    {
        string path = file.Path;
        JsonFields metadata = new(path, "metadata", file.Metadata);
        TransformerConfig config = ReadConfig(metadata.Object("config"));
        (ITokenizer? tokenizer, string? problem) = ReadTokenizer(metadata);

        Dictionary<string, RbeMatrix> matrices = [];
        foreach (JsonFields entry in metadata.Objects("matrices"))
        {
            (string name, RbeMatrix matrix) = RbeMatrixFile.Read(file, entry, read, options);
            if (!matrices.TryAdd(name, matrix)) throw new RbeFileException(path, $"matrix \"{name}\" is listed twice. Write the file again.");
        }

        Gpt2Model<float> model = Build(file, config, matrices, () => ReadTokens(metadata, tokenizer, config.Vocabulary));
        try
        {
            ReadVectors(file, model, read);
            if (file.Tensors.FirstOrDefault(t => !read.Contains(t.Name)) is { } extra) throw new RbeFileException(path, $"tensor \"{extra.Name}\" belongs to no part of the model. Write the file again.");
            return new Gpt2Bundle(model, tokenizer) { TokenizerProblem = problem, Run = RunMark.Of(file.Metadata) };
        }
        catch
        {
            model.Parameters.Dispose();
            throw;
        }
    }

    /// <summary>Metadata and tensors of a model's file.</summary>
    internal static unsafe (JsonObject Metadata, List<RbeTensor> Tensors) Content(Gpt2Model<float> model, ITokenizer? tokenizer, IReadOnlyDictionary<string, CompressionReport>? reports)
    {
        ArgumentNullException.ThrowIfNull(model);
        CheckFinite(model.Parameters);
        JsonArray matrices = [];
        List<RbeTensor> tensors = [];
        HashSet<string> unused = reports is null ? [] : [.. reports.Keys];
        foreach ((string name, RbeMatrix matrix) in model.Matrices)
        {
            RbeMatrixFile.Add(name, matrix, unused.Remove(name) ? reports![name] : null, matrices, tensors);
        }

        if (unused.Count > 0) throw new InvalidSettingException("reports", unused.First(), "the model has no matrix of that name. Give reports by the names of Gpt2Model.Matrices.");

        HashSet<string> stored = [.. tensors.Select(t => t.Name)];
        foreach (ParameterSlice slice in model.Parameters.Slices.Where(s => !stored.Contains(s.Name))) tensors.Add(RbeTensor.From(model.Parameters, slice));
        JsonObject metadata = new() { ["kind"] = Kind, ["config"] = Describe(model.Config), ["matrices"] = matrices };
        if (tokenizer is not null) metadata["tokenizer"] = TokenizerJson.Save(tokenizer);
        if (EndTokens(model, tokenizer) is { } ends) metadata[EndTokensKey] = new JsonArray([.. ends.Select(id => (JsonNode)id)]);
        return (metadata, tensors);
    }

    // The model's end tokens where the tokenizer does not say the same; null writes nothing.
    private static IReadOnlyList<int>? EndTokens(Gpt2Model<float> model, ITokenizer? tokenizer)
    {
        IReadOnlyList<int> unsaid = ModelTokens.Unknown.With(tokenizer, model.Config.Vocabulary).EndTokens ?? [];
        return model.Tokens.EndTokens is { } ends && !ends.SequenceEqual(unsaid) ? ends : null;
    }

    private static void RequireKind(RbeContainer file)
    {
        string kind = new JsonFields(file.Path, "metadata", file.Metadata).Text("kind");
        if (kind != Kind) throw new RbeFileException(file.Path, $"holds \"{kind}\", a model (\"{Kind}\") is needed. Give a file that finetune, or compress of a model's folder, wrote.");
    }

    internal static void CheckFinite(ParameterVector<float> parameters)
    {
        using Hold held = parameters.Lease.Share();
        foreach (ParameterSlice slice in parameters.Slices)
        {
            ReadOnlySpan<float> values = parameters.Of(slice);
            int bad = FiniteSearch.IndexOfNonFinite(values);
            if (bad >= 0) throw new NonFiniteException(slice.Name, FormattableString.Invariant($"value {values[bad]} at element {bad}. The training diverged: lower the learning rate; the file stays as it was."));
        }
    }

    /// <summary>What a reader must know to compute a model rightly.</summary>
    internal static uint Features(TransformerConfig config) => config.HasUsualAttentionScale ? 0 : RbeContainerWriter.AttentionScaleFeature;

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
        if (config.FirstLayer > 0) json["firstLayer"] = config.FirstLayer;
        return json;
    }
}
