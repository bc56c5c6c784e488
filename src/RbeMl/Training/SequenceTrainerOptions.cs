using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>What a training over sequences changes. A classifier's head always trains.</summary>
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

    /// <summary>Head, and everything of the blocks and the final LayerNorm; the embeddings stay as they are.</summary>
    Blocks,
}

/// <summary>What a run does when it is cancelled.</summary>
public enum WhenCancelled
{
    /// <summary>Throws <see cref="OperationCanceledException"/>; the classifier holds the steps done so far.</summary>
    Throw,

    /// <summary>Returns with the best weights so far by validation, or the latest without one.</summary>
    ReturnBest,
}

/// <summary>What trainings over whole sequences share: classifiers and similarities.</summary>
public abstract record SequenceTrainerOptions
{
    private readonly double? _learningRate, _weightDecay;

    private protected SequenceTrainerOptions()
    {
    }

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

    /// <summary>Largest global norm of the gradient of everything that trains; 0 turns clipping off.</summary>
    public double Clip { get; init; } = 1;

    /// <summary>
    /// Steps that an average of the weights looks back on, see <see cref="TrainerOptions.AverageHorizon"/>; 0 for none. The average is what is
    /// validated, kept as the best, and what the model has in the end.
    /// </summary>
    public int AverageHorizon { get; init; }

    /// <summary>
    /// The file that the run's state is kept in: one that is there is resumed, it is saved every <see cref="StateEvery"/> and when the run is
    /// cancelled, and deleted when the run is complete. Null for none.
    /// </summary>
    public string? StatePath { get; init; }

    /// <summary>How often the state is saved to <see cref="StatePath"/>.</summary>
    public SaveInterval StateEvery { get; init; } = SaveInterval.EveryMinutes(5);

    /// <summary>Seed of everything random: split, order, pairs, dropout.</summary>
    public ulong Seed { get; init; } = 1337;

    /// <summary>
    /// What is trained; null trains everything, but of an encoder the <see cref="TrainedParts.Blocks"/>: its embeddings know more words than any
    /// training has, and those that it has would move away from the others.
    /// </summary>
    public TrainedParts? Trained { get; init; }

    /// <summary>
    /// Rates, decay and freezing of the model's parameters by their names, see <see cref="TrainerOptions.Groups"/>; what <see cref="Trained"/>
    /// leaves out is frozen anyway. With <see cref="DeltaModel.Groups"/> a delta alone is trained, and a head.
    /// </summary>
    public IReadOnlyList<ParameterGroup> Groups { get; init => field = Items.Checked(value, nameof(Groups)); } = [];

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

    private protected void CheckShared()
    {
        Require(Epochs >= 1, nameof(Epochs), Epochs, "use at least 1 epoch.");
        Require(BatchSize >= 1, nameof(BatchSize), BatchSize, "use at least 1 example.");
        Require(WarmupFraction is >= 0 and <= 1, nameof(WarmupFraction), WarmupFraction, "use a fraction from 0 to 1.");
        Require(Trained is not { } parts || Enum.IsDefined(parts), nameof(Trained), Trained, $"use one of {string.Join(", ", Enum.GetNames<TrainedParts>())}.");
        Require(Enum.IsDefined(OnCancel), nameof(OnCancel), OnCancel, $"use one of {string.Join(", ", Enum.GetNames<WhenCancelled>())}.");
        Require(Optimizer is not null, nameof(Optimizer), "null", OptimizerOptions.Choices);
        _ = ToTrainer(1, LearningRate).Validate();
    }

    private protected static void Require(bool condition, string name, object? value, string mend)
    {
        if (!condition) throw new InvalidSettingException(name, value, mend);
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
        Groups = Groups,
        Clip = Clip,
        AverageHorizon = AverageHorizon,
        StatePath = StatePath,
        StateEvery = StateEvery,
        Seed = Seed,
        Checkpointing = Checkpointing,
        Offload = Offload,
        SpillFolder = SpillFolder,
        MemoryLimit = MemoryLimit,
    };

