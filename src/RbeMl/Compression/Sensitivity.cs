using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Compression;

/// <summary>What is known of a block before formats are chosen: a rate curve and a sensitivity for each matrix.</summary>
/// <param name="Curves">Size and weight error of each candidate.</param>
/// <param name="Sensitivities">Relative error of the block's output for each unit of relative weight error of the one matrix, measured at the probe.</param>
internal sealed record BlockSensitivity(PerMatrix<RateCurve> Curves, PerMatrix<double> Sensitivities)
{
    /// <summary>Measures curves on samples of tiles, and sensitivities by compressing one matrix at a time and running the block.</summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Their shapes.</param>
    /// <param name="calibration">Inputs of the matrices.</param>
    /// <param name="example">What the output's error is measured on.</param>
    /// <param name="settings">Candidates and probe.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    public static BlockSensitivity Measure(
        DenseBlockWeights dense, TransformerConfig config, BlockCalibration calibration, BlockExample example, ChoiceSettings settings,
        Workspace<float>? workspace = null)
    {
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(calibration);
        ArgumentNullException.ThrowIfNull(example);
        ArgumentNullException.ThrowIfNull(settings);
        if (settings.Candidates.Count == 0) throw new InvalidSettingException("candidates", 0, "give at least one way to store a matrix.");
        using Workspace<float>? own = workspace is null ? new Workspace<float>() : null;
        workspace ??= own!;
        RbeOptions probe = settings.Candidates[0] with { Format = settings.Probe, Alphas = false };
        BlockWeights exact = BlockWeights.Compress(dense, config, RbeOptions.Dense);
        BlockWork work = new(dense, config, calibration, example, settings, workspace);
        PerMatrix<RateCurve> curves = CurvesOf(work);
        PerMatrix<double> sensitivities = new(m => WeightRange.Named(PerMatrix.NameOf(m), () => MeasureOne(work, exact, probe, m)));
        return new BlockSensitivity(curves, sensitivities);
    }

    /// <summary>Size and weight error of each candidate, on samples of tiles.</summary>
    public static PerMatrix<RateCurve> CurvesOf(BlockWork work) => new(m =>
    {
        (int rows, int columns) = PerMatrix.ShapeOf(work.Config, m);
        ChoiceSettings settings = work.Settings;
        return WeightRange.Named(PerMatrix.NameOf(m), () => RateCurve.Measure(
            PerMatrix.WeightsOf(work.Dense, m), rows, columns, settings.Candidates, settings.Seed + (ulong)m, settings.Tiles, settings.Parallel));
    });

    private static double MeasureOne(BlockWork work, BlockWeights exact, RbeOptions probe, BlockMatrix m)
    {
        (BlockWeights? block, double weightError) = Perturb(work, exact, probe, m);
        if (block is null) return 0;
        return work.Example.Expected.RelativeErrorOf(
            BlockRunner.Run(block, work.Config, work.Example.Input, work.Workspace, cancel: work.Settings.Parallel.CancellationToken)) / weightError;
    }

    /// <summary>
    /// The block with one matrix stored as the probe says, and the weight error that its curve would show there; no block where that changes nothing.
    /// </summary>
    public static (BlockWeights? Block, double WeightError) Perturb(BlockWork work, BlockWeights exact, RbeOptions probe, BlockMatrix m)
    {
        (int rows, int columns) = PerMatrix.ShapeOf(work.Config, m);
        float[] weights = PerMatrix.WeightsOf(work.Dense, m);
        Calibration calibration = work.Calibration[m];
        RbeMatrix compressed = RbeCompressor.Compress(weights, rows, columns, probe, calibration, work.Calibration.Outputs?[m], work.Settings.Parallel,
            out CompressionReport report);
        if (report.RelativeError == 0) return (null, 0);
        RbeMatrix perturbed = RbeCompressor.Compress(compressed.ToDense(), rows, columns, RbeOptions.Dense);
        PerMatrix<float[]> corrections =
            new(other => other == m ? calibration.BiasCorrection(weights, compressed) : new float[PerMatrix.ShapeOf(work.Config, other).Rows]);
        BlockWeights block = BlockWeights.From(other => other == m ? perturbed : exact.MatrixAt(other), PerMatrix.AddToBiases(work.Dense.Vectors, corrections));

        // Feedback makes the error of the weights larger than that of the plain rounding which the curves show; the sensitivity belongs to the curves.
        return (block, RateCurve.Measure(weights, rows, columns, [probe], work.Settings.Seed + (ulong)m, work.Settings.Tiles,
            work.Settings.Parallel).Points[0].Error);
    }
}

/// <summary>All that a choice of formats for a block works on.</summary>
internal sealed record BlockWork(
    DenseBlockWeights Dense, TransformerConfig Config, BlockCalibration Calibration, BlockExample Example, ChoiceSettings Settings, Workspace<float> Workspace);
