using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Compression;

/// <summary>
/// What the inputs of a block's matrices look like over some activations, taken from the dense block: query, key and value share one input, the others
/// have one each. Its <see cref="Output"/> is the next block's input, so a model is calibrated block by block with one block's memory.
/// </summary>
public sealed partial class BlockCalibration
{
    private readonly Calibration _normalized;
    private readonly Calibration _attended;
    private readonly Calibration _expanded;
    private readonly Calibration _contracted;

    private BlockCalibration(BlockExample example, Calibration normalized, Calibration attended, Calibration expanded, Calibration contracted)
    {
        Example = example;
        (_normalized, _attended, _expanded, _contracted) = (normalized, attended, expanded, contracted);
    }

    /// <summary>What went into the dense block and what came out.</summary>
    internal BlockExample Example { get; }

    /// <summary>What came out of the dense block.</summary>
    public BlockActivationData Output => Example.Expected;

    /// <summary>The calibration of a matrix.</summary>
    public Calibration this[BlockMatrix matrix] => matrix switch
    {
        BlockMatrix.Output => _attended,
        BlockMatrix.UpProjection => _expanded,
        BlockMatrix.DownProjection => _contracted,
        _ => _normalized,
    };

    /// <summary>Runs the dense block and collects.</summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Shapes; causal or not.</param>
    /// <param name="input">Activations, [B, T, D]; the positions that count are collected.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    /// <param name="damping">See <see cref="Calibration"/>.</param>
    /// <param name="cancel">Ends the work.</param>
    /// <exception cref="ShapeMismatchException">A shape does not fit.</exception>
    /// <exception cref="TokenException">A sequence is longer than the configuration's maximum.</exception>
    /// <exception cref="NonFiniteException">A weight or an activation is NaN or infinite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static BlockCalibration Run(
        DenseBlockWeights dense, TransformerConfig config, BlockActivationData input, Workspace<float>? workspace = null, double? damping = null,
        CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(input);
        using Workspace<float>? own = workspace is null ? new Workspace<float>() : null;
        workspace ??= own!;
        SecondMoment normalized = new(config.Width), attended = new(config.Width), expanded = new(config.Width), contracted = new(config.HiddenWidth);
        int threads = workspace.Workers.Threads;
        float[] output = BlockRunner.Run(BlockWeights.Compress(dense, config, RbeOptions.Dense), config, input, workspace, (saved, _) =>
        {
            // Without a transform the coefficient domain is the plain one.
            Add(normalized, saved[BlockPanel.X1Coefficients], input, threads, cancel);
            Add(attended, saved[BlockPanel.AttCoefficients], input, threads, cancel);
            Add(expanded, saved[BlockPanel.X2Coefficients], input, threads, cancel);
            Add(contracted, saved[BlockPanel.HiddenCoefficients], input, threads, cancel);
        }, cancel);
        return new BlockCalibration(
            new BlockExample(input, input.With(output)),
            new Calibration(normalized, damping),
            new Calibration(attended, damping),
            new Calibration(expanded, damping),
            new Calibration(contracted, damping))
        { Damping = damping };
    }

    private static void Add(SecondMoment moment, Panel<float> panel, BlockActivationData input, int threads, CancellationToken cancel)
    {
        float[] rows = new float[checked(panel.Tokens * panel.Features)];
        panel.ToRowMajor(rows);
        ReadOnlySpan<float> counted = input.Counted(rows, panel.Features);
        moment.Add(counted, counted.Length / panel.Features, panel.Features, threads, cancel);
    }
}