    /// <summary>What decides the bits of a run, by name.</summary>
    /// <param name="schedule">These settings as an optimiser and schedule have them.</param>
    /// <param name="padding">Least tokens that a text is padded to.</param>
    internal IEnumerable<(string Name, object? Value)> Deciding(TrainerOptions schedule, int padding) =>
    [
        (nameof(Epochs), Epochs), (nameof(BatchSize), BatchSize),
        .. schedule.Deciding().Where(value => value.Name is not (nameof(BatchSize) or nameof(TrainerOptions.Context) or nameof(TrainerOptions.Accumulate))),
        (nameof(Trained), Trained), ("activations in bf16", Offload is Memory.ActivationOffload.BFloat16), ("padding", padding),
    ];

    /// <summary>Refuses groups that fit no parameter of a model, or leave nothing to train.</summary>
    /// <exception cref="InvalidSettingException">So it is.</exception>
    internal void RequireGroups(TransformerModel<float> model)
    {
        if (Groups.Count == 0) return;
        ParameterGroup.Require(Groups, model.Parameters.Slices);
        if (model.Parameters.Slices.Any(slice => Trains(slice, model.Config))) return;
        throw new InvalidSettingException(nameof(Groups), ParameterGroup.Describe(Groups),
            $"they freeze all that {nameof(Trained)} leaves to train. Leave some out, or give other parts.");
    }

    /// <summary>Whether a slice of the model is trained.</summary>
    internal bool Trains(ParameterSlice slice, TransformerConfig config) => ParameterGroup.Trains(Groups, slice) && IsPart(slice, config);

    private bool IsPart(ParameterSlice slice, TransformerConfig config) => (Trained ?? (config.Causal ? TrainedParts.All : TrainedParts.Blocks)) switch
    {
        // The head of the language model has no gradient here; decay would still shrink it.
        TrainedParts.All => config.TiedHead || (slice.Name != "head" && !slice.Name.StartsWith("head.", StringComparison.Ordinal)),
        TrainedParts.Coefficients => slice.Kind is ParameterKind.Coefficient or ParameterKind.Alpha
            && slice.Name.StartsWith("blocks.", StringComparison.Ordinal),
        TrainedParts.Blocks => slice.Name.StartsWith("blocks.", StringComparison.Ordinal) || slice.Name.StartsWith("final.", StringComparison.Ordinal),
        TrainedParts.Biases => slice.Kind is ParameterKind.Bias or ParameterKind.LayerNorm,
        _ => false,
    };

    /// <summary>Bytes of the optimiser's state that are no vectors, of what is trained of the model.</summary>
    internal long CodedStateBytes(TransformerModel<float> model) =>
        Optimizer.CodedStateBytes(model.Parameters.Slices.Where(slice => Trains(slice, model.Config)));

    /// <summary>Chooses how a run's steps keep what their backward needs, and checks that they fit into memory.</summary>
    /// <param name="model">The model.</param>
    /// <param name="needs">Batch, length, threads and what is allocated besides.</param>
    /// <returns>The way, and the plan that chose it; null without a <see cref="MemoryLimit"/>.</returns>
    /// <exception cref="MemoryLimitException">The run does not fit into the limit or the machine; it says the least that would do.</exception>
    internal (ActivationSettings Settings, MemoryPlan? Plan) Fit(TransformerModel<float> model, MemoryPlanOptions needs)
    {
        ActivationSettings settings = new()
        {
            Checkpointing = Checkpointing ?? CheckpointPolicy.None,
            Offload = Offload ?? Memory.ActivationOffload.None,
            SpillFolder = SpillFolder,
        };
        needs = needs with
        {
            LimitBytes = MemoryLimit is { } limit ? (long)limit << 20 : RuntimeFootprint.MachineBytes,
            Checkpointing = Checkpointing,
            Offload = Offload,
            SpillFolder = SpillFolder,
        };
        if (MemoryLimit is not null)
        {
            MemoryPlan plan = MemoryPlan.Create(model, needs);
            return (plan.Settings, plan);
        }

        MemoryPlan.Require(model, settings, needs);
        return (settings, null);
    }
}
