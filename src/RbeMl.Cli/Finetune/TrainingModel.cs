using RbeMl.Cli.Output;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>Makes the model of a run.</summary>
internal static class TrainingModel
{
    /// <summary>A new model, or the loaded one with the dropout and formats asked for.</summary>
    public static TransformerModel<float> Create(FinetuneSettings settings, TransformerModel<float>? loaded, int vocabulary, int context)
    {
        if (loaded is not null) return Adapt(settings, loaded);
        TransformerConfig config = new()
        {
            Width = settings.Width,
            Heads = settings.Heads,
            Layers = settings.Layers,
            Vocabulary = vocabulary,
            MaxSequenceLength = context,
            Dropout = (float)(settings.Dropout ?? 0),
        };
        ActivationSettings? kept = settings.MemoryLimit is not null ? null : new ActivationSettings
        {
            Checkpointing = settings.Checkpointing ?? CheckpointPolicy.None,
            Offload = settings.Offload ?? ActivationOffload.None,
        };
        NewModelMemory.Require(config, settings.Optimizer, settings.Compression!, kept, settings.Batch, context, settings.Threads == 0
            ? Environment.ProcessorCount : settings.Threads);
        return new TransformerModel<float>(TransformerWeights.CreateUntrained(config, settings.Compression!, settings.Seed));
    }

    private static TransformerModel<float> Adapt(FinetuneSettings settings, TransformerModel<float> model)
    {
        if (settings.Compression is null && settings.Dropout is null) return model;
        TransformerWeights weights = model.GetWeights();
        if (settings.Dropout is { } dropout) weights = weights with { Config = weights.Config.WithDropout((float)dropout) };
        if (settings.Compression is { } options) weights = weights.Recompress(options);
        return new TransformerModel<float>(weights);
    }

    /// <summary>A model with the delta asked for, or with the one that it has where the run saved it itself; null where none is asked for.</summary>
    public static DeltaModel? WithDelta(FinetuneSettings settings, TransformerModel<float> model, TrainingData data, int context, bool own,
        CancellationToken cancel) => (settings.Delta, settings.ApplyDelta) switch
        {
            _ when own && settings.SaveDelta is { } file => throw new InvalidSettingException("--save-delta", file,
                "the --model has this run's delta in it already, and without it is not known any more. Give the model that the run began with."),
            ({ } delta, _) when own => DeltaModel.GoOn(model, delta),
            ({ } delta, _) => DeltaModel.Attach(model, delta, new DeltaCalibration(data.Train, settings.Batch, context)
            {
                Threads = settings.Threads,
                MemoryLimit = settings.MemoryLimit,
                Cancel = cancel,
            }),
            (_, { } file) when own => new DeltaModel(model, null, DeltaFile.TrainedIn(file)),
            (_, { } file) => DeltaFile.Apply(file, model),
            _ => null,
        };

    /// <summary>A short description of how a matrix is stored.</summary>
    public static string Describe(RbeMatrix matrix)
    {
        string coefficients = $"{Format.Count(matrix.Support?.CoefficientsPerTile ?? 0, "coefficient")} a tile";
        return matrix.Format switch
        {
            SparseFormat sparse => $"{coefficients}, {Name(sparse.Support)}",
            FrozenFormat { Delta: { } delta } frozen => $"{frozen.Bits} bits, {frozen.Name}, and {coefficients} on top, {Name(delta.Support)}",
            FrozenFormat frozen => $"{frozen.Bits} bits, {frozen.Name}",
            _ => $"{coefficients} ({matrix.Format.Name})",
        };
    }

    private static string Name(SupportRule rule) => rule.Kind switch
    {
        SupportKind.Runs => $"runs of {rule.RunLength}",
        SupportKind.TopK => "the largest",
        SupportKind.LowFrequency => "low frequencies",
        _ => "random places",
    };
}
