using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <summary>Settings of a training run.</summary>
public sealed record TrainerOptions
{
    private readonly double? _learningRate, _weightDecay;

    /// <summary>Optimiser steps, at least 1; int.MaxValue for a run that is limited by time, whose schedule goes by the progress given to each step.</summary>
    public int Steps { get; init; } = 1000;

    /// <summary>Sequences of a micro-batch B.</summary>
    public int BatchSize { get; init; } = 12;

    /// <summary>Tokens of a sequence T.</summary>
    public int Context { get; init; } = 64;

    /// <summary>
    /// Micro-batches added up before an optimiser step, whose loss is the mean over the tokens of all of them. Their gradients are added by
    /// a fixed binary tree, which takes log2 of their number more vectors of the gradient's size.
    /// </summary>
    public int Accumulate { get; init; } = 1;

    /// <summary>The optimiser, with the options that it alone has.</summary>
    public OptimizerOptions Optimizer { get; init; } = new AdamWOptions();

    /// <summary>
    /// Highest learning rate of dense values (embeddings, biases, LayerNorm); unless given 1e-3 for AdamW, and for another optimiser what
    /// suits it.
    /// </summary>
    public double LearningRate { get => _learningRate ?? Optimizer.RateFor(1e-3); init => _learningRate = value; }

    /// <summary>
    /// Highest learning rate of coefficients; null means LearningRate * sqrt(B² / K) of each matrix. Alphas, whose basis functions have the
    /// norm B, get a B-th of it.
    /// </summary>
    public double? CoefficientLearningRate { get; init; }

    /// <summary>Steps of linear warm-up, at most a twentieth of a run that is limited by time.</summary>
    public int WarmupSteps { get; init; } = 100;

    /// <summary>Schedule after the warm-up.</summary>
    public RateSchedule Schedule { get; init; } = RateSchedule.Cosine;

    /// <summary>Learning rate at the end, as a fraction of the highest; 0 falls to nothing.</summary>
    public double FinalFraction { get; init; } = 0.1;

    /// <summary>How often the schedule is run through after the warm-up, at least 1: with more the rate is the highest again after each
    /// (warm restarts).</summary>
    public int Cycles { get; init; } = 1;

    /// <summary>
    /// Weight decay of matrices (none on biases, LayerNorm), decoupled from the gradient but for <see cref="SgdOptions"/>; unless given 0.1
    /// for AdamW, and for another optimiser what suits it.
    /// </summary>
    public double WeightDecay { get => _weightDecay ?? Optimizer.DecayFor(0.1); init => _weightDecay = value; }

    /// <summary>
    /// What is different for parameters of some names, such as a lower rate or none at all. Of groups that a parameter belongs to the last
    /// that says something of a setting decides it.
    /// </summary>
    public IReadOnlyList<ParameterGroup> Groups { get; init => field = Items.Checked(value, nameof(Groups)); } = [];

    /// <summary>
    /// Bits that matrices are trained at, 2 to 8, unless <see cref="Groups"/> say others; null trains floats. The model computes with weights
    /// as they are stored and served at these bits, those of the trainer's GetWeights, and the optimiser changes floats behind them. It takes
    /// a model whose matrices keep all coefficients, without alphas.
    /// </summary>
    public int? TrainBits { get; init; }

    /// <summary>Largest global norm of the gradient; 0 turns clipping off.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>Whether alpha gradients are multiplied by the inverse Gram matrix of the basis functions.</summary>
    public bool PreconditionAlphas { get; init; } = true;

    /// <summary>
    /// Steps that an average of the weights looks back on (exponential moving average, EMA); 0 for none. The average is what is validated, and
    /// what the model has at the end of <see cref="Trainer.Run(Action{TrainingProgress}?, CancellationToken)"/>
    /// or after <see cref="Trainer.ApplyAverage"/>. It takes one more vector of the size of what is
    /// trained.
    /// </summary>
    public int AverageHorizon { get; init; }

    /// <summary>Seed of data order and dropout.</summary>
    public ulong Seed { get; init; } = 1337;

    /// <summary>
    /// Steps between validations of <see cref="Trainer.Run(Action{TrainingProgress}?, CancellationToken)"/>; 0 validates only after the last.
    /// </summary>
    public int ValidateEvery { get; init; } = 250;

    /// <summary>Sequences of a validation, whatever the batch: the first of the validation source, and at most all of them.</summary>
    public int ValidationSequences { get; init; } = 240;

    /// <summary>
    /// Whether ranks divide the optimiser's state and update among them (ZeRO, stage 1): each has its part of the state, moves its part of the
    /// weights, and gets the others'. The same bits, and about the same bytes between ranks. A state is then saved by all ranks together, which
    /// send what they have to the first. In one process it changes nothing.
    /// </summary>
    public bool ShardOptimizer { get; init; }

    /// <summary>How the gradients of several ranks are added up. In one process it changes nothing.</summary>
    public GradientSum Sum { get; init; }

