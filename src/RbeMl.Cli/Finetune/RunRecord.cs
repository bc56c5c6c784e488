using System.Text.Json;
using System.Text.Json.Serialization;
using RbeMl.Cli.Output;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>One optimiser step; <paramref name="Tokens"/> are those it predicted, of which the loss is the mean.</summary>
internal sealed record StepRecord(int Step, double Loss, double LearningRate, double GradientNorm, double TokensPerSecond, long ResidentBytes, long Tokens);

/// <summary>One validation.</summary>
internal sealed record ValidationRecord(int Step, double Loss);

/// <summary>Bytes of a kind of memory.</summary>
/// <param name="Weights">Weights.</param>
/// <param name="Gradients">Gradients.</param>
/// <param name="Optimizer">State of the optimiser.</param>
/// <param name="Activations">Activations and scratch.</param>
internal sealed record ByteRecord(long Weights, long Gradients, long Optimizer, long Activations);

/// <summary>How a run's memory was used.</summary>
/// <param name="Checkpointing">What was kept for the backward.</param>
/// <param name="Offload">Where.</param>
/// <param name="PartSequences">Sequences done at a time; 0 for the whole batch.</param>
/// <param name="LimitBytes">The limit of <c>--memory-limit</c>.</param>
/// <param name="PredictedBytes">Peak of the process by the plan.</param>
/// <param name="PeakBytes">Most memory that the process had resident from its start to the end of the training.</param>
/// <param name="PredictedStepBytes">What a step works in by the plan: activations, workspace, scratch and head.</param>
/// <param name="StepBytes">What it does work in.</param>
/// <param name="SpilledBytes">Bytes of the spill file.</param>
internal sealed record MemoryRecord(
    string Checkpointing, string Offload, int PartSequences, long? LimitBytes, long? PredictedBytes, long PeakBytes, long? PredictedStepBytes,
    long StepBytes, long SpilledBytes)
{
    /// <summary>The word that stands for a way on the command line.</summary>
    public static string Word(Enum way) => way is ActivationOffload.BFloat16 ? "bf16" : way.ToString().ToLowerInvariant();

    /// <summary>Those of a trainer.</summary>
    public static MemoryRecord Of(Trainer trainer)
    {
        (ActivationSettings way, MemoryPlan? plan, StepMemory step) = (trainer.Activations, trainer.Plan, trainer.StepBytes);
        return new MemoryRecord(
            Word(way.Checkpointing), Word(way.Offload), way.PartSequences,
            plan?.LimitBytes, plan?.Estimate.Total, RuntimeFootprint.PeakResidentBytes, plan?.Estimate.Step.Total, step.Total, step.Spilled);
    }
}

/// <summary>A generated text.</summary>
/// <param name="Prompt">What it continues.</param>
/// <param name="Before">Continuation by the model before training.</param>
/// <param name="After">Continuation by the trained model.</param>
internal sealed record SampleRecord(string Prompt, string Before, string After);

/// <summary>The model of a run.</summary>
internal sealed record ModelRecord(int Layers, int Heads, int Width, int Vocabulary, int Context, string Format, int Tile, string Transform,
    string Tokenizer, long DenseParameters, long TrainableValues);

/// <summary>The course and result of a run: the content of <c>metrics.json</c>.</summary>
internal sealed record RunRecord
{
    /// <summary>The run; model, zip and report carry it too.</summary>
    public string RunId { get; set; } = "";

    /// <summary>All trained values of the model that was saved, see <see cref="RunMark.HashOf"/>; null before the first save.</summary>
    public string? WeightsHash { get; set; }

    /// <summary>The steps.</summary>
    public List<StepRecord> Steps { get; } = [];

    /// <summary>The validations; the first is of step 0.</summary>
    public List<ValidationRecord> Validation { get; } = [];

    /// <summary>What happened besides: steps that were skipped, ways back, losses that jumped.</summary>
    public List<RunEvent> Events { get; } = [];

    /// <summary>The step whose weights were kept as the best; null for those of the last step.</summary>
    public int? BestStep { get; set; }

    /// <summary>Whether it ended since it got no better.</summary>
    public bool StoppedEarly { get; set; }

    /// <summary>Bits a byte of the held-out text by the last validation; null where it is no text.</summary>
    public double? BitsPerByte { get; set; }

