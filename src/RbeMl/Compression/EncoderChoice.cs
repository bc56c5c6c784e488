using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Compression;

/// <summary>
/// Chooses formats for all blocks of an encoder by the error of its vectors: each matrix is compressed alone, and what that does to the vectors is measured
/// through all blocks above it. A block's own output says less: LayerNorms, pooling and unit length take parts of its error away.
/// </summary>
/// <param name="config">Shapes.</param>
/// <param name="blockAt">Dense weights of a layer; asked for once to measure and once for each compression.</param>
/// <param name="input">Activations that enter the first block.</param>
/// <param name="yardstick">Makes vectors.</param>
/// <param name="settings">Candidates.</param>
/// <param name="workspace">Threads and scratch.</param>
internal sealed class EncoderChoice(
    TransformerConfig config, Func<int, DenseBlockWeights> blockAt, BlockActivationData input, EmbeddingYardstick yardstick, ChoiceSettings settings,
    Workspace<float> workspace)
{
    private readonly BlockActivationData _measured = EmbeddingYardstick.Pick(input, EmbeddingYardstick.Spread(input.Batch, EmbeddingYardstick.Sequences));
    private readonly List<RateCurve> _curves = [];
    private float[] _expected = [];
    private double[] _sensitivities = [];

    private CancellationToken Cancel => settings.Parallel.CancellationToken;

    /// <summary>Chooses and compresses.</summary>
    /// <param name="target">A size of all blocks together, or a relative error of the vectors.</param>
    /// <returns>One choice a layer.</returns>
    /// <exception cref="UnreachableTargetException">No choice meets the target; it tells the best.</exception>
    public IReadOnlyList<BlockChoice> Choose(ChoiceTarget target)
    {
        Measure();
        if (target.Error is { } error) return WithinError(error);
        return Compress(RateAllocator.MinimizeError(_curves, _sensitivities, target.BitsPerWeight!.Value * _curves.Sum(c => c.Weights)));
    }

    // Every matrix compressed alone goes on through the dense blocks above, beside the others.
    private void Measure()
    {
        RbeOptions probe = settings.Candidates[0] with { Format = settings.Probe, Alphas = false };
        List<(float[]? Values, double WeightError)> flights = [];
        float[] exactFlight = _measured.Values;
        ForEachBlock((layer, work) =>
        {
            BlockWeights exact = BlockWeights.Compress(work.Dense, work.Config, RbeOptions.Dense);
            float[] Through(BlockWeights block, float[] values) =>
                BlockRunner.Run(block, work.Config, _measured.With(values), workspace, cancel: Cancel);
            for (int i = 0; i < flights.Count; i++)
            {
                if (flights[i].Values is { } values) flights[i] = flights[i] with { Values = Through(exact, values) };
            }

            _curves.AddRange(BlockSensitivity.CurvesOf(work).Values);
            foreach (BlockMatrix m in PerMatrix.All)
            {
                (BlockWeights? Block, double Error) perturbed =
                    WeightRange.Named(PerMatrix.NameOf(m), () => BlockSensitivity.Perturb(work, exact, probe, m));
                flights.Add((perturbed.Block is { } block ? Through(block, exactFlight) : null, perturbed.Error));
            }

            exactFlight = Through(exact, exactFlight);
        });
        _expected = yardstick.Vectors(exactFlight, _measured.Batch);
        _sensitivities = [.. flights.Select(flight => flight.Values is { } values
            ? EmbeddingYardstick.Error(_expected, yardstick.Vectors(values, _measured.Batch)) / flight.WeightError : 0)];
    }

    // As of a block: the prediction leaves out how errors meet, so each round aims again by what was measured.
    private List<BlockChoice> WithinError(double error)
    {
        List<BlockChoice>? best = null;
        double aim = error, least = double.PositiveInfinity;
        HashSet<string> seen = [];
        for (int round = 0; round < settings.Rounds; round++)
        {
            RateAllocation allocation = FormatChoice.Reachable(_curves, _sensitivities, aim);
            if (!seen.Add(string.Join(' ', allocation.Choices))) break;
            List<BlockChoice> choices = Compress(allocation);
            double measured = ErrorOf(choices);
            least = Math.Min(least, measured);
            if (measured <= error && (best is null || choices.Sum(c => c.Block.Bits) < best.Sum(c => c.Block.Bits))) best = choices;
            if (measured <= error && measured >= FormatChoice.CloseEnough * error) break;
            aim = Math.Min(aim, allocation.Error * 1.5)
                * Math.Clamp(error / measured * (measured > error ? FormatChoice.CloseEnough : 1), 0.25, 4);
        }

        RateAllocation finest = FormatChoice.Reachable(_curves, _sensitivities, 0);
        if (best is null && seen.Add(string.Join(' ', finest.Choices)))
        {
            List<BlockChoice> choices = Compress(finest);
            double measured = ErrorOf(choices);
            least = Math.Min(least, measured);
            if (measured <= error) best = choices;
        }

        return best ?? throw new UnreachableTargetException(
            FormattableString.Invariant($"An error of {error:G4} of the vectors"), least,
            "Allow more error, offer more accurate formats, or calibrate with more tokens.");
    }

    private List<BlockChoice> Compress(RateAllocation allocation)
    {
        List<BlockChoice> choices = [];
        int count = PerMatrix.All.Count;
        ForEachBlock((layer, work) => choices.Add(FormatChoice.Realize(
            work, new RateAllocation([.. allocation.Choices.Skip(layer * count).Take(count)], allocation.Bits, allocation.Error))));
        return choices;
    }

    private double ErrorOf(List<BlockChoice> choices)
    {
        float[] values = _measured.Values;
        for (int layer = 0; layer < choices.Count; layer++)
        {
            values = BlockRunner.Run(choices[layer].Block.Weights, config.OfBlock(layer), _measured.With(values), workspace, cancel: Cancel);
        }

        return EmbeddingYardstick.Error(_expected, yardstick.Vectors(values, _measured.Batch));
    }

    private void ForEachBlock(Action<int, BlockWork> use)
    {
        BlockActivationData x = input;
        for (int layer = 0; layer < config.Layers; layer++)
        {
            DenseBlockWeights dense = blockAt(layer);
            TransformerConfig own = config.OfBlock(layer);
            BlockCalibration calibration = BlockCalibration.Run(dense, own, x, workspace, cancel: Cancel, outputGradient: settings.OutputGradients?[layer]);
            int at = layer;
            WeightRange.Named(ModelCompressor.NameOf(layer), () =>
            {
                use(at, new BlockWork(dense, own, calibration, calibration.Example, settings, workspace));
                return true;
            });
            x = calibration.Output;
        }
    }
}
