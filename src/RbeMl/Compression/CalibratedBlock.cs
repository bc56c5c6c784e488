using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Compression;

/// <summary>A compressed block with what its matrices cost and how far they are off.</summary>
/// <param name="Weights">The block.</param>
/// <param name="Reports">Size and weight error of each matrix.</param>
public sealed record CalibratedBlock(BlockWeights Weights, PerMatrix<CompressionReport> Reports)
{
    /// <summary>Stored bits of the six matrices.</summary>
    public long Bits => Reports.Values.Sum(r => r.Bits);

    /// <summary>Stored bits for each weight of the six matrices.</summary>
    public double BitsPerWeight => (double)Bits / Reports.Values.Sum(r => r.Weights);

    /// <summary>
    /// Compresses a block, with error feedback and bias correction when calibrated. The formats may differ from matrix to matrix, tile and transform
    /// may not.
    /// </summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Their shapes.</param>
    /// <param name="options">How to compress each matrix.</param>
    /// <param name="calibration">The inputs of its matrices; null compresses each for its weights alone.</param>
    /// <param name="parallel">Threads and cancellation; null takes all processors.</param>
    /// <param name="done">Told of each matrix; null for nobody.</param>
    /// <exception cref="InvalidSettingException">An option is out of range, or tile or transform differ.</exception>
    /// <exception cref="WeightRangeException">A format cannot hold numbers as large or as small as a matrix has.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static CalibratedBlock Compress(
        DenseBlockWeights dense,
        TransformerConfig config,
        PerMatrix<RbeOptions> options,
        BlockCalibration? calibration = null,
        ParallelOptions? parallel = null,
        Action<BlockMatrix>? done = null)
    {
        parallel ??= new ParallelOptions();
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(options);
        RbeOptions first = options[BlockMatrix.Query];
        foreach (RbeOptions other in options.Values)
        {
            if (other.Tile != first.Tile || other.Transform != first.Transform)
            {
                throw new InvalidSettingException(
                    "options", $"tiles of {first.Tile} {first.Transform} and of {other.Tile} {other.Transform}",
                    "use one tile size and transform in a block; formats may differ.");
            }
        }

        PerMatrix<(RbeMatrix Matrix, CompressionReport Report)> matrices = new(m =>
        {
            (int rows, int columns) = PerMatrix.ShapeOf(config, m);
            float[] weights = PerMatrix.WeightsOf(dense, m);
            (RbeMatrix, CompressionReport) compressed = WeightRange.Named(PerMatrix.NameOf(m), () => calibration is null
                ? (RbeCompressor.Compress(weights, rows, columns, options[m], parallel, out CompressionReport report), report)
                : (RbeCompressor.Compress(weights, rows, columns, options[m], calibration[m], calibration.Outputs?[m], parallel, out report), report));
            done?.Invoke(m);
            return compressed;
        });
        BlockVectors vectors = calibration is null
            ? dense.Vectors
            : PerMatrix.AddToBiases(dense.Vectors, new(m => calibration[m].BiasCorrection(PerMatrix.WeightsOf(dense, m), matrices[m].Matrix)));
        return new CalibratedBlock(BlockWeights.From(m => matrices[m].Matrix, vectors), new(m => matrices[m].Report));
    }

    /// <summary>‖y − y0‖ / ‖y0‖ of the block's output over activations, at the positions that count.</summary>
    /// <param name="config">Shapes.</param>
    /// <param name="example">What goes into the block, and y0, what the dense block makes of it.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    internal double OutputError(TransformerConfig config, BlockExample example, Workspace<float>? workspace = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(example);
        using Workspace<float>? own = workspace is null ? new Workspace<float>() : null;
        return example.Expected.RelativeErrorOf(BlockRunner.Run(Weights, config, example.Input, workspace ?? own!, cancel: cancel));
    }
}
