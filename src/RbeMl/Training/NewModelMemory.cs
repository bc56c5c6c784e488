using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>Refuses a new model that this machine cannot train, before the model is made.</summary>
internal static class NewModelMemory
{
    /// <summary>Checks that the embeddings, with gradients and the optimiser's state, fit into the machine. Nothing is allocated.</summary>
    /// <param name="config">Shapes; embeddings are dense.</param>
    /// <param name="optimizer">What it is trained with.</param>
    /// <exception cref="MemoryLimitException">They take more than <see cref="RuntimeFootprint.MachineBytes"/>.</exception>
    /// <exception cref="InvalidSettingException">A value of the configuration is out of range.</exception>
    public static void Require(TransformerConfig config, OptimizerOptions optimizer)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(optimizer);
        Refuse(Embeddings(config.Validate(), optimizer), Describe(config));
    }

    /// <summary>Checks that embeddings and a training step fit into the machine.</summary>
    /// <param name="config">Shapes; embeddings are dense.</param>
    /// <param name="optimizer">What it is trained with.</param>
    /// <param name="compression">How matrices are stored.</param>
    /// <param name="settings">What is kept for the backward; null for the least.</param>
    /// <param name="batch">Sequences of a micro-batch.</param>
    /// <param name="context">Tokens of a sequence.</param>
    /// <param name="threads">Threads.</param>
    /// <exception cref="MemoryLimitException">They take more than <see cref="RuntimeFootprint.MachineBytes"/>.</exception>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public static void Require(TransformerConfig config, OptimizerOptions optimizer, RbeOptions compression, ActivationSettings? settings,
        int batch, int context, int threads)
    {
        Require(config, optimizer);
        if (Guess(config, batch, context) < RuntimeFootprint.MachineBytes / 4.0) return;

        // A model of one block and hardly an embedding tells what a step takes at least.
        settings ??= new ActivationSettings { Checkpointing = CheckpointPolicy.Full, Offload = ActivationOffload.Spill, PartSequences = 1, HeadChunks = 1 };
        using TransformerModel<float> block =
            new(TransformerWeights.CreateUntrained(config with { Layers = 1, Vocabulary = 1, MaxSequenceLength = 1 }, compression, 1));
        StepMemory step = block.PredictStep(settings, batch, context, threads);
        Refuse(
            Embeddings(config, optimizer) + Math.Max(step.Total, step.Activations * (double)config.Layers),
            FormattableString.Invariant($"a step of {batch} x {Amount.Of(context, "token")} through {config.Layers} blocks, and {Describe(config)}"));
    }

    // Bytes of a step with everything kept, roughly.
    private static double Guess(TransformerConfig config, int batch, int context) =>
        (double)batch * context * config.Layers * ((2.0 * config.HiddenWidth) + (12.0 * config.Width)) * sizeof(float);

    private static double Embeddings(TransformerConfig config, OptimizerOptions optimizer)
    {
        double values = (((config.TiedHead ? 1.0 : 2.0) * config.Vocabulary) + config.MaxSequenceLength) * config.Width;
        return (values * (2 + optimizer.StateVectors) * sizeof(float)) + optimizer.CodedBytes((long)values); // values and gradients are two
    }

    private static string Describe(TransformerConfig config) => string.Create(CultureInfo.InvariantCulture,
        $"embeddings of {config.Vocabulary} token ids and {Amount.Of(config.MaxSequenceLength, "position")} of width {config.Width}, with gradients "
            + $"and the optimizer's state");

    private static void Refuse(double bytes, string what)
    {
        long machine = RuntimeFootprint.MachineBytes;
        if (bytes > machine) throw MemoryLimitException.OfMachine(machine, (long)Math.Min(bytes, long.MaxValue / 2), what);
    }
}
