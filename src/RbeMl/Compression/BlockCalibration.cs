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

    /// <summary>What each matrix's output is worth; null where all outputs count alike.</summary>
    internal PerMatrix<Calibration>? Outputs { get; private init; }

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
    /// <param name="outputGradient">
    /// The gradient of the block's output, [B, T, D], of what shall err least: collects what the matrices' outputs are worth too. Null
    /// counts all alike.
    /// </param>
    /// <exception cref="ShapeMismatchException">A shape does not fit.</exception>
    /// <exception cref="TokenException">A sequence is longer than the configuration's maximum.</exception>
    /// <exception cref="NonFiniteException">A weight or an activation is NaN or infinite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static BlockCalibration Run(
        DenseBlockWeights dense, TransformerConfig config, BlockActivationData input, Workspace<float>? workspace = null, double? damping = null,
        CancellationToken cancel = default, BlockActivationData? outputGradient = null)
    {
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(input);
        using Workspace<float>? own = workspace is null ? new Workspace<float>() : null;
        workspace ??= own!;
        SecondMoment normalized = new(config.Width), attended = new(config.Width), expanded = new(config.Width), contracted = new(config.HiddenWidth);
        int threads = workspace.Workers.Threads;
        BlockWeights weights = BlockWeights.Compress(dense, config, RbeOptions.Dense);
        float[] output;
        PerMatrix<Calibration>? outputs = null;
        if (outputGradient is null)
        {
            output = BlockRunner.Run(weights, config, input, workspace, (saved, _) => AddInputs(saved), cancel);
        }
        else
        {
            PerMatrix<SecondMoment> moments = new(m => new SecondMoment(PerMatrix.ShapeOf(config, m).Rows));
            output = new float[input.Values.Length];
            BlockRunner.RunBack(weights, config, input, outputGradient, workspace, output, below: null, (saved, call) =>
            {
                AddInputs(saved);
                foreach (BlockMatrix m in PerMatrix.All)
                {
                    Add(moments[m], call.Shared[BlockLayout.GradientOf(m)], call.Layout.GradientRowOf(m), input, threads, cancel);
                }
            }, cancel);
            outputs = new PerMatrix<Calibration>(m => new Calibration(moments[m], damping, centered: false));
        }

        return new BlockCalibration(
            new BlockExample(input, input.With(output)),
            new Calibration(normalized, damping),
            new Calibration(attended, damping),
            new Calibration(expanded, damping),
            new Calibration(contracted, damping))
        { Damping = damping, Outputs = outputs };

        // Without a transform the coefficient domain is the plain one.
        void AddInputs(BlockActivations<float> saved)
        {
            Add(normalized, saved[BlockPanel.X1Coefficients], 0, input, threads, cancel);
            Add(attended, saved[BlockPanel.AttCoefficients], 0, input, threads, cancel);
            Add(expanded, saved[BlockPanel.X2Coefficients], 0, input, threads, cancel);
            Add(contracted, saved[BlockPanel.HiddenCoefficients], 0, input, threads, cancel);
        }
    }

    // Features of the moment, from one of the panel on.
    private static void Add(SecondMoment moment, Panel<float> panel, int first, BlockActivationData input, int threads, CancellationToken cancel)
    {
        int features = moment.Features;
        float[] rows = new float[checked(panel.Tokens * features)];
        if (features == panel.Features) panel.ToRowMajor(rows);
        for (int t = 0; t < panel.Tokens && features < panel.Features; t++)
        {
            for (int f = 0; f < features; f++) rows[(t * features) + f] = panel[t, first + f];
        }

        ReadOnlySpan<float> counted = input.Counted(rows, features);
        moment.Add(counted, counted.Length / features, features, threads, cancel);
    }
}
