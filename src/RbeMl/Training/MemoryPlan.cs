using System.Globalization;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>Bytes of a training, by what they are for.</summary>
/// <param name="Runtime">The process at rest: runtime, compiled code, data, everything that is not counted below.</param>
/// <param name="Weights">Weights as trained.</param>
/// <param name="Gradients">Gradient vectors.</param>
/// <param name="Optimizer">State of the optimiser, with the floats behind weights that are trained at a few bits.</param>
/// <param name="Step">What a step works in.</param>
public readonly record struct MemoryEstimate(long Runtime, long Weights, long Gradients, long Optimizer, StepMemory Step)
{
    /// <summary>Peak of the process.</summary>
    public long Total => Runtime + Weights + Gradients + Optimizer + Step.Total;
}

/// <summary>What a memory plan is made for.</summary>
public sealed record MemoryPlanOptions
{
    /// <summary>Most bytes that the process may have resident: runtime, weights and everything else.</summary>
    public required long LimitBytes { get; init; }

    /// <summary>Sequences of a micro-batch B.</summary>
    public required int BatchSize { get; init; }

    /// <summary>Tokens of a sequence T.</summary>
    public required int Context { get; init; }

    /// <summary>Whether sequences hold documents that are kept apart (<see cref="ITokenSource.IsolatesDocuments"/>).</summary>
    public bool Documents { get; init; }

    /// <summary>Threads.</summary>
    public int Threads { get; init; } = 1;

    /// <summary>Gradient vectors: 1, and log2 of the micro-batches of a step more.</summary>
    public int GradientVectors { get; init; } = 1;

    /// <summary>Bytes that gradients of other ranks are received in; 0 in one process.</summary>
    public long ExchangeBytes { get; init; }

    /// <summary>Vectors of the gradient's size that the optimiser holds: <see cref="OptimizerOptions.StateVectors"/>, 2 for AdamW.</summary>
    public int OptimizerMoments { get; init; } = 2;

    /// <summary>Elements of each of these vectors, alignment gaps included; null for all parameters of the model. Frozen ones take none.</summary>
    public long? VectorElements { get; init; }

    /// <summary>Elements that each thread of the optimiser works in: <see cref="OptimizerOptions.ScratchElements"/>.</summary>
    public long OptimizerScratch { get; init; }

    /// <summary>
    /// Bytes of the optimiser's state that are no vectors of what is trained: the moments of <see cref="AdamW8Options"/>, the floats behind weights of a
    /// few bits.
    /// </summary>
    public long OptimizerBytes { get; init; }

    /// <summary>What is kept for the backward; null leaves it to the plan.</summary>
    public CheckpointPolicy? Checkpointing { get; init; }

    /// <summary>Where it is kept; null leaves it to the plan.</summary>
    public ActivationOffload? Offload { get; init; }

    /// <summary>
    /// Whether the plan may hold activations in bf16 of its own accord: that changes gradients by the rounding. It is tried before a spill
    /// file.
    /// </summary>
    public bool AllowRounding { get; init; }

    /// <summary>Folder of a spill file; null for the system's temporary folder.</summary>
    public string? SpillFolder { get; init; }

    /// <summary>Bytes that the caller allocates besides, such as another head and copies of the weights; counted as the runtime's.</summary>
    public long ExtraBytes { get; init; }

    /// <summary>Resident bytes of the process at rest, the model's weights included; null measures them (<see cref="RuntimeFootprint.Measure"/>).</summary>
    public long? RestingBytes { get; init; }
}

/// <summary>
/// The cheapest way to train within a limit. In order of cost: smaller pieces of the head and of the batch (a few per cent of time),
/// recomputing softmax and GELU, recomputing all (a third more time), holding what is left in a file. The chosen way changes time and
/// memory only: loss and gradients are the same, bit for bit, for every limit (unless bf16 is allowed). How many hidden tiles of the
/// feed-forward layer are worked on at a time is no setting: forward they are few and lie in the threads' scratch
/// (<see cref="FeedForward{T}"/>), and the backward's hidden panels hold a part of the batch, so that smaller parts shrink them together with everything else.
/// </summary>
/// <param name="Settings">The way.</param>
/// <param name="Estimate">Predicted bytes.</param>
/// <param name="LimitBytes">The limit.</param>
public sealed record MemoryPlan(ActivationSettings Settings, MemoryEstimate Estimate, long LimitBytes)
{
    // What a process takes beyond its measure at rest while it trains: code around the steps, stacks, room that the collector gives new
    // objects. 3 to 7 MiB were seen.
    private const long Slack = 8 << 20;

    /// <summary>Makes a plan.</summary>
    /// <param name="model">The model, which is in memory already.</param>
    /// <param name="options">Limit, batch and what is given.</param>
    /// <exception cref="MemoryLimitException">No way fits; it says the least limit that would do.</exception>
    /// <exception cref="InvalidSettingException">A setting is out of range.</exception>
    public static MemoryPlan Create(TransformerModel<float> model, MemoryPlanOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        if (options.LimitBytes < 1) throw new InvalidSettingException(nameof(options.LimitBytes), options.LimitBytes, "use a positive number of bytes.");
        if (options.BatchSize < 1 || options.Context < 1 || options.Threads < 1)
        {
            throw new InvalidSettingException("Batch, Context, Threads", $"{options.BatchSize}, {options.Context}, {options.Threads}", "use positive numbers.");
        }

        long resting = options.RestingBytes ?? (RuntimeFootprint.Measure() + Slack);
        MemoryPlan? least = null;
        foreach (ActivationSettings way in Ways(options))
        {
            MemoryPlan plan = new(way, Predict(model, way, options, resting), options.LimitBytes);
            if (plan.Estimate.Total <= options.LimitBytes) return plan;
            if (least is null || plan.Estimate.Total < least.Estimate.Total) least = plan;
        }

        throw new MemoryLimitException(options.LimitBytes, least!.Estimate.Total, least.Describe());
    }

