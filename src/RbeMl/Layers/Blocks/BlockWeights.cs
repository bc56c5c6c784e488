using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <summary>Dense weights of a block; matrices are row-major [out, in].</summary>
public sealed record DenseBlockWeights
{
    /// <summary>[D, D].</summary>
    public required float[] Query { get; init; }

    /// <summary>[D, D].</summary>
    public required float[] Key { get; init; }

    /// <summary>[D, D].</summary>
    public required float[] Value { get; init; }

    /// <summary>[D, D].</summary>
    public required float[] Output { get; init; }

    /// <summary>[F, D].</summary>
    public required float[] Expand { get; init; }

    /// <summary>[D, F].</summary>
    public required float[] Contract { get; init; }

    /// <summary>Biases and LayerNorm vectors.</summary>
    public required BlockVectors Vectors { get; init; }

    /// <summary>GPT-2's initialisation: N(0, 0.02²), the two projections back to the residual stream scaled by 1 / sqrt(2 L); biases 0, gamma 1, beta 0.</summary>
    public static DenseBlockWeights Gpt2Initialization(TransformerConfig config, int seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        DeterministicRandom random = new((ulong)seed, 0);
        int d = config.Width, f = config.HiddenWidth;
        double residual = 0.02 / Math.Sqrt(2.0 * config.Layers);
        return new DenseBlockWeights
        {
            Query = Normal(ref random, d * d, 0.02),
            Key = Normal(ref random, d * d, 0.02),
            Value = Normal(ref random, d * d, 0.02),
            Output = Normal(ref random, d * d, residual),
            Expand = Normal(ref random, f * d, 0.02),
            Contract = Normal(ref random, d * f, residual),
            Vectors = BlockVectors.Initial(d, f),
        };
    }

    private static float[] Normal(ref DeterministicRandom random, int count, double deviation)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) values[i] = (float)(deviation * random.NextNormal());
        return values;
    }
}

/// <summary>The vectors of a block: six biases, gamma and beta of two LayerNorms.</summary>
public sealed record BlockVectors
{
    /// <summary>[D].</summary>
    public required float[] QueryBias { get; init; }

    /// <summary>[D].</summary>
    public required float[] KeyBias { get; init; }

    /// <summary>[D].</summary>
    public required float[] ValueBias { get; init; }

    /// <summary>[D].</summary>
    public required float[] OutputBias { get; init; }

    /// <summary>[F].</summary>
    public required float[] ExpandBias { get; init; }

    /// <summary>[D].</summary>
    public required float[] ContractBias { get; init; }

    /// <summary>[D].</summary>
    public required float[] Gamma1 { get; init; }

    /// <summary>[D].</summary>
    public required float[] Beta1 { get; init; }

    /// <summary>[D].</summary>
    public required float[] Gamma2 { get; init; }

    /// <summary>[D].</summary>
    public required float[] Beta2 { get; init; }

    /// <summary>Biases and betas 0, gammas 1.</summary>
    public static BlockVectors Initial(int width, int hidden) => new()
    {
        QueryBias = new float[width],
        KeyBias = new float[width],
        ValueBias = new float[width],
        OutputBias = new float[width],
        ExpandBias = new float[hidden],
        ContractBias = new float[width],
        Gamma1 = Ones(width),
        Beta1 = new float[width],
        Gamma2 = Ones(width),
        Beta2 = new float[width],
    };

    private static float[] Ones(int count)
    {
        float[] values = new float[count];
        Array.Fill(values, 1f);
        return values;
    }
}

/// <summary>Compressed weights of a block.</summary>
public sealed record BlockWeights
{
    /// <summary>[D, D].</summary>
    public required RbeMatrix Query { get; init; }

    /// <summary>[D, D].</summary>
    public required RbeMatrix Key { get; init; }

    /// <summary>[D, D].</summary>
    public required RbeMatrix Value { get; init; }

    /// <summary>[D, D].</summary>
    public required RbeMatrix Output { get; init; }

    /// <summary>[F, D].</summary>
    public required RbeMatrix Expand { get; init; }

    /// <summary>[D, F].</summary>
    public required RbeMatrix Contract { get; init; }

