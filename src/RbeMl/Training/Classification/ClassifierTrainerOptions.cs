using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>A tokenized text and its class.</summary>
/// <param name="Tokens">Ids, at least 1.</param>
/// <param name="Label">Class, from 0.</param>
public readonly record struct ClassifierExample(int[] Tokens, int Label);

/// <summary>What a classifier's training changes. The head always trains.</summary>
public enum TrainedParts
{
    /// <summary>Everything.</summary>
    All,

    /// <summary>Head, coefficients and alphas: of a quantised model with a sparse delta that is the delta.</summary>
    Coefficients,

    /// <summary>Head, biases and LayerNorms.</summary>
    Biases,

    /// <summary>The head alone; there is no backward through the model.</summary>
    Head,
}

/// <summary>What a run does when it is cancelled.</summary>
public enum WhenCancelled
{
    /// <summary>Throws <see cref="OperationCanceledException"/>; the classifier holds the steps done so far.</summary>
    Throw,

    /// <summary>Returns with the best weights so far by validation, or the latest without one.</summary>
    ReturnBest,
}

/// <summary>Settings of a classifier's training.</summary>
public sealed record ClassifierTrainerOptions
{
    private readonly double? _learningRate, _weightDecay;

    /// <summary>Passes over the training examples, at least 1. Few, as a model sees small data often enough; raise it where the loss still falls.</summary>
    public int Epochs { get; init; } = 4;

    /// <summary>Examples of a step B, at most as many as there are; the last step of an epoch may have fewer.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>The optimiser, with the options that it alone has.</summary>
    public OptimizerOptions Optimizer { get; init; } = new AdamWOptions();

    /// <summary>
    /// Highest learning rate of dense values (embeddings, biases, LayerNorm); unless given 2e-3 for AdamW, and for another optimiser what
    /// suits it.
    /// </summary>
    public double LearningRate { get => _learningRate ?? Optimizer.RateFor(2e-3); init => _learningRate = value; }

    /// <summary>Highest learning rate of coefficients; see <see cref="TrainerOptions.CoefficientLearningRate"/>.</summary>
    public double? CoefficientLearningRate { get; init; }

    /// <summary>Highest learning rate of the head; null takes <see cref="LearningRate"/>.</summary>
    public double? HeadLearningRate { get; init; }

    /// <summary>Fraction of the run that is linear warm-up.</summary>
    public double WarmupFraction { get; init; } = 0.1;

    /// <summary>Schedule after the warm-up.</summary>
    public RateSchedule Schedule { get; init; } = RateSchedule.Cosine;

    /// <summary>Learning rate at the end, as a fraction of the highest.</summary>
    public double FinalFraction { get; init; } = 0.05;

    /// <summary>
    /// Weight decay of matrices, see <see cref="TrainerOptions.WeightDecay"/>; unless given 0.05 for AdamW, and for another optimiser what
    /// suits it.
    /// </summary>
    public double WeightDecay { get => _weightDecay ?? Optimizer.DecayFor(0.05); init => _weightDecay = value; }

    /// <summary>Largest global norm of the gradient of model and head together; 0 turns clipping off.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>Seed of split, order and dropout.</summary>
    public ulong Seed { get; init; } = 1337;

    /// <summary>
    /// Share of the examples, of each class, that is held out for validation when none are given, 0 up to but not 1; 0 holds out none, else it is at least
    /// one. Every class keeps one example to train on.
    /// </summary>
    public double ValidationFraction { get; init; }

    /// <summary>
    /// Epochs without a lower validation loss after which the run ends; the weights are then those of the best epoch, as they are when all epochs were done.
    /// 0 does all epochs and keeps the last weights.
    /// </summary>
    public int Patience { get; init; }

    /// <summary>What is trained.</summary>
    public TrainedParts Trained { get; init; }

    /// <summary>What happens on cancellation.</summary>
    public WhenCancelled OnCancel { get; init; }

    /// <summary>What is kept for the backward; null keeps everything, or with a <see cref="MemoryLimit"/> what fits.</summary>
    public CheckpointPolicy? Checkpointing { get; init; }

    /// <summary>Where it is kept; null keeps it in memory as it is, or with a <see cref="MemoryLimit"/> where it fits.</summary>
    public Memory.ActivationOffload? Offload { get; init; }

    /// <summary>Folder of a spill file; null for the system's temporary folder.</summary>
    public string? SpillFolder { get; init; }

    /// <summary>
    /// Most memory in MiB that the process may have resident; null sets no limit. Where a batch must be done in parts all batches are padded to the
    /// longest example, which changes rounding.
    /// </summary>
    public int? MemoryLimit { get; init; }

