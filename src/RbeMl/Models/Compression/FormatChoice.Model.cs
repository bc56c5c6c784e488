using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Models.Compression;

/// <content>Choice for all blocks of a model.</content>
public static partial class FormatChoice
{
    /// <summary>
    /// Chooses for all blocks of a model and compresses them one after the other, so that memory holds one dense block at a time besides its activations. A size is shared out
    /// over all blocks so that the sum of the squares of their relative output errors is least; an error is met by every block. A block's input is what the dense
    /// blocks before it make of the activations.
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
        TransformerConfig config, Func<int, DenseBlockWeights> blockAt, BlockActivationData input, ChoiceTarget target, ChoiceSettings? settings = null, BlockActivationData? heldOut = null, Workspace<float>? workspace = null)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(blockAt);
        ArgumentNullException.ThrowIfNull(target);
        settings ??= new ChoiceSettings();
        using Workspace<float>? own = workspace is null ? new Workspace<float>() : null;
        workspace ??= own!;
        List<BlockChoice> choices = [];
        if (target.Error is not null)
        {
            ForEachBlock(config, blockAt, input, heldOut, workspace, (_, dense, calibration, example) => choices.Add(Choose(dense, config, calibration, target, settings, heldOut is null ? null : example.Input, workspace)));
            return choices;
        }

        List<BlockSensitivity> known = [];
        ForEachBlock(config, blockAt, input, heldOut, workspace, (_, dense, calibration, example) => known.Add(BlockSensitivity.Measure(dense, config, calibration, example, settings, workspace)));
        RateCurve[] curves = [.. known.SelectMany(k => k.Curves.Values)];
        double[] sensitivities = [.. known.SelectMany(k => k.Sensitivities.Values)];
        double budget = target.BitsPerWeight!.Value * curves.Sum(c => c.Weights);
        RateAllocation all = RateAllocator.MinimizeError(curves, sensitivities, budget);
        ForEachBlock(config, blockAt, input, heldOut, workspace, (layer, dense, calibration, example) =>
            choices.Add(Realize(dense, config, calibration, example, settings, Part(all, known[layer], layer), workspace)));
        return choices;
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

    private static void ForEachBlock(
        TransformerConfig config, Func<int, DenseBlockWeights> blockAt, BlockActivationData input, BlockActivationData? heldOut, Workspace<float> workspace, Action<int, DenseBlockWeights, BlockCalibration, BlockExample> use)
    {
        for (int layer = 0; layer < config.Layers; layer++)
        {
            DenseBlockWeights dense = blockAt(layer);
            BlockCalibration calibration = BlockCalibration.Run(dense, config, input, workspace);
            BlockExample example = heldOut is null ? calibration.Example : BlockExample.Run(dense, config, heldOut, workspace);
            use(layer, dense, calibration, example);
            input = calibration.Output;
            if (heldOut is not null) heldOut = example.Expected;
        }
    }
}
