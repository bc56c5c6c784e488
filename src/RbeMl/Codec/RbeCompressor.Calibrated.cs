namespace RbeMl.Codec;

/// <content>Compression with knowledge of the layer's input.</content>
public static partial class RbeCompressor
{
    /// <summary>
    /// Compresses a matrix so that the layer's output errs least on the tokens of <paramref name="calibration"/>: quantised formats are
    /// rounded with error feedback along the input, which leaves the error of the weights a little larger and that of the output smaller.
    /// Sparse formats and the literal record are fitted as without a calibration. Add <see cref="Calibration.BiasCorrection"/> to the layer's bias.
    /// </summary>
    /// <param name="weights"><c>[rows * columns]</c> row-major, out x in.</param>
    /// <param name="rows">Output features, at least 1.</param>
    /// <param name="columns">Input features, at least 1.</param>
    /// <param name="options">Tile, an orthonormal transform, format.</param>
    /// <param name="calibration">The layer's input.</param>
    /// <param name="report">Size and error of the weights.</param>
    /// <exception cref="ShapeMismatchException">The span does not hold rows x columns values, or the calibration is of another number of features.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range or contradicts another; a quantised base with a delta cannot be
    /// calibrated.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="WeightRangeException">The format cannot hold numbers as large or as small as the weights.</exception>
    public static RbeMatrix Compress(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, Calibration calibration,
        out CompressionReport report) =>
        Compress(weights, rows, columns, options, calibration, Threads(0), out report);

