using RbeMl.Layers;
using RbeMl.Oracle.Tests.Support;
using TorchSharp;
using TorchSharp.Modules;

namespace RbeMl.Oracle.Tests.Reference;

/// <summary>A dense linear layer as arrays.</summary>
/// <param name="Rows">Outputs.</param>
/// <param name="Columns">Inputs.</param>
/// <param name="Weight">[out, in].</param>
/// <param name="Bias">[out].</param>
internal sealed record DenseMatrix(int Rows, int Columns, float[] Weight, float[] Bias)
{
    /// <summary>The layer in torch, its parameters leaves.</summary>
    public TorchDenseLinear ToTorch(torch.ScalarType type) => new(Leaf(Weight, type, Rows, Columns), Leaf(Bias, type, Rows));

    /// <summary>A leaf with the values, which an optimiser accepts.</summary>
    public static Parameter Leaf(float[] values, torch.ScalarType type, params long[] shape) => new(Tensors.From(values, shape).to(type));
}

/// <summary>The dense weights of a pre-LN block as arrays, the common start of torch's block and of ours.</summary>
/// <param name="Ln1Gamma">[D].</param>
/// <param name="Ln1Beta">[D].</param>
/// <param name="Query">D x D.</param>
/// <param name="Key">D x D.</param>
/// <param name="Value">D x D.</param>
/// <param name="Output">D x D.</param>
/// <param name="Ln2Gamma">[D].</param>
/// <param name="Ln2Beta">[D].</param>
/// <param name="Expand">F x D.</param>
/// <param name="Contract">D x F.</param>
internal sealed record DenseBlock(
    float[] Ln1Gamma, float[] Ln1Beta, DenseMatrix Query, DenseMatrix Key, DenseMatrix Value, DenseMatrix Output,
    float[] Ln2Gamma, float[] Ln2Beta, DenseMatrix Expand, DenseMatrix Contract)
{
    /// <summary>Names of the six linear layers, those of the library's parameters.</summary>
    public static string[] MatrixNames { get; } =
        ["attention.query", "attention.key", "attention.value", "attention.output", "feedforward.expand", "feedforward.contract"];

    /// <summary>The six linear layers, with their names.</summary>
    public (string Name, DenseMatrix Matrix)[] Matrices => [.. MatrixNames.Zip([Query, Key, Value, Output, Expand, Contract])];

    /// <summary>
    /// GPT-2's initialisation: standard deviation 0.02, the projections onto the residual stream divided by sqrt(2 layers), biases 0, gamma
    /// 1.
    /// </summary>
    public static DenseBlock Gpt2Initialisation(int width, int feedForward, int layers, int seed)
    {
        double residual = 0.02 / Math.Sqrt(2.0 * layers);
        float[] gamma = [.. Enumerable.Repeat(1f, width)];
        return new(
            gamma, new float[width], Random(width, width, 0.02, seed), Random(width, width, 0.02, seed + 1), Random(width, width, 0.02, seed + 2),
            Random(width, width, residual, seed + 3), [.. gamma], new float[width], Random(feedForward, width, 0.02, seed + 4),
            Random(width, feedForward, residual, seed + 5));
    }

    /// <summary>Weights of the size of trained ones, with biases, gamma and beta away from 0 and 1: everything has a gradient worth comparing.</summary>
    public static DenseBlock Lively(int width, int feedForward, int seed)
    {
        DenseMatrix Matrix(int rows, int columns, int offset) =>
            Random(rows, columns, 1 / Math.Sqrt(columns), seed + offset) with { Bias = Single(Numbers.Normal(rows, seed + 50 + offset, 0.3)) };
        float[] Gamma(int offset) => [.. Numbers.Normal(width, seed + offset, 0.2).Select(v => (float)(1 + v))];
        return new(
            Gamma(100), Single(Numbers.Normal(width, seed + 101, 0.2)), Matrix(width, width, 0), Matrix(width, width, 1),
            Matrix(width, width, 2), Matrix(width, width, 3),
            Gamma(102), Single(Numbers.Normal(width, seed + 103, 0.2)), Matrix(feedForward, width, 4), Matrix(width, feedForward, 5));
    }

    /// <summary>A block of a Hugging Face GPT-2 file: matrices stored [in, out], q, k and v side by side.</summary>
    public static DenseBlock FromHuggingFace(Safetensors file, string prefix)
    {
        string attention = prefix + "attn.c_attn.", output = prefix + "attn.c_proj.", expand = prefix + "mlp.c_fc.", contract = prefix + "mlp.c_proj.";
        int width = file[prefix + "ln_1.weight"].Length;
        DenseMatrix Part(int i) =>
            new(width, width, file.Transposed(attention + "weight", i * width, width), file[attention + "bias"][(i * width)..((i + 1) * width)]);
        DenseMatrix Whole(string name) =>
            new((int)file.ShapeOf(name + "weight")[1], (int)file.ShapeOf(name + "weight")[0], file.Transposed(name + "weight"), file[name + "bias"]);
        return new(
            file[prefix + "ln_1.weight"], file[prefix + "ln_1.bias"], Part(0), Part(1), Part(2), Whole(output),
            file[prefix + "ln_2.weight"], file[prefix + "ln_2.bias"], Whole(expand), Whole(contract));
    }

    /// <summary>The block in torch, dense, its parameters leaves.</summary>
    public TorchBlock ToTorch(torch.ScalarType type) => ToTorch(type, (_, matrix) => matrix.ToTorch(type));

    /// <summary>The block in torch, with linear layers made by <paramref name="linear"/> from name and weights.</summary>
    public TorchBlock ToTorch(torch.ScalarType type, Func<string, DenseMatrix, TorchLinear> linear)
    {
        TorchVector Leaf(float[] values) => new(DenseMatrix.Leaf(values, type, values.Length));
        TorchLinear[] linears = [.. Matrices.Select(m => linear(m.Name, m.Matrix))];
        return new(Leaf(Ln1Gamma), Leaf(Ln1Beta), linears[0], linears[1], linears[2], linears[3], Leaf(Ln2Gamma), Leaf(Ln2Beta), linears[4], linears[5]);
    }

    /// <summary>The same weights for the library.</summary>
    public DenseBlockWeights ToLibrary() => new()
    {
        Query = Query.Weight,
        Key = Key.Weight,
        Value = Value.Weight,
        Output = Output.Weight,
        UpProjection = Expand.Weight,
        DownProjection = Contract.Weight,
        Vectors = new BlockVectors
        {
            QueryBias = Query.Bias,
            KeyBias = Key.Bias,
            ValueBias = Value.Bias,
            OutputBias = Output.Bias,
            UpProjectionBias = Expand.Bias,
            DownProjectionBias = Contract.Bias,
            Gamma1 = Ln1Gamma,
            Beta1 = Ln1Beta,
            Gamma2 = Ln2Gamma,
            Beta2 = Ln2Beta,
        },
    };

    private static DenseMatrix Random(int rows, int columns, double deviation, int seed) =>
        new(rows, columns, Single(Numbers.Normal(rows * columns, seed, deviation)), new float[rows]);

    private static float[] Single(double[] values) => Numbers.Convert<double, float>(values);
}