    /// <summary>Checks every value.</summary>
    /// <returns>These options.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public ClassifierTrainerOptions Validate()
    {
        Require(Epochs >= 1, nameof(Epochs), Epochs, "use at least 1 epoch.");
        Require(BatchSize >= 1, nameof(BatchSize), BatchSize, "use at least 1 example.");
        Require(WarmupFraction is >= 0 and <= 1, nameof(WarmupFraction), WarmupFraction, "use a fraction from 0 to 1.");
        Require(HeadLearningRate is null or (> 0 and <= 1e6), nameof(HeadLearningRate), HeadLearningRate, "use a positive number, or leave it out.");
        Require(ValidationFraction is >= 0 and < 1, nameof(ValidationFraction), ValidationFraction, "use a fraction from 0 up to, but not, 1.");
        Require(Patience >= 0, nameof(Patience), Patience, "use 0 for no early stopping, or a number of epochs.");
        Require(Enum.IsDefined(Trained), nameof(Trained), Trained, $"use one of {string.Join(", ", Enum.GetNames<TrainedParts>())}.");
        Require(Enum.IsDefined(OnCancel), nameof(OnCancel), OnCancel, $"use one of {string.Join(", ", Enum.GetNames<WhenCancelled>())}.");
        Require(Optimizer is not null, nameof(Optimizer), "null", OptimizerOptions.Choices);
        _ = ToTrainer(1, LearningRate).Validate();
        return this;

        static void Require(bool condition, string name, object? value, string mend)
        {
            if (!condition) throw new InvalidSettingException(name, value, mend);
        }
    }

    /// <summary>These settings for an optimiser and schedule of so many steps.</summary>
    internal TrainerOptions ToTrainer(int steps, double rate) => new()
    {
        Steps = steps,
        BatchSize = 1,
        Context = 1,
        Optimizer = Optimizer,
        LearningRate = rate,
        CoefficientLearningRate = CoefficientLearningRate,
        WarmupSteps = (int)(WarmupFraction * steps),
        Schedule = Schedule,
        FinalFraction = FinalFraction,
        WeightDecay = WeightDecay,
        Clip = Clip,
        Seed = Seed,
        Checkpointing = Checkpointing,
        Offload = Offload,
        SpillFolder = SpillFolder,
        MemoryLimit = MemoryLimit,
    };

    /// <summary>Whether a slice of the model is trained.</summary>
    internal bool Trains(ParameterSlice slice, TransformerConfig config) => Trained switch
    {
        // The head of the language model has no gradient here; decay would still shrink it.
        TrainedParts.All => config.TiedHead || (slice.Name != "head" && !slice.Name.StartsWith("head.", StringComparison.Ordinal)),
        TrainedParts.Coefficients => slice.Kind is ParameterKind.Coefficient or ParameterKind.Alpha
            && slice.Name.StartsWith("blocks.", StringComparison.Ordinal),
        TrainedParts.Biases => slice.Kind is ParameterKind.Bias or ParameterKind.LayerNorm,
        _ => false,
    };
}

/// <summary>What a run reports after each step.</summary>
/// <param name="Epoch">Epoch under way, from 1.</param>
/// <param name="Epochs">Epochs in all.</param>
/// <param name="Step">Optimiser steps done.</param>
/// <param name="Steps">Optimiser steps in all.</param>
/// <param name="Loss">Mean loss of the step's batch, nats an example.</param>
/// <param name="LearningRate">Learning rate used.</param>
/// <param name="GradientNorm">Global norm before clipping.</param>
/// <param name="ExamplesPerSecond">Examples trained a second, of this step.</param>
/// <param name="ResidentBytes">Resident memory of the process, read at most once a second.</param>
/// <param name="Examples">Examples of the step: the weight of its loss in a mean over steps.</param>
/// <param name="ValidationLoss">Mean validation loss in nats, after the last step of an epoch.</param>
/// <param name="ValidationAccuracy">Share of the validation examples whose likeliest class is the label, after the last step of an epoch.</param>
public readonly record struct ClassifierProgress(
    int Epoch, int Epochs, int Step, int Steps, double Loss, double LearningRate, double GradientNorm, double ExamplesPerSecond,
    long ResidentBytes, int Examples,
    double? ValidationLoss = null, double? ValidationAccuracy = null);

/// <summary>How a run ended.</summary>
/// <param name="Steps">Optimiser steps done.</param>
/// <param name="Epochs">Whole epochs done.</param>
/// <param name="BestEpoch">The epoch whose weights the classifier has, from 1; 0 for those of the last step done.</param>
/// <param name="ValidationLoss">Validation loss of those weights; null without one.</param>
/// <param name="ValidationAccuracy">Validation accuracy of those weights; null without one.</param>
/// <param name="StoppedEarly">Whether patience ran out.</param>
/// <param name="Cancelled">Whether it was cancelled.</param>
public sealed record ClassifierResult(int Steps, int Epochs, int BestEpoch, double? ValidationLoss, double? ValidationAccuracy,
    bool StoppedEarly, bool Cancelled);
