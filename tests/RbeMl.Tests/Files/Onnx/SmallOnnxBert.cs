namespace RbeMl.Tests.Files;

/// <summary>How an exporter writes what can be written in several ways; the defaults are those of older exporters of PyTorch.</summary>
internal sealed record OnnxStyle
{
    /// <summary>Before every name.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>How floats are stored.</summary>
    public OnnxWriter.Storage Storage { get; init; }

    /// <summary>MatMul and Add, or Gemm with the matrix turned or not, or MatMul of a turned matrix that kept its name.</summary>
    public string Product { get; init; } = "MatMul";

    /// <summary>LayerNorms as one node.</summary>
    public bool NormNodes { get; init; }

    /// <summary>Erf (of five nodes), Gelu, GeluTanh (one node), Tanh (of several) or Relu.</summary>
    public string Activation { get; init; } = "Erf";

    /// <summary>Shapes as one constant instead of joined parts; without any where null.</summary>
    public bool? WholeShapes { get; init; } = false;

    /// <summary>Whether equal vectors are stored once.</summary>
    public bool Shared { get; init; }

    /// <summary>Whether constants are initialisers.</summary>
    public bool FoldedConstants { get; init; }
}

/// <summary>An ONNX file of a BERT encoder of random weights, with as much of the graph as tells what its weights are.</summary>
internal sealed class SmallOnnxBert
{
    public const int Width = 8, Hidden = 12, Heads = 2, Layers = 2, Words = 11, Positions = 6;
    public const float Epsilon = 1e-12f;

    private readonly Dictionary<string, (float[] Values, long[] Shape)> _weights = [];
    private readonly OnnxWriter _file = new();
    private readonly OnnxStyle _style;
    private readonly Random _random = new(5);
    private int _names;

    public SmallOnnxBert(OnnxStyle? style = null)
    {
        _style = style ?? new OnnxStyle();
        Build();
    }

    /// <summary>The file.</summary>
    public OnnxWriter File => _file;

    /// <summary>Values by their plain Hugging Face names; matrices [out, in].</summary>
    public IReadOnlyDictionary<string, (float[] Values, long[] Shape)> Weights => _weights;

    private void Build()
    {
        foreach ((string name, int rows) in ((string, int)[])[("word", Words), ("position", Positions), ("token_type", 2)])
        {
            string full = $"embeddings.{name}_embeddings.weight";
            _file.Add(_style.Prefix + full, Values(full, rows, Width), [rows, Width], _style.Storage);
        }

        string x = Norm("embeddings.LayerNorm",
            _file.Node("Gather", [_style.Prefix + "embeddings.word_embeddings.weight", "input_ids"], Next()));
        for (int l = 0; l < Layers; l++)
        {
            string p = $"encoder.layer.{l}.", attention = "";
            foreach (string part in (string[])["query", "key", "value"])
            {
                attention = Shaped(Linear($"{p}attention.self.{part}", x, Width, Width));
            }

            string m = Norm(p + "attention.output.LayerNorm", Linear(p + "attention.output.dense", attention, Width, Width));
            x = Norm(p + "output.LayerNorm",
                Linear(p + "output.dense", Activation(Linear(p + "intermediate.dense", m, Width, Hidden)), Hidden, Width));
        }

        _file.Node("Tanh", [Linear("pooler.dense", x, Width, Width)], Next());
    }

    private string Linear(string name, string x, int inputs, int outputs)
    {
        float[] weight = Values(name + ".weight", outputs, inputs);
        string bias = Vector(name + ".bias", outputs);
        bool keeps = _style.Product is "GemmTurned" or "NamedMatMul";
        string matrix = keeps ? _style.Prefix + name + ".weight" : $"onnx::MatMul_{_names++}";
        float[] turned = [.. Enumerable.Range(0, inputs * outputs).Select(i => weight[(i % outputs * inputs) + (i / outputs)])];
        _file.Add(matrix, keeps ? weight : turned, keeps ? [outputs, inputs] : [inputs, outputs], _style.Storage);
        if (_style.Product == "GemmTurned") return _file.Node("Gemm", [x, matrix, bias], Next(), OnnxWriter.Attribute("transB", 1L));
        if (_style.Product == "Gemm") return _file.Node("Gemm", [x, matrix, bias], Next());
        string factor = keeps ? _file.Node("Transpose", [matrix], Next()) : matrix;
        return _file.Node("Add", [bias, _file.Node("MatMul", [x, factor], Next())], Next());
    }

    private string Vector(string name, int length)
    {
        bool shared = _style.Shared && name.EndsWith("LayerNorm.bias", StringComparison.Ordinal)
            && name.StartsWith("encoder.layer.1.", StringComparison.Ordinal);
        if (shared)
        {
            string first = name.Replace(".1.", ".0.", StringComparison.Ordinal);
            _weights[name] = _weights[first];
            return _file.Node("Identity", [_style.Prefix + first], _style.Prefix + name);
        }

        _file.Add(_style.Prefix + name, Values(name, length), [length], _style.Storage);
        return _style.Prefix + name;
    }

    private string Norm(string name, string x)
    {
        string gamma = Vector(name + ".weight", Width), beta = Vector(name + ".bias", Width);
        if (_style.NormNodes) return _file.Node("LayerNormalization", [x, gamma, beta], Next(), OnnxWriter.Attribute("epsilon", Epsilon));
        string variance = _file.Node("ReduceMean", [_file.Node("Pow", [x, Scalar(2)], Next())], Next());
        string deviation = _file.Node("Sqrt", [_file.Node("Add", [variance, Scalar(Epsilon)], Next())], Next());
        string unit = _file.Node("Mul", [_file.Node("Div", [x, deviation], Next()), gamma], Next());
        return _file.Node("Add", [unit, beta], Next());
    }

    private string Activation(string x) => _style.Activation switch
    {
        "Erf" => _file.Node("Mul",
            [x, _file.Node("Add", [_file.Node("Erf", [_file.Node("Div", [x, Scalar(MathF.Sqrt(2))], Next())], Next()), Scalar(1)], Next())],
            Next()),
        "GeluTanh" => _file.Node("Gelu", [x], Next(), OnnxWriter.Attribute("approximate", "tanh")),
        _ => _file.Node(_style.Activation, [x], Next()),
    };

    private string Shaped(string x)
    {
        if (_style.WholeShapes is not { } whole) return x;
        string shape = whole ? Integers(0, 0, Heads, Width / Heads)
            : _file.Node("Concat",
                [_file.Node("Shape", [x], Next()), _file.Node("Shape", [x], Next()), Integers(Heads), Integers(Width / Heads)], Next());
        return _file.Node("Reshape", [x, shape], Next());
    }

    private string Scalar(float value)
    {
        if (!_style.FoldedConstants) return _file.Constant(Next(), value);
        string name = Next();
        _file.Add(name, [value], Array.Empty<long>());
        return name;
    }

    private string Integers(params long[] values)
    {
        if (!_style.FoldedConstants) return _file.Constant(Next(), values);
        string name = Next();
        _file.Add(name, values);
        return name;
    }

    // Multiples of 1/64, which are halves too.
    private float[] Values(string name, params int[] shape)
    {
        float[] values = [.. Enumerable.Range(0, shape.Aggregate((a, b) => a * b)).Select(_ => _random.Next(-64, 65) / 64f)];
        _weights[name] = (values, [.. shape.Select(side => (long)side)]);
        return values;
    }

    private string Next() => $"n{_names++}";
}
