using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// Turns a dense weight matrix into an <see cref="RbeMatrix"/>. Tiles are fitted independently on all processors; the result does not
/// depend on how many there are.
/// </summary>
public static partial class RbeCompressor
{
    /// <summary>Compresses a matrix.</summary>
    /// <param name="weights"><c>[rows * columns]</c> row-major, out x in.</param>
    /// <param name="rows">Output features, at least 1.</param>
    /// <param name="columns">Input features, at least 1.</param>
    /// <param name="options">Tile, transform, format.</param>
    /// <exception cref="ShapeMismatchException">The span does not hold rows x columns values.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range or contradicts another.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="WeightRangeException">The format cannot hold numbers as large or as small as the weights.</exception>
    public static RbeMatrix Compress(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options) =>
        Compress(weights, rows, columns, options, threads: 0);

    /// <summary>Compresses a matrix and reports size and error.</summary>
    /// <inheritdoc cref="Compress(ReadOnlySpan{float}, int, int, RbeOptions)"/>
    public static RbeMatrix Compress(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, out CompressionReport report)
    {
        RbeMatrix matrix = Compress(weights, rows, columns, options);
        report = Measure(matrix, weights);
        return matrix;
    }

    /// <summary>Compresses a matrix and reports size and error, on some threads and until cancelled.</summary>
    /// <param name="weights"><c>[rows * columns]</c> row-major, out x in.</param>
    /// <param name="rows">Output features, at least 1.</param>
    /// <param name="columns">Input features, at least 1.</param>
    /// <param name="options">Tile, transform, format.</param>
    /// <param name="parallel">Threads, which change no bit of the result, and cancellation.</param>
    /// <param name="report">Size and error.</param>
    /// <exception cref="ShapeMismatchException">The span does not hold rows x columns values.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range or contradicts another.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="WeightRangeException">The format cannot hold numbers as large or as small as the weights.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static RbeMatrix Compress(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, ParallelOptions parallel,
        out CompressionReport report)
    {
        ArgumentNullException.ThrowIfNull(parallel);
        RbeMatrix matrix = Compress(weights, rows, columns, options, parallel, fill: true);
        report = CompressionReport.Create(matrix, weights, parallel);
        return matrix;
    }

    /// <summary>Size of a compressed matrix and its error against the original.</summary>
    /// <param name="matrix">The compressed matrix.</param>
    /// <param name="original"><c>[Rows * Columns]</c>.</param>
    /// <exception cref="ShapeMismatchException">The original has another size.</exception>
    public static CompressionReport Measure(RbeMatrix matrix, ReadOnlySpan<float> original) => CompressionReport.Create(matrix, original, Threads(0));

    /// <summary>
    /// An untrained matrix to train from scratch: places by the rule alone, alphas zero, coefficients normal. The same seed gives the same bits on
    /// every machine; the places depend on the rule's seed only.
    /// </summary>
    /// <param name="rows">Output features.</param>
    /// <param name="columns">Input features.</param>
    /// <param name="options">A sparse format whose rule needs no weights.</param>
    /// <param name="coefficientStd">Standard deviation of the coefficients: that of the weights times sqrt(B² / K).</param>
    /// <param name="seed">Seed of the coefficients.</param>
    /// <exception cref="InvalidSettingException">The format is not sparse, or its rule needs weights.</exception>
    public static RbeMatrix CreateRandom(int rows, int columns, RbeOptions options, double coefficientStd, ulong seed)
    {
        CheckShape(rows, columns);
        FormatPlan plan = FormatPlan.From(options);
        if (options.Format is not SparseFormat)
        {
            throw new InvalidSettingException("format", options.Format, "a matrix to train from scratch has no weights to quantise: use Sparse.");
        }

        if (!double.IsFinite(coefficientStd) || coefficientStd < 0)
        {
            throw new InvalidSettingException("coefficient standard deviation", coefficientStd, "use a finite number of at least 0.");
        }

        int tileCount = TilesOf(rows, columns, options.Tile), k = plan.Runs * plan.RunLength;
        CoefficientSupport support = SupportSelector.FromRule(plan, options.Tile, tileCount);
        float[] coefficients = new float[checked(tileCount * k)];
        for (int t = 0; t < tileCount; t++)
        {
            DeterministicRandom random = new(seed, (ulong)t);
            for (int e = 0; e < k; e++) coefficients[t * k + e] = (float)(coefficientStd * random.NextNormal());
        }

        float[] alphas = plan.Alphas ? new float[checked(tileCount * BasisFunctions.Count)] : [];
        return new RbeMatrix(rows, columns, options.Tile, options.Transform, alphas, support, coefficients, null, options.Format);
    }

    /// <summary>‖expected − actual‖ / ‖expected‖ in double; ‖actual‖ when the expected values are all zero.</summary>
    /// <exception cref="ShapeMismatchException">The lengths differ.</exception>
    public static double RelativeError(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        if (expected.Length != actual.Length)
        {
            throw new ShapeMismatchException("actual values", $"{expected.Length}", $"{actual.Length}", "Compare arrays of one length.");
        }

        double difference = 0, norm = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double d = (double)expected[i] - actual[i];
            difference += d * d;
            norm += (double)expected[i] * expected[i];
        }

        return norm == 0 ? Math.Sqrt(difference) : Math.Sqrt(difference / norm);
    }

    internal static RbeMatrix Compress(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, int threads, bool fill = true) =>
        Compress(weights, rows, columns, options, Threads(threads), fill);

    /// <summary>That many threads; 0 for one a processor.</summary>
    internal static ParallelOptions Threads(int threads) => new() { MaxDegreeOfParallelism = threads == 0 ? -1 : threads };

    private static RbeMatrix Compress(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, ParallelOptions parallel, bool fill)
    {
        CheckShape(rows, columns);
        FormatPlan plan = FormatPlan.From(options);
        CheckCount(weights, rows, columns);
        CheckFinite(weights, columns);
        if (ExactTiles.Keeps(plan, options)) return ExactTiles.Copy(weights, rows, columns, plan, options);
        return WeightRange.Compress(weights, plan, options, parallel, values => Encode(values, rows, columns, plan, options, parallel, fill));
    }

    private static unsafe RbeMatrix Encode(ReadOnlySpan<float> weights, int rows, int columns, FormatPlan plan, RbeOptions options,
        ParallelOptions parallel, bool fill)
    {
        EncodedTiles encoded = new(plan, options.Tile, TilesOf(rows, columns, options.Tile));
        int tile = options.Tile, tileColumns = (columns + tile - 1) / tile;
        fixed (float* pinned = weights)
        {
            nint address = (nint)pinned;
            Parallel.For(
                0,
                encoded.TileCount,
                parallel,
                () => (Fitter: new TileFitter(plan, options.Transform, tile), Cells: new double[tile * tile]),
                (t, _, scratch) =>
                {
                    int top = t / tileColumns * tile, left = t % tileColumns * tile;
                    int inRows = Math.Min(tile, rows - top), inColumns = Math.Min(tile, columns - left);
                    for (int i = 0; i < inRows; i++)
                    {
                        float* row = (float*)address + (long)(top + i) * columns + left;
                        for (int j = 0; j < inColumns; j++) scratch.Cells[i * tile + j] = row[j];
                    }

                    scratch.Fitter.Fit(scratch.Cells, inRows, inColumns, t, fill);
                    encoded.Store(t, scratch.Fitter.Fitted);
                    return scratch;
                },
                static _ => { });
        }

        return encoded.ToMatrix(rows, columns, options);
    }

    private static int TilesOf(int rows, int columns, int tile) => checked((((rows - 1) / tile) + 1) * (((columns - 1) / tile) + 1));

    private static void CheckShape(int rows, int columns)
    {
        if (rows < 1) throw new InvalidSettingException("rows", rows, "a matrix has at least one row.");
        if (columns < 1) throw new InvalidSettingException("columns", columns, "a matrix has at least one column.");
    }

    private static void CheckCount(ReadOnlySpan<float> weights, int rows, int columns)
    {
        if (!Shape.Holds(weights.Length, rows, columns))
        {
            throw Shape.Mismatch("weights", weights.Length, "Pass the matrix row by row, out x in.", rows, columns);
        }
    }

    private static void CheckFinite(ReadOnlySpan<float> weights, int columns)
    {
        for (int i = 0; i < weights.Length; i++)
        {
            if (!float.IsFinite(weights[i]))
            {
                throw new NonFiniteException("weights",
                    FormattableString.Invariant($"{weights[i]} at row {i / columns}, column {i % columns}. Repair the matrix before compressing it."));
            }
        }
    }
}
