using System.Globalization;
using System.IO.Hashing;
using System.Text;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>
/// The name of a run: a hash of what decides its result, so that the same run gives the same files, bit for bit, on any machine and number of threads.
/// How far a run came is not in it; the hash of its weights says that.
/// </summary>
internal static class RunId
{
    /// <summary>The name, 32 hexadecimal digits.</summary>
    /// <param name="settings">What was asked for; threads, memory and file names do not matter.</param>
    /// <param name="model">The model before the first step.</param>
    /// <param name="data">The data, all of it.</param>
    /// <param name="context">Tokens of a sequence.</param>
    /// <param name="delta">What is trained of the model; null for all.</param>
    /// <param name="ranks">Ranks, which matter where their gradients are not added up as in one process.</param>
    public static string Of(FinetuneSettings settings, TransformerModel<float> model, TrainingData data, int context, DeltaModel? delta, int ranks)
    {
        XxHash128 hash = new();
        object?[] values =
        [
            RunMark.HashOf(model), settings.Steps, settings.Seconds, settings.Batch, context, settings.Accumulate, settings.Optimizer.Describe(),
                settings.LearningRate, settings.CoefficientLearningRate, settings.PreconditionAlphas,
            settings.Warmup, settings.WeightDecay, settings.Clip, settings.TrainBits, settings.Average, settings.Dropout, settings.Seed,
                settings.Offload is ActivationOffload.BFloat16, DataChecksum.Of(data.Train, 1, context),
                DataChecksum.Of(data.Validation, 1, context), data.Vocabulary,
            settings.Course.Schedule, settings.Course.Final, settings.Course.Cycles, ParameterGroup.Describe(settings.Groups),
            .. delta is null ? [] : (object?[])[ParameterGroup.Describe(delta.Groups), RunIdentity.Describe(model)],
        ];
        if (settings is not { Patience: 0, OnDivergence: OnDivergence.Stop }) values = [.. values, settings.Patience, settings.OnDivergence];
        if (ranks > 1 && settings.Ranks.Deciding is { } sum) values = [.. values, sum, ranks];
        foreach (object? value in values) hash.Append(Encoding.UTF8.GetBytes(Convert.ToString(value, CultureInfo.InvariantCulture) + "\n"));
        return Convert.ToHexStringLower(hash.GetCurrentHash());
    }
}