    /// <summary>What gradients are rounded to on their way between ranks. In one process it changes nothing.</summary>
    public GradientWire Wire { get; init; }

    /// <summary>
    /// Steps that each rank does by its own micro-batches before the weights of all become their mean, and with them the optimiser's moments; 1 adds up
    /// the gradients of each step. Fewer bytes, for slow links. Replicas are equal after such a mean, at each validation, in states and at the end; a run
    /// repeated on as many ranks has the same bits, which are not those of one process. In one process it changes nothing.
    /// </summary>
    public int LocalSteps { get; init; } = 1;

    /// <summary>What is kept for the backward; null keeps everything, or with a <see cref="MemoryLimit"/> what fits.</summary>
    public CheckpointPolicy? Checkpointing { get; init; }

    /// <summary>Where it is kept; null keeps it in memory as it is, or with a <see cref="MemoryLimit"/> where it fits without changing a bit.</summary>
    public ActivationOffload? Offload { get; init; }

    /// <summary>Folder of a spill file; null for the system's temporary folder.</summary>
    public string? SpillFolder { get; init; }

    /// <summary>Most memory in MiB that the process may have resident; null sets no limit.</summary>
    public int? MemoryLimit { get; init; }

    /// <summary>
    /// The file that <see cref="Trainer.Run(Action{TrainingProgress}?, CancellationToken)"/> keeps the run's state in: one that is
    /// there is resumed, it is saved every <see cref="StateEvery"/> and when the run is cancelled, and deleted when the run is
    /// complete: save the model then. Null for none.
    /// </summary>
    public string? StatePath { get; init; }

    /// <summary>How often the state is saved to <see cref="StatePath"/>.</summary>
    public SaveInterval StateEvery { get; init; } = SaveInterval.EveryMinutes(5);

    /// <summary>Bytes that the caller allocates while the training lasts, to save the model for instance; the memory plan counts them.</summary>
    public long ExtraBytes { get; init; }

    /// <summary>Whether to measure where the time of the steps goes, see <see cref="Trainer.Profile"/>.</summary>
    public bool Profile { get; init; }

    /// <summary>What decides the bits of a run, by name: all but where and how its memory is held, and what is only told or measured.</summary>
    internal IEnumerable<(string Name, object? Value)> Deciding() =>
    [
        (nameof(Steps), Steps), (nameof(BatchSize), BatchSize), (nameof(Context), Context), (nameof(Accumulate), Accumulate),
        (nameof(Optimizer), Optimizer.Describe()), (nameof(LearningRate), LearningRate), (nameof(CoefficientLearningRate), CoefficientLearningRate),
        (nameof(WarmupSteps), WarmupSteps), (nameof(Schedule), Schedule), (nameof(FinalFraction), FinalFraction),
        (nameof(Cycles), Cycles == 1 ? null : Cycles), (nameof(WeightDecay), WeightDecay),
        (nameof(TrainBits), TrainBits), (nameof(Clip), Clip), (nameof(PreconditionAlphas), PreconditionAlphas), (nameof(Seed), Seed),
        (nameof(AverageHorizon), AverageHorizon), (nameof(Groups), ParameterGroup.Describe(Groups)),
        (nameof(Sum), Sum is GradientSum.Reproducible ? null : Sum), (nameof(Wire), Wire is GradientWire.Float32 ? null : Wire),
        (nameof(LocalSteps), LocalSteps == 1 ? null : FormattableString.Invariant($"{LocalSteps}, validated every {ValidateEvery}")), // by their mean
    ];