    /// <summary>How far a model that was given has moved, on the whole of the held-out data; null for a new model.</summary>
    public QualityRecord? Quality { get; set; }

    /// <summary>Memory.</summary>
    public ByteRecord? Bytes { get; set; }

    /// <summary>How memory was used.</summary>
    public MemoryRecord? Memory { get; set; }

    /// <summary>What the same model and training would take dense, fp32 (activations apart).</summary>
    public ByteRecord? DenseBytes { get; set; }

    /// <summary>Where the time of the steps went; only with <c>--profile</c>.</summary>
    public ProfileRecord? Profile { get; set; }

    /// <summary>The model.</summary>
    public ModelRecord? Model { get; set; }

    /// <summary>Samples.</summary>
    public IReadOnlyList<SampleRecord> Samples { get; set; } = [];

    /// <summary>Data source.</summary>
    public string Data { get; set; } = "";

    /// <summary>Training tokens.</summary>
    public long TrainTokens { get; set; }

    /// <summary>Tokens of the held-out data; a validation predicts those of them that have one before them and are no prompt.</summary>
    public long ValidationTokens { get; set; }

    /// <summary>Seed.</summary>
    public ulong Seed { get; set; }

    /// <summary>The ranks that shared the steps; null for one process.</summary>
    public RanksRecord? Ranks { get; set; }

    /// <summary>Threads, of each rank.</summary>
    public int Threads { get; set; }

    /// <summary>Sequences, tokens a sequence and micro-batches of a step.</summary>
    public int[] StepShape { get; set; } = [];

    /// <summary>Whether time ended it, not the number of its steps.</summary>
    [JsonIgnore]
    public bool ByTime { get; set; }

    /// <summary>The command line.</summary>
    public string Command { get; set; } = "";

    /// <summary>Version of this program.</summary>
    public string Version { get; set; } = "";

    /// <summary>Where it ran.</summary>
    public MachineRecord? Machine { get; set; }

    /// <summary>The settings that have an effect on the run, given, by default, or as it found them, as the options are called.</summary>
    public IReadOnlyDictionary<string, string> Settings { get; set; } = new Dictionary<string, string>();

    /// <summary>Time of the training.</summary>
    public double TrainingSeconds { get; set; }

    /// <summary>Time of the whole command.</summary>
    public double Seconds { get; set; }

    /// <summary>Whether it was stopped by the user.</summary>
    public bool Cancelled { get; set; }

    /// <summary>Files written.</summary>
    public Dictionary<string, string> Files { get; } = [];

    /// <summary>Where the files of an earlier run are now, by the names they had; null when there was none, or it was replaced.</summary>
    public IReadOnlyDictionary<string, string>? Kept { get; set; }

    /// <summary>Predicted tokens a second of all steps together, without what was between them.</summary>
    [JsonIgnore]
    public double TokensPerSecond => Steps.Sum(step => step.Tokens) / Steps.Sum(step => step.Tokens / step.TokensPerSecond);

    /// <summary>The loss of each step with its weight in a mean over steps, for charts.</summary>
    [JsonIgnore]
    public IEnumerable<(double Loss, long Tokens)> Losses => Steps.Select(step => (step.Loss, Math.Max(1, step.Tokens)));

    /// <summary>The step of the last validation; and that it was not the last step, where the user did not wait for another.</summary>
    [JsonIgnore]
    public string Measured => BestStep is { } best ? $"after {Output.Format.Count(best)} of {Output.Format.Count(Steps.Count, "step")}, the best,"
        : Validation[^1].Step == Steps.Count ? $"after {Output.Format.Count(Steps.Count, "step")}"
        : $"after {Output.Format.Count(Validation[^1].Step)} of {Output.Format.Count(Steps.Count, "step")}";

    /// <summary>Adds what the trainer reports.</summary>
    public void Add(TrainingProgress progress) =>
        Steps.Add(new StepRecord(progress.Step, progress.Loss, progress.LearningRate, progress.GradientNorm, progress.TokensPerSecond,
            progress.ResidentBytes, progress.Tokens));

    /// <summary>The JSON document.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, JsonStyle.Indented);

    /// <summary>Writes the document and a line's end, in pieces: that of a long run is no copy in memory.</summary>
    public void Write(Stream stream)
    {
        JsonSerializer.Serialize(stream, this, JsonStyle.Indented);
        stream.WriteByte((byte)'\n');
    }
}