    /// <summary>Predicts the bytes of one way, before anything of it is allocated, and refuses one that does not fit.</summary>
    /// <param name="model">The model, which is in memory already.</param>
    /// <param name="settings">The way.</param>
    /// <param name="options">Batch, threads and optimiser; the limit is what the process may have, <see cref="RuntimeFootprint.MachineBytes"/>.</param>
    /// <exception cref="MemoryLimitException">It takes more than the limit.</exception>
    internal static MemoryEstimate Require(TransformerModel<float> model, ActivationSettings settings, MemoryPlanOptions options)
    {
        MemoryPlan plan = new(settings, Predict(model, settings, options, options.RestingBytes ?? RuntimeFootprint.ResidentBytes), options.LimitBytes);
        return plan.Estimate.Total <= plan.LimitBytes ? plan.Estimate
            : throw MemoryLimitException.OfMachine(plan.LimitBytes, plan.Estimate.Total, plan.Describe());
    }

    /// <summary>Predicts the bytes of one way.</summary>
    /// <param name="model">The model.</param>
    /// <param name="settings">The way.</param>
    /// <param name="options">Batch, threads and optimiser; the limit is not looked at.</param>
    /// <param name="restingBytes">Resident bytes at rest, the model's weights included.</param>
    public static MemoryEstimate Predict(TransformerModel<float> model, ActivationSettings settings, MemoryPlanOptions options, long restingBytes)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(options);
        long weights = model.WeightBytes, values = (options.VectorElements ?? model.Parameters.Length) * sizeof(float);
        long optimizer = options.OptimizerBytes + (options.OptimizerMoments * values) + (options.OptimizerScratch * options.Threads * sizeof(float));
        return new MemoryEstimate(
            Math.Max(0, restingBytes - weights) + options.ExtraBytes, weights, (options.GradientVectors * values) + options.ExchangeBytes,
            optimizer, model.PredictStep(settings, options.BatchSize, options.Context, options.Threads, options.Documents));
    }

    /// <summary>The plan in one line, in MiB.</summary>
    public string Describe()
    {
        MemoryEstimate e = Estimate;
        string parts = Settings.PartSequences > 0 ? $", {Amount.Of(Settings.PartSequences, "sequence")} at a time" : "";
        string file = e.Step.Spilled > 0 ? $", {Mib(e.Step.Spilled)} in a file" : "";
        return $"checkpointing {Name(Settings.Checkpointing)}, offload {Name(Settings.Offload)}{parts}: runtime {Mib(e.Runtime)}, weights "
            + $"{Mib(e.Weights)}, gradients {Mib(e.Gradients)}, "
            + $"optimizer {Mib(e.Optimizer)}, activations {Mib(e.Step.Activations)}, workspace {Mib(e.Step.Workspace + e.Step.Scratch)}, head "
            + $"{Mib(e.Step.Head)}{file}";

        static string Mib(long bytes) => string.Create(CultureInfo.InvariantCulture, $"{bytes / 1048576.0:F1} MiB");
        static string Name<T>(T value)
            where T : struct, Enum => value.ToString().ToLowerInvariant();
    }

    // All ways in order of cost.
    private static IEnumerable<ActivationSettings> Ways(MemoryPlanOptions options)
    {
        CheckpointPolicy[] policies = options.Checkpointing is { } policy ? [policy]
            : [CheckpointPolicy.None, CheckpointPolicy.Selective, CheckpointPolicy.Full];
        ActivationOffload[] offloads = options.Offload is { } offload ? [offload] :
            options.AllowRounding ? [ActivationOffload.None, ActivationOffload.BFloat16, ActivationOffload.Spill]
                : [ActivationOffload.None, ActivationOffload.Spill];
        foreach (ActivationOffload where in offloads)
        {
            // What moves to and fro is least with the most recomputed, and moving costs more than computing.
            foreach (CheckpointPolicy kept in where is ActivationOffload.None || options.Offload is not null ? policies : policies[^1..])
            {
                foreach (int part in Parts(options.BatchSize, options.Context))
                {
                    foreach (int head in (int[])[0, 1])
                    {
                        yield return new ActivationSettings
                        {
                            Checkpointing = kept,
                            Offload = where,
                            SpillFolder = options.SpillFolder,
                            PartSequences = part,
                            HeadChunks = head
                        };
                    }
                }
            }
        }
    }

    // The whole batch, then parts of it, the largest first.
    private static IEnumerable<int> Parts(int batch, int length)
    {
        yield return 0;
        for (int pieces = 2, last = batch; pieces <= batch; pieces++)
        {
            int part = (batch + pieces - 1) / pieces;
            if (part == last || !ActivationSettings.CanSplit(batch, length, part)) continue;
            last = part;
            yield return part;
        }
    }
}
