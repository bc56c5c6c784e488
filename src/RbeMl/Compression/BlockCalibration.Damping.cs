using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Compression;

/// <content>How far rounding trusts the tokens.</content>
public sealed partial class BlockCalibration
{
    private static readonly double[] s_dampings = [1, 3, 10, 100];

    /// <summary>Share of the mean diagonal that rounding adds, as given to <see cref="Run"/>; null when it is estimated for each matrix.</summary>
    public double? Damping { get; private init; }

    /// <summary>The same tokens with another damping; nothing is collected again.</summary>
    /// <param name="damping">See <see cref="Calibration"/>.</param>
    /// <exception cref="InvalidSettingException">It is not a positive finite number.</exception>
    public BlockCalibration WithDamping(double? damping) =>
        new(Example, Again(_normalized, damping), Again(_attended, damping), Again(_expanded, damping), Again(_contracted, damping))
        {
            Damping = damping,
            Outputs = Outputs is { } outputs ? new PerMatrix<Calibration>(m => Again(outputs[m], damping)) : null,
        };

    /// <summary>
    /// The same tokens with the damping that serves others best: the estimate takes tokens as independent, which neighbours in speech or
    /// text are not, and knows nothing of other texts. Tried are this calibration and dampings of 1, 3, 10 and 100, which is nearly plain
    /// rounding, on the block at <paramref name="probe"/>.
    /// </summary>
    /// <param name="dense">The weights.</param>
    /// <param name="config">Their shapes.</param>
    /// <param name="heldOut">Activations other than those of the calibration.</param>
    /// <param name="probe">Options of all matrices; quantised at 4 bits when null.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    public BlockCalibration Tuned(DenseBlockWeights dense, TransformerConfig config, BlockActivationData heldOut, RbeOptions? probe = null,
        Workspace<float>? workspace = null)
    {
        using Workspace<float>? own = workspace is null ? new Workspace<float>() : null;
        BlockExample example = BlockExample.Run(dense, config, heldOut, workspace ?? own!);
        PerMatrix<RbeOptions> options = new(probe ?? new RbeOptions { Format = RbeFormat.Quantized(4), Alphas = false });
        return ((BlockCalibration[])[this, .. s_dampings.Select(d => WithDamping(d))]).MinBy(c =>
            CalibratedBlock.Compress(dense, config, options, c).OutputError(config, example, workspace ?? own!))!;
    }

    private static Calibration Again(Calibration calibration, double? damping) => new(calibration.Moment, damping, calibration.Centered);
}