    /// <summary>Checks every value.</summary>
    /// <returns>These options.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public TrainerOptions Validate()
    {
        Require(Steps >= 1, nameof(Steps), Steps, "use at least 1 step.");
        Require(BatchSize >= 1, nameof(BatchSize), BatchSize, "use at least 1 sequence.");
        Require(Context >= 1, nameof(Context), Context, "use at least 1 token.");
        Require(Accumulate >= 1, nameof(Accumulate), Accumulate, "use at least 1 micro-batch.");
        Require(Optimizer is not null, nameof(Optimizer), "null", OptimizerOptions.Choices);
        Optimizer!.Validate();
        Require(LearningRate is > 0 and <= 1e6, nameof(LearningRate), LearningRate, "use a positive number such as 1e-3.");
        Require((long)BatchSize * Context <= Array.MaxLength / 2, "Batch x Context", (long)BatchSize * Context,
            "use fewer or shorter sequences, and Accumulate for the rest.");
        Require(CoefficientLearningRate is null or (> 0 and <= 1e6), nameof(CoefficientLearningRate), CoefficientLearningRate,
            "use a positive number, or leave it out.");
        Require(AverageHorizon >= 0, nameof(AverageHorizon), AverageHorizon, "use 0 for no average, or a number of steps such as 100.");
        Require(StateEvery is { Steps: >= 0, Time.Ticks: >= 0 }, nameof(StateEvery), StateEvery, "use SaveInterval.EverySteps, EveryMinutes or Never.");
        Require(StatePath is not "", nameof(StatePath), "\"\"", "give a file, or null for none.");
        Require(WarmupSteps >= 0, nameof(WarmupSteps), WarmupSteps, "use 0 or more steps.");
        Require(FinalFraction is >= 0 and <= 1, nameof(FinalFraction), FinalFraction, "use a fraction from 0 to 1.");
        Require(Cycles >= 1, nameof(Cycles), Cycles, "use 1, or more for warm restarts.");
        Require(WeightDecay is >= 0 and < 10, nameof(WeightDecay), WeightDecay, "use 0 or a small positive number such as 0.1.");
        foreach (ParameterGroup group in Groups) group.Validate();
        Require(TrainBits is not null || Groups.All(group => group.TrainBits is null), "TrainBits of a group",
            Groups.FirstOrDefault(group => group.TrainBits is not null)?.TrainBits,
            "it takes the place of the options' TrainBits for some matrices: set that too, or leave it out.");
        Require(TrainBits is null or (>= 2 and <= 8), nameof(TrainBits), TrainBits, "use 2 to 8 bits, or leave it out.");
        Require(Clip >= 0, nameof(Clip), Clip, "use 0 for no clipping, or a positive norm.");
        Require(Enum.IsDefined(Schedule), nameof(Schedule), Schedule, $"use one of {string.Join(", ", Enum.GetNames<RateSchedule>())}.");
        Require(Enum.IsDefined(Sum), nameof(Sum), Sum, $"use one of {string.Join(", ", Enum.GetNames<GradientSum>())}.");
        Require(Enum.IsDefined(Wire), nameof(Wire), Wire, $"use one of {string.Join(", ", Enum.GetNames<GradientWire>())}.");
        bool reproducible = Sum is GradientSum.Reproducible && Wire is GradientWire.Float32;
        Require(Sum is GradientSum.Reproducible || Wire is GradientWire.Float32, nameof(Wire), Wire,
            "the engine adds up floats. Leave Sum or Wire out.");
        Require(!ShardOptimizer || reproducible, nameof(ShardOptimizer), ShardOptimizer,
            "with it no rank gets the whole sum, which the engine and rounded gradients make. Leave it, or Sum and Wire, out.");
        Require(LocalSteps >= 1, nameof(LocalSteps), LocalSteps, "use 1 to add up the gradients of each step, or a number of steps such as 8.");
        Require(LocalSteps == 1 || (reproducible && !ShardOptimizer), nameof(LocalSteps), LocalSteps,
            "with it ranks send no gradients. Leave it, or ShardOptimizer, Sum and Wire, out.");
        Require(LocalSteps == 1 || Optimizer.CodedBytes(1) == 0, nameof(LocalSteps), LocalSteps,
            $"the moments of {Optimizer.Name} are codes, which have no mean. Use another optimiser, such as AdamW.");
        Require(ExtraBytes >= 0, nameof(ExtraBytes), ExtraBytes, "use a number of bytes, 0 for none.");
        Require(MemoryLimit is null or >= 1, nameof(MemoryLimit), MemoryLimit, "use a number of MiB such as 512, or leave it out.");
        Require(Offload is null || Enum.IsDefined(Offload.Value), nameof(Offload), Offload,
            $"use one of {string.Join(", ", Enum.GetNames<ActivationOffload>())}.");
        Require(Checkpointing is null || Enum.IsDefined(Checkpointing.Value), nameof(Checkpointing), Checkpointing,
            $"use one of {string.Join(", ", Enum.GetNames<CheckpointPolicy>())}.");
        Require(ValidateEvery >= 0, nameof(ValidateEvery), ValidateEvery, "use 0 or more steps.");
        Require(ValidationSequences >= 1, nameof(ValidationSequences), ValidationSequences, "use at least 1 sequence.");
        return this;
    }

    private static void Require(bool condition, string name, object? value, string mend)
    {
        if (!condition) throw new InvalidSettingException(name, value, mend);
    }
}

/// <summary>What a run reports after each step.</summary>
/// <param name="Step">Optimiser steps done.</param>
/// <param name="Steps">Optimiser steps in all.</param>
/// <param name="Loss">Mean loss over the step's predicted tokens, nats.</param>
/// <param name="LearningRate">Learning rate used.</param>
/// <param name="GradientNorm">Global norm before clipping.</param>
/// <param name="TokensPerSecond">Predicted tokens a second, of this step.</param>
/// <param name="ResidentBytes">Resident memory of the process, read at most once a second.</param>
/// <param name="ValidationLoss">Validation loss, when one was measured after this step.</param>
/// <param name="Tokens">Tokens that the step predicted: the weight of its loss in a mean over steps. Padding is none of them.</param>
public readonly record struct TrainingProgress(
    int Step, int Steps, double Loss, double LearningRate, double GradientNorm, double TokensPerSecond, long ResidentBytes,
    double? ValidationLoss, long Tokens);
