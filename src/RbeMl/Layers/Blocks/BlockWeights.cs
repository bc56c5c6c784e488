using RbeMl.Codec;
using RbeMl.Kernels;
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
    public required float[] UpProjection { get; init; }

    /// <summary>[D, F].</summary>
    public required float[] DownProjection { get; init; }

    /// <summary>Biases and LayerNorm vectors.</summary>
    public required BlockVectors Vectors { get; init; }

    /// <summary>
    /// GPT-2's initialisation: N(0, 0.02²), the two projections back to the residual stream scaled by 1 / sqrt(2 L); biases 0, gamma 1,
    /// beta 0.
    /// </summary>
    public static DenseBlockWeights Gpt2Initialization(TransformerConfig config, int seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        DeterministicRandom random = new((ulong)seed, 0);
        double residual = 0.02 / Math.Sqrt(2.0 * config.Layers);
        return From(
            m =>
            {
                (int rows, int columns) = BlockLayout.ShapeOf(config, m);
                float[] values = new float[rows * columns];
                double deviation = BlockLayout.WritesStream(m) ? residual : 0.02;
                for (int i = 0; i < values.Length; i++) values[i] = (float)(deviation * random.NextNormal());
                return values;
            },
            BlockVectors.Initial(config.Width, config.HiddenWidth));
    }

    /// <summary>Weights of six matrices, asked for in their order.</summary>
    internal static DenseBlockWeights From(Func<BlockMatrix, float[]> matrixOf, BlockVectors vectors) => new()
    {
        Query = matrixOf(BlockMatrix.Query),
        Key = matrixOf(BlockMatrix.Key),
        Value = matrixOf(BlockMatrix.Value),
        Output = matrixOf(BlockMatrix.Output),
        UpProjection = matrixOf(BlockMatrix.UpProjection),
        DownProjection = matrixOf(BlockMatrix.DownProjection),
        Vectors = vectors,
    };

    /// <summary>One of the six matrices.</summary>
    internal float[] MatrixAt(BlockMatrix matrix) => matrix switch
    {
        BlockMatrix.Query => Query,
        BlockMatrix.Key => Key,
        BlockMatrix.Value => Value,
        BlockMatrix.Output => Output,
        BlockMatrix.UpProjection => UpProjection,
        _ => DownProjection,
    };
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
    public required float[] UpProjectionBias { get; init; }

    /// <summary>[D].</summary>
    public required float[] DownProjectionBias { get; init; }

    /// <summary>[D].</summary>
    public required float[] Gamma1 { get; init; }

    /// <summary>[D].</summary>
    public required float[] Beta1 { get; init; }

    /// <summary>[D].</summary>
    public required float[] Gamma2 { get; init; }

    /// <summary>[D].</summary>
    public required float[] Beta2 { get; init; }

    /// <summary>What gammas and betas are given as: their values, or, of a model's file, the terms that its LayerNorms keep.</summary>
    internal LayerNormStorage Norms { get; init; }

    /// <summary>Biases and betas 0, gammas 1.</summary>
    public static BlockVectors Initial(int width, int hidden) =>
        Read(new TransformerConfig { Width = width, FeedForwardWidth = hidden }, LayerNormStorage.Dense, (name, length) =>
    {
        float[] values = new float[length];
        Array.Fill(values, name.EndsWith("gamma", StringComparison.Ordinal) ? 1f : 0f);
        return values;
    });

    /// <summary>Asks for each by the name that <see cref="Named"/> gives it, and its length.</summary>
    internal static BlockVectors Read(TransformerConfig config, LayerNormStorage norms, Func<string, int, float[]> read)
    {
        int terms = NormTerms.Count(norms, config.Width);
        return new BlockVectors
        {
            Norms = norms,
            Gamma1 = read("ln1.gamma", terms),
            Beta1 = read("ln1.beta", terms),
            QueryBias = Bias(BlockMatrix.Query),
            KeyBias = Bias(BlockMatrix.Key),
            ValueBias = Bias(BlockMatrix.Value),
            OutputBias = Bias(BlockMatrix.Output),
            Gamma2 = read("ln2.gamma", terms),
            Beta2 = read("ln2.beta", terms),
            UpProjectionBias = Bias(BlockMatrix.UpProjection),
            DownProjectionBias = Bias(BlockMatrix.DownProjection),
        };

        float[] Bias(BlockMatrix m) => read($"{BlockLayout.NameOf(m)}.bias", BlockLayout.ShapeOf(config, m).Rows);
    }

    /// <summary>All of them by their names in a model, in its order.</summary>
    internal IEnumerable<(string Name, float[] Values)> Named =>
    [
        ("ln1.gamma", Gamma1), ("ln1.beta", Beta1), Bias(BlockMatrix.Query), Bias(BlockMatrix.Key), Bias(BlockMatrix.Value), Bias(BlockMatrix.Output),
        ("ln2.gamma", Gamma2), ("ln2.beta", Beta2), Bias(BlockMatrix.UpProjection), Bias(BlockMatrix.DownProjection),
    ];

    private (string Name, float[] Values) Bias(BlockMatrix m) => ($"{BlockLayout.NameOf(m)}.bias", BiasOf(m));

    /// <summary>The bias of a matrix.</summary>
    internal float[] BiasOf(BlockMatrix matrix) => matrix switch
    {
        BlockMatrix.Query => QueryBias,
        BlockMatrix.Key => KeyBias,
        BlockMatrix.Value => ValueBias,
        BlockMatrix.Output => OutputBias,
        BlockMatrix.UpProjection => UpProjectionBias,
        _ => DownProjectionBias,
    };
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
    public required RbeMatrix UpProjection { get; init; }

    /// <summary>[D, F].</summary>
    public required RbeMatrix DownProjection { get; init; }

    /// <summary>Biases and LayerNorm vectors.</summary>
    public required BlockVectors Vectors { get; init; }

    /// <summary>One of the six matrices.</summary>
    internal RbeMatrix MatrixAt(BlockMatrix matrix) => matrix switch
    {
        BlockMatrix.Query => Query,
        BlockMatrix.Key => Key,
        BlockMatrix.Value => Value,
        BlockMatrix.Output => Output,
        BlockMatrix.UpProjection => UpProjection,
        _ => DownProjection,
    };

    /// <summary>Weights of six matrices, asked for in their order.</summary>
    internal static BlockWeights From(Func<BlockMatrix, RbeMatrix> matrixOf, BlockVectors vectors) => new()
    {
        Query = matrixOf(BlockMatrix.Query),
        Key = matrixOf(BlockMatrix.Key),
        Value = matrixOf(BlockMatrix.Value),
        Output = matrixOf(BlockMatrix.Output),
        UpProjection = matrixOf(BlockMatrix.UpProjection),
        DownProjection = matrixOf(BlockMatrix.DownProjection),
        Vectors = vectors,
    };

    /// <summary>Checks that matrices and vectors fit a configuration; a bias may be empty.</summary>
    /// <exception cref="ShapeMismatchException">One does not.</exception>
    internal void Check(string name, TransformerConfig config)
    {
        int terms = NormTerms.Count(Vectors.Norms, config.Width);
        foreach (float[] norm in (float[][])[Vectors.Gamma1, Vectors.Beta1, Vectors.Gamma2, Vectors.Beta2])
        {
            if (norm.Length == terms) continue;
            string part = Vectors.Named.First(v => ReferenceEquals(v.Values, norm)).Name;
            throw new ShapeMismatchException($"{name}.{part}", $"{terms} values", $"{norm.Length}", "Give one a feature.");
        }

        foreach (BlockMatrix m in Enum.GetValues<BlockMatrix>())
        {
            RbeMatrix matrix = MatrixAt(m);
            string part = $"{name}.{BlockLayout.NameOf(m)}";
            (int rows, int columns) = BlockLayout.ShapeOf(config, m);
            if (matrix.Rows != rows || matrix.Columns != columns)
            {
                throw new ShapeMismatchException(
                    part, $"[{rows}, {columns}]", $"[{matrix.Rows}, {matrix.Columns}]", "Weights are [out, in] and must fit the configuration.");
            }

            if (matrix.Tile != Query.Tile || matrix.Transform != Query.Transform)
            {
                throw new ShapeMismatchException(
                    part, $"tile {Query.Tile} and {Query.Transform} like query", $"tile {matrix.Tile} and {matrix.Transform}",
                    "Use one tile size and transform in a block; formats may differ.");
            }

            int bias = Vectors.BiasOf(m).Length;
            if (bias != 0 && bias != rows)
            {
                throw new ShapeMismatchException($"{part}.bias", $"{rows} values", $"{bias}", "Give one a row of the weights, or none.");
            }
        }
    }

    /// <summary>The weights with rounded sparse coefficients and, if asked to, slow codes in 8 bits.</summary>
    internal BlockWeights Rounded(WeightPrecision precision)
    {
        return From(m => Round(BlockLayout.NameOf(m), MatrixAt(m)), Vectors);

        RbeMatrix Round(string name, RbeMatrix m)
        {
            FrozenFormat? fast = precision == WeightPrecision.Int8 && m.Base is not null ? (m.Format as FrozenFormat)?.Fast : null;
            FrozenTiles? tiles = fast is null ? m.Base : m.Base!.ToEightBits();
            RbeFormat format = fast ?? m.Format;
            float[] coefficients = WeightRounding.Round(name, m.Coefficients, precision);
            return new(m.Rows, m.Columns, m.Tile, m.Transform, m.Alphas, m.Support, coefficients, tiles, format);
        }
    }

    /// <summary>Compresses the six matrices of a block.</summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Their shapes.</param>
    /// <param name="options">How to compress each.</param>
    /// <exception cref="WeightRangeException">The format cannot hold numbers as large or as small as a matrix has.</exception>
    public static BlockWeights Compress(DenseBlockWeights dense, TransformerConfig config, RbeOptions options)
    {
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(config);
        return From(m => Compressed(m, dense.MatrixAt(m)), dense.Vectors);

        RbeMatrix Compressed(BlockMatrix m, float[] weights)
        {
            (int rows, int columns) = BlockLayout.ShapeOf(config, m);
            return WeightRange.Named(BlockLayout.NameOf(m), () => RbeCompressor.Compress(weights, rows, columns, options));
        }
    }

    /// <summary>
    /// Compresses the six matrices to the literal record: eight alphas and the largest coefficients of each tile, 32 + 8 K bytes.
    /// </summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Their shapes.</param>
    /// <param name="tile">Tile edge: 32, 64 or 128.</param>
    /// <param name="coefficients">K.</param>
    public static BlockWeights Compress(DenseBlockWeights dense, TransformerConfig config, int tile, int coefficients) =>
        Compress(dense, config, new RbeOptions { Tile = tile, Format = RbeFormat.Seed(coefficients) });

    /// <summary>
    /// Untrained weights for training from scratch. Coefficients of K of B² places are N(0, (0.02 sqrt(B² / K))²), so that a decoded weight
    /// has GPT-2's deviation of 0.02; the two projections back to the residual stream are scaled by 1 / sqrt(2 L).
    /// </summary>
    public static BlockWeights CreateRandom(TransformerConfig config, RbeOptions options, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        double residual = 1 / Math.Sqrt(2.0 * config.Layers);
        return From(Random, BlockVectors.Initial(config.Width, config.HiddenWidth));

        RbeMatrix Random(BlockMatrix m)
        {
            (int rows, int columns) = BlockLayout.ShapeOf(config, m);
            return CreateRandomMatrix(rows, columns, options, 0.02 * (BlockLayout.WritesStream(m) ? residual : 1), (seed * 6) + (ulong)m);
        }
    }

    /// <summary>An untrained matrix whose decoded weights have that deviation.</summary>
    internal static RbeMatrix CreateRandomMatrix(int rows, int columns, RbeOptions options, double weightDeviation, ulong seed)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (options.Format is not SparseFormat sparse)
        {
            throw new InvalidSettingException(
                "format", options.Format.GetType().Name,
                "a model from scratch needs a trainable format: use Sparse; formats of frozen codes are for weights that exist.");
        }

        double kept = Math.Min(1, sparse.Coefficients / (double)(options.Tile * options.Tile));
        SupportRule places = sparse.Support with { Seed = unchecked(sparse.Support.Seed + (int)seed * 7919) };
        RbeOptions placed = options with { Format = sparse with { Support = places } };
        return RbeCompressor.CreateRandom(rows, columns, placed, weightDeviation / Math.Sqrt(kept), seed);
    }
}