    /// <summary>Biases and LayerNorm vectors.</summary>
    public required BlockVectors Vectors { get; init; }

    /// <summary>Names of the six matrices, in the order of <see cref="MatrixAt"/>.</summary>
    internal static IReadOnlyList<string> MatrixNames { get; } =
        ["attention.query", "attention.key", "attention.value", "attention.output", "feedforward.expand", "feedforward.contract"];

    /// <summary>One of the six matrices, in the order query, key, value, output, expand, contract.</summary>
    internal RbeMatrix MatrixAt(int index) => index switch { 0 => Query, 1 => Key, 2 => Value, 3 => Output, 4 => Expand, _ => Contract };

    /// <summary>Compresses the six matrices of a block.</summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Their shapes.</param>
    /// <param name="options">How to compress each.</param>
    /// <exception cref="WeightRangeException">The format cannot hold numbers as large or as small as a matrix has.</exception>
    public static BlockWeights Compress(DenseBlockWeights dense, TransformerConfig config, RbeOptions options)
    {
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(config);
        int d = config.Width, f = config.HiddenWidth;
        return new BlockWeights
        {
            Query = Matrix(0, dense.Query, d, d),
            Key = Matrix(1, dense.Key, d, d),
            Value = Matrix(2, dense.Value, d, d),
            Output = Matrix(3, dense.Output, d, d),
            Expand = Matrix(4, dense.Expand, f, d),
            Contract = Matrix(5, dense.Contract, d, f),
            Vectors = dense.Vectors,
        };

        RbeMatrix Matrix(int index, float[] weights, int rows, int columns) =>
            WeightRange.Named(MatrixNames[index], () => RbeCompressor.Compress(weights, rows, columns, options));
    }

    /// <summary>Compresses the six matrices to the literal record: eight alphas and the largest coefficients of each tile, 32 + 8 K bytes.</summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Their shapes.</param>
    /// <param name="tile">Tile edge: 32, 64 or 128.</param>
    /// <param name="coefficients">K.</param>
    public static BlockWeights Compress(DenseBlockWeights dense, TransformerConfig config, int tile, int coefficients) =>
        Compress(dense, config, new RbeOptions { Tile = tile, Format = RbeFormat.Seed(coefficients) });

    /// <summary>
    /// Untrained weights for training from scratch. Coefficients of K of B² places are N(0, (0.02 sqrt(B² / K))²), so that a decoded weight has
    /// GPT-2's deviation of 0.02; the two projections back to the residual stream are scaled by 1 / sqrt(2 L).
    /// </summary>
    public static BlockWeights CreateRandom(TransformerConfig config, RbeOptions options, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        int d = config.Width, f = config.HiddenWidth;
        double residual = 1 / Math.Sqrt(2.0 * config.Layers);
        return new BlockWeights
        {
            Query = Random(d, d, 1, 0),
            Key = Random(d, d, 1, 1),
            Value = Random(d, d, 1, 2),
            Output = Random(d, d, residual, 3),
            Expand = Random(f, d, 1, 4),
            Contract = Random(d, f, residual, 5),
            Vectors = BlockVectors.Initial(d, f),
        };

        RbeMatrix Random(int rows, int columns, double scale, ulong index) => CreateRandomMatrix(rows, columns, options, 0.02 * scale, seed * 6 + index);
    }

    /// <summary>An untrained matrix whose decoded weights have that deviation.</summary>
    internal static RbeMatrix CreateRandomMatrix(int rows, int columns, RbeOptions options, double weightDeviation, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Format is not SparseFormat sparse)
        {
            throw new InvalidSettingException("format", options.Format.GetType().Name, "a model from scratch needs a trainable format: use Sparse; Quantized and Trellis are for weights that exist.");
        }

        double kept = Math.Min(1, sparse.Coefficients / (double)(options.Tile * options.Tile));
        SupportRule places = sparse.Support with { Seed = unchecked(sparse.Support.Seed + (int)seed * 7919) };
        return RbeCompressor.CreateRandom(rows, columns, options with { Format = sparse with { Support = places } }, weightDeviation / Math.Sqrt(kept), seed);
    }
}
