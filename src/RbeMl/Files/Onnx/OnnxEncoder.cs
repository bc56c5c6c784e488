using RbeMl.Layers;
using RbeMl.Numerics;

namespace RbeMl.Files;

/// <summary>
/// The weights of a BERT encoder in an ONNX file, by the names that they have in a Hugging Face folder, and its configuration, as far as
/// its graph tells. An exporter keeps the names of embeddings, biases and LayerNorms; matrices lose theirs and lie [in, out]: each is named
/// by the bias that is added to its product.
/// </summary>
internal sealed class OnnxEncoder : IDisposable
{
    /// <summary>Name of the word embeddings, whose prefix all names share.</summary>
    public const string Words = "embeddings.word_embeddings.weight";

    private const string Positions = "embeddings.position_embeddings.weight", Types = "embeddings.token_type_embeddings.weight";
    private const string FirstHidden = "encoder.layer.0.intermediate.dense.weight";
    private readonly OnnxModel _model;
    private readonly Dictionary<string, OnnxWeight> _weights;

    private OnnxEncoder(OnnxModel model, Dictionary<string, OnnxWeight> weights, TransformerConfig config)
    {
        (_model, _weights, Config) = (model, weights, config);
    }

    /// <summary>The file.</summary>
    public string Path => _model.Path;

    /// <summary>Shapes and constants.</summary>
    public TransformerConfig Config { get; }

    /// <summary>All names, in order.</summary>
    public IReadOnlyList<string> Names => [.. _weights.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Opens a file and finds the encoder's weights and configuration in its graph.</summary>
    /// <param name="path">The file.</param>
    /// <param name="heads">Attention heads where the graph does not tell; null to fail then.</param>
    /// <exception cref="RbeFileException">
    /// The file is no ONNX file, is damaged, or is of another kind of model; the message says which.
    /// </exception>
    public static OnnxEncoder Open(string path, int? heads = null)
    {
        OnnxModel model = OnnxModel.Open(path);
        try
        {
            OnnxGraph graph = new(model);
            Dictionary<string, OnnxWeight> weights = graph.Weights(Prefix(model, graph));
            return new OnnxEncoder(model, weights, Read(model, graph, weights, heads));
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>Rows of the embedding of token types.</summary>
    public int TokenTypes => (int)Shape(Find(_model, _weights, Types)).Rows;

    /// <summary>Checks that all weights are there, are floats, and have their shapes.</summary>
    /// <exception cref="RbeFileException">They have not.</exception>
    public void RequireShapes(IEnumerable<(string Name, long[] Shape)> all)
    {
        foreach ((string name, long[] shape) in all)
        {
            OnnxWeight weight = Find(_model, _weights, name);
            IEnumerable<long> stored = weight.Transposed ? weight.Tensor.Shape.Reverse() : weight.Tensor.Shape;
            if (weight.Tensor.Element is null) throw new RbeFileException(Path,
                $"holds {name} as {weight.Tensor.Describe()}. {OnnxModel.NeedsFloats}");
            if (!stored.SequenceEqual(shape))
            {
                throw new RbeFileException(Path, $"holds {name} as [{string.Join(", ", stored)}], its other weights ask for "
                    + $"[{string.Join(", ", shape)}]. Take the model from a sound source.");
            }
        }
    }

    /// <summary>Row-major values; matrices [out, in].</summary>
    /// <param name="name">The name in a Hugging Face folder, e.g. <c>encoder.layer.0.attention.self.query.weight</c>.</param>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    /// <exception cref="RbeFileException">There are none, they are no floats, or they cannot be read.</exception>
    public unsafe float[] Read(string name)
    {
        OnnxWeight weight = Find(_model, _weights, name);
        float[] stored = _model.Floats(weight.Tensor);
        if (!weight.Transposed) return stored;
        int rows = (int)weight.Tensor.Shape[0], columns = (int)weight.Tensor.Shape[1];
        float[] turned = GC.AllocateUninitializedArray<float>(stored.Length);
        fixed (float* source = stored, target = turned) ElementwiseTranspose.Transpose(source, rows, columns, columns, target, rows);
        return turned;
    }

    /// <inheritdoc/>
    public void Dispose() => _model.Dispose();

    private static OnnxWeight Find(OnnxModel model, Dictionary<string, OnnxWeight> weights, string name) =>
        weights.TryGetValue(name, out OnnxWeight? weight) ? weight
            : throw new RbeFileException(model.Path,
                $"has no weights that its graph uses as {name}. Export the model anew, with the names of its parameters and without "
                    + "optimising its graph.");

    // What stands before the names of the encoder's weights ("bert.", "auto_model.", nothing).
    private static string Prefix(OnnxModel model, OnnxGraph graph)
    {
        string[] prefixes = [.. model.Tensors.Keys.Where(name => name.EndsWith(Words, StringComparison.Ordinal)).Select(name =>
            name[..^Words.Length])];
        if (graph.Foreign(prefixes) is { } problem) throw new RbeFileException(model.Path, problem);
        return prefixes.Length == 1 ? prefixes[0]
            : throw new RbeFileException(model.Path, $"holds {prefixes.Length} encoders, one is needed. Give a file of one model.");
    }

    private static TransformerConfig Read(OnnxModel model, OnnxGraph graph, Dictionary<string, OnnxWeight> weights, int? heads)
    {
        (long Rows, long Columns) words = Matrix(Words), positions = Matrix(Positions), hidden = Matrix(FirstHidden);
        int layers = 0;
        while (weights.ContainsKey($"encoder.layer.{layers}.output.dense.bias")) layers++;
        TransformerConfig config = new()
        {
            Width = (int)words.Columns,
            FeedForwardWidth = (int)hidden.Rows,
            Layers = layers,
            Vocabulary = (int)words.Rows,
            MaxSequenceLength = (int)positions.Rows,
            LayerNormEpsilon = graph.Epsilon(),
            Gelu = graph.Gelu(layers),
            Heads = graph.Heads(words.Columns) ?? heads ?? throw new RbeFileException(model.Path,
                "has a graph that does not tell the number of attention heads. Put the config.json of its model beside it."),
            Causal = false,
            Order = BlockOrder.PostNorm,
        };
        try
        {
            return config.Validate();
        }
        catch (InvalidSettingException error)
        {
            throw new RbeFileException(model.Path, $"describes no encoder that can be computed: {error.Message}", error);
        }

        (long Rows, long Columns) Matrix(string name)
        {
            (long rows, long columns) = Shape(Find(model, weights, name));
            return rows is >= 1 and <= int.MaxValue && columns is >= 1 and <= int.MaxValue ? (rows, columns)
                : throw new RbeFileException(model.Path,
                    $"holds {name} as {weights[name].Tensor.Describe()}, a matrix is needed. Take the model from a sound source.");
        }
    }

    // Of [out, in]; nothing for what is no matrix.
    private static (long Rows, long Columns) Shape(OnnxWeight weight) => weight.Tensor.Shape is not [long first, long second] ? (0, 0)
        : weight.Transposed ? (second, first) : (first, second);
}
