using System.Globalization;
using RbeMl.Kernels;

namespace RbeMl.Files;

/// <summary>Weights of a model in an ONNX file.</summary>
/// <param name="Tensor">Where their values stand.</param>
/// <param name="Transposed">Whether a matrix lies [in, out].</param>
internal sealed record OnnxWeight(OnnxTensor Tensor, bool Transposed);

/// <summary>What the graph of an encoder tells: which matrix has which name, and the constants of the computation.</summary>
internal sealed class OnnxGraph
{
    private const string Bias = "bias", Weight = "weight";

    /// <summary>Most nodes between a tensor and its use; graphs of damaged files may run in circles.</summary>
    private const int MostSteps = 8;

    // Operations by which tools compute with rounded weights, and the names of tensors by which other models are known.
    private static readonly string[] Rounded =
        ["MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QAttention", "DequantizeLinear",
            "MatMulNBits", "QGemm"];

    private static readonly string[] Fused = ["Attention", "MultiHeadAttention", "EmbedLayerNormalization", "SkipLayerNormalization",
        "BiasGelu", "FastGelu"];

    private static readonly (string Part, string Kind)[] Others =
    [
        ("relative_attention_bias", "an MPNet or T5"), ("distance_embedding", "a BERT with relative positions"),
            ("attention.q_lin.", "a DistilBERT"),
        ("attn.Wqkv", "a ModernBERT or NomicBERT"), ("rel_embeddings", "a DeBERTa"), ("attn.c_attn", "a GPT-2"),
            ("self_attn.q_proj", "a language model"),
        ("albert_layer", "an ALBERT"), ("embeddings_project", "an ELECTRA with narrow embeddings"), ("patch_embed", "an image model"),
    ];

    private readonly OnnxModel _model;
    private readonly Dictionary<string, OnnxNode> _makers = new(StringComparer.Ordinal);

    public OnnxGraph(OnnxModel model)
    {
        _model = model;
        foreach (OnnxNode node in model.Nodes)
        {
            foreach (string output in node.Outputs) _makers.TryAdd(output, node);
        }
    }

    /// <summary>What is wrong with a file that is no plain BERT encoder, and the mend; null where nothing is.</summary>
    /// <param name="prefixes">What stands before the names of word embeddings; one a model.</param>
    public string? Foreign(IReadOnlyList<string> prefixes)
    {
        if (_model.Nodes.FirstOrDefault(node => Rounded.Contains(node.Operation)) is { } rounded)
        {
            return $"holds rounded weights (its graph has {rounded.Operation}). {OnnxModel.NeedsFloats}";
        }

        if (_model.Nodes.FirstOrDefault(node => Fused.Contains(node.Operation)) is { } fused)
        {
            return $"was optimised for one runtime (its graph has {fused.Operation}), which joins weights. Give the file it was made from.";
        }

        foreach ((string part, string kind) in Others)
        {
            bool has = _model.Tensors.Keys.Any(name => name.Contains(part, StringComparison.Ordinal));
            if (has) return $"is {kind}, a BERT encoder is needed.";
        }

        if (prefixes.Count == 0)
        {
            string tensors = Amount.Of(_model.Tensors.Count, "tensor");
            return $"is no BERT encoder: none of its {tensors} is named {OnnxEncoder.Words}. Give the ONNX file of one.";
        }

        // RoBERTa counts the positions of tokens that are no padding.
        return _model.Nodes.Any(node => node.Operation == "CumSum")
            ? "is a RoBERTa (it counts its positions from the padding), a BERT encoder is needed." : null;
    }

    /// <summary>All weights whose names have a prefix, by their names without it.</summary>
    public Dictionary<string, OnnxWeight> Weights(string prefix)
    {
        Dictionary<string, OnnxWeight> weights = new(StringComparer.Ordinal);
        foreach ((string name, OnnxTensor tensor) in _model.Tensors)
        {
            if (tensor.Element is not null && Plain(name) is { } plain) weights[plain] = new OnnxWeight(tensor with { Name = name }, false);
        }

        foreach (OnnxNode node in _model.Nodes)
        {
            // Equal tensors are stored once by some exporters.
            if (node.Operation == "Identity" && Source(node.Output) is { } source && Plain(node.Output) is { } plain)
            {
                weights.TryAdd(plain, new OnnxWeight(source, false));
            }
            else if (Product(node, out string? bias) is { } product && bias is not null && Plain(bias) is { } named
                && named.EndsWith(Bias, StringComparison.Ordinal))
            {
                weights[named[..^Bias.Length] + Weight] = product;
            }
        }

        return weights;

        string? Plain(string name) => name.StartsWith(prefix, StringComparison.Ordinal) && (name.EndsWith(Weight, StringComparison.Ordinal)
            || name.EndsWith(Bias, StringComparison.Ordinal)) ? name[prefix.Length..] : null;
    }

