using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Compression;

/// <content>Choice for all blocks of a model.</content>
public static partial class FormatChoice
{
    /// <summary>
    /// Chooses for all blocks of a model and compresses them one after the other, so that memory holds one dense block at a time besides
    /// its activations. A size is shared out over all blocks so that the sum of the squares of their relative output errors is least; an
    /// error is met by every block. A block's input is what the dense blocks before it make of the activations.
    /// </summary>
    /// <param name="config">Shapes.</param>
    /// <param name="blockAt">Dense weights of a layer; asked for twice with a size as target.</param>
    /// <param name="input">Activations that enter the first block.</param>
    /// <param name="target">Size or error.</param>
    /// <param name="settings">Candidates; defaults when null.</param>
    /// <param name="heldOut">Other activations that enter the first block, to measure errors on; null measures on <paramref name="input"/>.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    /// <returns>One choice a layer.</returns>
    /// <exception cref="UnreachableTargetException">No choice meets the target; it tells the best.</exception>
    public static IReadOnlyList<BlockChoice> ForModel(
        TransformerConfig config,
        Func<int, DenseBlockWeights> blockAt,
        BlockActivationData input,
        ChoiceTarget target,
        ChoiceSettings? settings = null,
        BlockActivationData? heldOut = null,
        Workspace<float>? workspace = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(blockAt);
        ArgumentNullException.ThrowIfNull(target);
        settings ??= new ChoiceSettings();
        using Workspace<float>? made = workspace is null ? new Workspace<float>() : null;
        workspace ??= made!;
        List<BlockChoice> choices = [];
        List<BlockSensitivity> known = [];
        ForEachBlock((layer, work) =>
        {
            BlockSensitivity block = Named(layer, () => BlockSensitivity.Measure(work.Dense, work.Config, work.Calibration, work.Example, settings, workspace));
            if (target.Error is { } error) choices.Add(Named(layer, () => WithinError(work, block, error)));
            else known.Add(block);
        });
        if (target.Error is not null) return choices;
        RateCurve[] curves = [.. known.SelectMany(k => k.Curves.Values)];
        double[] sensitivities = [.. known.SelectMany(k => k.Sensitivities.Values)];
        RateAllocation all = RateAllocator.MinimizeError(curves, sensitivities, target.BitsPerWeight!.Value * curves.Sum(c => c.Weights));
        ForEachBlock((layer, work) => choices.Add(Named(layer, () => Realize(work, Part(all, known[layer], layer)))));
        return choices;

        static T Named<T>(int layer, Func<T> work) => WeightRange.Named(ModelCompressor.NameOf(layer), work);

        void ForEachBlock(Action<int, BlockWork> use)
        {
            (BlockActivationData x, BlockActivationData? other) = (input, heldOut);
            for (int layer = 0; layer < config.Layers; layer++)
            {
                DenseBlockWeights dense = blockAt(layer);
                TransformerConfig own = config.OfBlock(layer);
                BlockCalibration calibration = BlockCalibration.Run(dense, own, x, workspace, cancel: settings.Parallel.CancellationToken,
                    outputGradient: settings.OutputGradients?[layer]);
                BlockExample example = other is null ? calibration.Example
                    : BlockExample.Run(dense, own, other, workspace, settings.Parallel.CancellationToken);
                use(layer, new BlockWork(dense, own, calibration, example, settings, workspace));
                (x, other) = (calibration.Output, other is null ? null : example.Expected);
            }
        }
    }

    // The part of an allocation that belongs to a layer.
    private static RateAllocation Part(RateAllocation all, BlockSensitivity known, int layer)
    {
        int count = PerMatrix.All.Count;
        int[] choices = [.. all.Choices.Skip(layer * count).Take(count)];
        double bits = 0, cost = 0;
        for (int m = 0; m < count; m++)
        {
            RatePoint point = known.Curves.Values[m].Points[choices[m]];
            bits += point.Bits;
            cost += Math.Pow(known.Sensitivities.Values[m] * point.Error, 2);
        }

        return new RateAllocation(choices, bits, Math.Sqrt(cost));
    }
}