    /// <summary>The same on some threads and until cancelled.</summary>
    /// <param name="weights"><c>[rows * columns]</c> row-major, out x in.</param>
    /// <param name="rows">Output features, at least 1.</param>
    /// <param name="columns">Input features, at least 1.</param>
    /// <param name="options">Tile, an orthonormal transform, format.</param>
    /// <param name="calibration">The layer's input.</param>
    /// <param name="parallel">Threads, which change no bit of the result, and cancellation.</param>
    /// <param name="report">Size and error of the weights.</param>
    /// <exception cref="ShapeMismatchException">The span does not hold rows x columns values, or the calibration is of another number of features.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range or contradicts another; a quantised base with a delta cannot be
    /// calibrated.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="WeightRangeException">The format cannot hold numbers as large or as small as the weights.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static RbeMatrix Compress(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, Calibration calibration,
        ParallelOptions parallel, out CompressionReport report) =>
        Compress(weights, rows, columns, options, calibration, null, parallel, out report);

    /// <summary>The same with knowledge of what the output is worth too.</summary>
    /// <param name="weights"><c>[rows * columns]</c> row-major, out x in.</param>
    /// <param name="rows">Output features, at least 1.</param>
    /// <param name="columns">Input features, at least 1.</param>
    /// <param name="options">Tile, an orthonormal transform, format.</param>
    /// <param name="calibration">The layer's input.</param>
    /// <param name="output">
    /// The gradient of the layer's output, over the same tokens, of what shall err least: quantised formats then pass errors on along the
    /// output too. Null counts all outputs alike.
    /// </param>
    /// <param name="parallel">Threads, which change no bit of the result, and cancellation.</param>
    /// <param name="report">Size and error of the weights.</param>
    /// <exception cref="ShapeMismatchException">The span does not hold rows x columns values, or a calibration is of another number of features.</exception>
    /// <exception cref="InvalidSettingException">An option is out of range or contradicts another; a quantised base with a delta cannot be
    /// calibrated.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    /// <exception cref="WeightRangeException">The format cannot hold numbers as large or as small as the weights.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static RbeMatrix Compress(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, Calibration calibration,
        Calibration? output, ParallelOptions parallel, out CompressionReport report)
    {
        ArgumentNullException.ThrowIfNull(parallel);
        RbeMatrix matrix = CompressCalibrated(weights, rows, columns, options, calibration, output, parallel);
        report = CompressionReport.Create(matrix, weights, parallel);
        return matrix;
    }

    internal static RbeMatrix CompressCalibrated(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, Calibration calibration,
        int threads, Calibration? output = null) =>
        CompressCalibrated(weights, rows, columns, options, calibration, output, Threads(threads));

    private static RbeMatrix CompressCalibrated(ReadOnlySpan<float> weights, int rows, int columns, RbeOptions options, Calibration calibration,
        Calibration? output, ParallelOptions parallel)
    {
        ArgumentNullException.ThrowIfNull(calibration);
        CheckShape(rows, columns);
        FormatPlan plan = FormatPlan.From(options);
        CheckCount(weights, rows, columns);
        if (calibration.Features != columns)
        {
            throw new ShapeMismatchException("calibration", $"{columns} features as the matrix has columns", $"{calibration.Features}",
                "Calibrate with the input of this layer.");
        }

        if (output is not null && output.Features != rows)
        {
            throw new ShapeMismatchException("calibration of the output", $"{rows} features as the matrix has rows", $"{output.Features}",
                "Calibrate with the gradient of this layer's output.");
        }

        if (plan.Base is not { } format) return Compress(weights, rows, columns, options, parallel, fill: true);
        if (plan.Runs > 0)
        {
            throw new InvalidSettingException("delta", options.Format,
                "a delta would undo the feedback in the base: calibrate without one, or compress without calibration.");
        }

        CheckFinite(weights, columns);
        int tile = options.Tile;
        FeedbackFactor factor = calibration.FactorFor(options.Transform, tile, output is null ? format.FeedbackColumns : format.FeedbackColumnsDown, parallel);
        FeedbackFactor? rowFactor = output?.FactorFor(options.Transform, tile, format.FeedbackRowsDown, parallel);
        return WeightRange.Compress(weights, plan, options, parallel,
            values => Encode(values, rows, columns, plan, format, options, factor, rowFactor, parallel));
    }

    private static unsafe RbeMatrix Encode(ReadOnlySpan<float> weights, int rows, int columns, FormatPlan plan, FrozenFormat format,
        RbeOptions options, FeedbackFactor factor, FeedbackFactor? rowFactor, ParallelOptions parallel)
    {
        int tile = options.Tile, tileRows = (rows + tile - 1) / tile, tileColumns = (columns + tile - 1) / tile, tileCount = checked(tileRows * tileColumns);
        EncodedTiles tiles = new(plan, tile, tileCount, calibrated: true);
        fixed (float* pinned = weights)
        {
            nint address = (nint)pinned;
            if (rowFactor is null)
            {
                Parallel.For(0, tileRows, parallel, NewCoder, (i, _, scratch) =>
                {
                    Load(i, scratch.Loader, scratch.Coder);
                    for (int j = 0; j < tileColumns; j++) EncodeTile(scratch.Coder, i, j);
                    return scratch;
                }, static _ => { });
                return tiles.ToMatrix(rows, columns, options);
            }

            // A tile waits for those left of it and above it: diagonals of tiles, one after the other.
            OutputFeedback output = new(rowFactor, factor.Size, tile);
            FeedbackCoder[] coders = new FeedbackCoder[tileRows];
            Parallel.For(0, tileRows, parallel, i =>
            {
                (CoefficientLoader loader, coders[i]) = NewCoder();
                coders[i].PassDown(output, i);
                Load(i, loader, coders[i]);
            });
            for (int diagonal = 0; diagonal < tileRows + tileColumns - 1; diagonal++)
            {
                int at = diagonal;
                Parallel.For(Math.Max(0, at - tileColumns + 1), Math.Min(tileRows, at + 1), parallel, i => EncodeTile(coders[i], i, at - i));
            }

            void Load(int i, CoefficientLoader loader, FeedbackCoder coder)
            {
                for (int j = 0; j < tileColumns; j++)
                {
                    loader.Load((float*)address, rows, columns, i, j, tiles.AlphasOf(i * tileColumns + j), coder.OriginalOf(j));
                }
            }
        }

        return tiles.ToMatrix(rows, columns, options);

        (CoefficientLoader Loader, FeedbackCoder Coder) NewCoder() =>
            (new CoefficientLoader(options.Transform, tile, plan.Alphas), format.CreateFeedbackCoder(plan.Outliers, factor, tile));

        void EncodeTile(FeedbackCoder coder, int i, int j)
        {
            int t = i * tileColumns + j;
            coder.Encode(j, tiles.ScalesOf(t), tiles.CodesOf(t), tiles.PlacesOf(t), tiles.ValuesOf(t));
        }
    }
}
