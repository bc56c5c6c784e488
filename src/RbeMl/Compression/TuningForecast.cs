using System.Diagnostics;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Numerics;

namespace RbeMl.Compression;

/// <summary>The time that <see cref="ModelTuner"/> would take, by a step through one block of the model.</summary>
internal static class TuningForecast
{
    private const double ForwardShare = 1.0 / 3; // of a step, whose backward has two products for each of the forward
    private const ulong ActivationStream = 83;

    /// <summary>Seconds of all steps, and of the looks at the windows that are held out.</summary>
    /// <param name="source">The model.</param>
    /// <param name="block">One of its blocks.</param>
    /// <param name="request">How it is to be compressed, with a tuning.</param>
    /// <param name="calibrationTokens">Tokens of the calibration.</param>
    public static double Seconds(IModelFolder source, DenseBlockWeights block, CompressionRequest request, int calibrationTokens)
    {
        TransformerConfig config = source.Config;
        int length = Math.Min(Math.Min(config.MaxSequenceLength, source.Encoder?.MaxTokens ?? int.MaxValue), Math.Max(1, calibrationTokens));
        int windows = Math.Max(1, calibrationTokens / length), sequences = Math.Clamp(ModelTuner.TokensPerStep / length, 1, windows);
        double one = StepOf(config, block, request, sequences, length), values = PerMatrix.All.Sum(m => (double)block.MatrixAt(m).Length);

        // A language model's divergence takes the logits of both models and one gradient: as many products a value as a block's step.
        double head = source.Encoder is null ? (double)config.Vocabulary * config.Width / values : 0, step = one * (config.Layers + head);
        int steps = request.Tuning!.Steps;
        double held = Math.Max(1, windows / (double)ModelTuner.HeldPart) * length / (sequences * (double)length);
        double looks = Math.Min(held, (double)ModelTuner.HeldTokens / (sequences * length)) * ForwardShare
            * ((steps / (double)ModelTuner.HeldEvery) + (2 * Math.Min(steps, ModelCompression.TunedGroups * config.Layers)));
        return step * (steps + looks + (windows / (double)sequences * ForwardShare));
    }

    private static double StepOf(TransformerConfig config, DenseBlockWeights dense, CompressionRequest request, int sequences, int length)
    {
        BlockWeights weights = BlockWeights.Compress(dense, config, ModelTuner.FloatsOf(request.Options.Tile, request.Options.Transform));
        using RbeTransformerBlock<float> block = new(config.OfBlock(config.Layers / 2), weights);
        using Workspace<float> workspace = new(request.Threads);
        using BlockContext<float> context = new();
        using ParameterVector<float> gradients = block.Parameters.CreateLike();
        float[] x = new float[checked(sequences * length * config.Width)];
        DeterministicRandom random = new(request.Seed, ActivationStream);
        for (int i = 0; i < x.Length; i++) x[i] = (float)random.NextNormal();
        double seconds = 0;
        for (int run = 0; run < 2; run++) // code that has run once is as fast as it gets
        {
            long started = Stopwatch.GetTimestamp();
            _ = block.Forward(x, sequences, length, null, context, workspace);
            _ = block.Backward(x, context, gradients, workspace);
            seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        }

        return seconds;
    }
}