    /// <summary>Epsilon of the LayerNorms, of which there is one.</summary>
    public double Epsilon()
    {
        HashSet<double> found = [];
        foreach (OnnxNode node in _model.Nodes)
        {
            if (node.Operation == "LayerNormalization") found.Add(Decimal((float)node.Numbers.GetValueOrDefault("epsilon", 1e-5f)));
            if (node is not { Operation: "Sqrt", Inputs: [string input, ..] } || Maker(input) is not { Operation: "Add" } sum) continue;
            foreach (string term in sum.Inputs)
            {
                if (Scalar(term) is { } epsilon) found.Add(Decimal(epsilon));
            }
        }

        if (found.Count == 1) return found.First();
        string values = string.Join(", ", found.Order().Select(value => value.ToString("R", CultureInfo.InvariantCulture)));
        throw new RbeFileException(_model.Path, found.Count == 0
            ? "has no LayerNorms in its graph, so it is no BERT encoder. Give the ONNX file of one."
            : $"has LayerNorms with different epsilons ({values}); one is needed. Give the file of another model.");
    }

    /// <summary>The activation of the feed-forward layers.</summary>
    /// <param name="layers">Blocks.</param>
    public GeluKind Gelu(int layers)
    {
        int exact = Count("Erf"), tanh = Count("Tanh");
        foreach (OnnxNode node in _model.Nodes)
        {
            if (node.Operation != "Gelu") continue;
            if (node.Texts.GetValueOrDefault("approximate") == "tanh") tanh++;
            else exact++;
        }

        // One tanh more is that of a pooler.
        if (exact >= layers && exact > 0) return GeluKind.Erf;
        return tanh >= layers && tanh > 0 ? GeluKind.Tanh
            : throw new RbeFileException(_model.Path,
                "has feed-forward layers whose activation is no GELU, which is needed. Give the file of another model.");
    }

    /// <summary>Attention heads, from the shapes that queries, keys and values are given; null where the graph does not tell.</summary>
    /// <param name="width">Model width.</param>
    public int? Heads(long width)
    {
        HashSet<long> found = [];
        foreach (OnnxNode node in _model.Nodes)
        {
            if (node is { Operation: "Reshape", Inputs: [_, string shape, ..] } && Sides(shape) is { Count: 4 } sides
                && sides[2] is { } heads and > 0 && (sides[3] is null or -1 || heads * sides[3] == width) && width % heads == 0)
            {
                found.Add(heads);
            }
        }

        return found.Count == 1 && found.First() <= int.MaxValue ? (int)found.First() : null;
    }

    // The weights of a node that multiplies by a matrix, and the bias that is added to the product.
    private OnnxWeight? Product(OnnxNode node, out string? bias)
    {
        bias = null;
        if (node is { Operation: "Gemm", Inputs: [_, string matrix, string added, ..] })
        {
            bias = Name(added);
            return Matrix(matrix, node.Numbers.GetValueOrDefault("transB") == 0);
        }

        if (node is not { Operation: "Add", Inputs: [string left, string right] }) return null;
        foreach ((string term, string other) in ((string, string)[])[(left, right), (right, left)])
        {
            if (Source(other) is null || Maker(term) is not { Operation: "MatMul", Inputs: [_, string factor] }) continue;
            bias = Name(other);
            return Matrix(factor, true);
        }

        return null;
    }

    // A matrix, turned by the nodes between it and its use.
    private OnnxWeight? Matrix(string name, bool transposed)
    {
        for (int steps = 0; steps < MostSteps; steps++)
        {
            if (_model.Tensors.TryGetValue(name, out OnnxTensor? tensor)) return tensor.Shape.Count == 2
                ? new OnnxWeight(tensor, transposed) : null;
            if (Maker(name) is not { Operation: "Transpose" or "Identity" or "Cast", Inputs: [string input, ..] } node) return null;
            if (node.Operation == "Transpose") transposed = !transposed;
            name = input;
        }

        return null;
    }

    // The tensor that a name stands for, through Identity and Cast.
    private OnnxTensor? Source(string name)
    {
        for (int steps = 0; steps < MostSteps; steps++)
        {
            if (_model.Tensors.TryGetValue(name, out OnnxTensor? tensor)) return tensor;
            if (Maker(name) is not { Operation: "Identity" or "Cast", Inputs: [string input, ..] }) return null;
            name = input;
        }

        return null;
    }

    // The name of the weights behind a Cast; an Identity has a name of its own.
    private string Name(string value) =>
        Maker(value) is { Operation: "Cast", Inputs: [string input, ..] } ? input : value;

    private OnnxNode? Maker(string name) => _makers.GetValueOrDefault(name);

    private float? Scalar(string name) => Source(name) is { } tensor ? _model.Scalar(tensor) : null;

    // The sides of a shape, null for one that the input decides.
    private List<long?>? Sides(string name)
    {
        if (Source(name) is { } tensor) return _model.Integers(tensor, 4)?.Select(side => (long?)side).ToList();
        if (Maker(name) is not { Operation: "Concat" } joined || joined.Inputs.Count > 4) return null;
        List<long?> sides = [];
        foreach (string part in joined.Inputs)
        {
            if (Source(part) is { } constant
                && _model.Integers(constant, 4) is { } known) sides.AddRange(known.Select(side => (long?)side));
            else sides.Add(null);
        }

        return sides;
    }

    private int Count(string operation) => _model.Nodes.Count(node => node.Operation == operation);

    // The decimal number that was rounded to a float: 1e-12, not 9.99999996e-13.
    private static double Decimal(float value) =>
        double.Parse(value.ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
}
