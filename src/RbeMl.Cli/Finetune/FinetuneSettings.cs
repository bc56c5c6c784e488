using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>Everything <c>rbeml finetune</c> was asked to do.</summary>
internal sealed record FinetuneSettings
{
    private const int LongestWarmup = 100;

    /// <summary>Model to continue with; null trains from scratch.</summary>
    public string? Model { get; init; }

    /// <summary>Blocks.</summary>
    public int Layers { get; init; }

    /// <summary>Heads.</summary>
    public int Heads { get; init; }

    /// <summary>Model width.</summary>
    public int Width { get; init; }

    /// <summary>Token ids; null leaves it to the tokenizer.</summary>
    public int? Vocabulary { get; init; }

    /// <summary>bytes, characters or bpe.</summary>
    public string Tokenizer { get; init; } = "bpe";

    /// <summary>How matrices are stored; null keeps the model's way.</summary>
    public RbeOptions? Compression { get; init; }

    /// <summary>Whether names of special tokens in texts stand for these.</summary>
    public bool Special { get; init; }

    /// <summary>Text files; none and no tokens means the SDK's documentation.</summary>
    public IReadOnlyList<string> Text { get; init; } = [];

    /// <summary>File of token ids.</summary>
    public string? Tokens { get; init; }

    /// <summary>File to validate on.</summary>
    public string? Validation { get; init; }

    /// <summary>How the files are read.</summary>
    public TextOptions TextOptions { get; init; } = TextOptions.Default;

    /// <summary>Steps; null lets time decide.</summary>
    public int? Steps { get; init; }

    /// <summary>Time limit of the training.</summary>
    public double? Seconds { get; init; }

    /// <summary>Sequences of a micro-batch.</summary>
    public int Batch { get; init; }

    /// <summary>Tokens of a sequence; null takes the default, or what the model has when that is less.</summary>
    public int? Context { get; init; }

    /// <summary>Micro-batches a step.</summary>
    public int Accumulate { get; init; }

    /// <summary>The optimiser, with its own options.</summary>
    public OptimizerOptions Optimizer { get; init; } = new AdamWOptions();

    /// <summary>Highest learning rate of dense values.</summary>
    public double LearningRate { get; init; }

    /// <summary>Highest learning rate of coefficients; null derives it from the dense one.</summary>
    public double? CoefficientLearningRate { get; init; }

    /// <summary>Whether alpha gradients are preconditioned.</summary>
    public bool PreconditionAlphas { get; init; } = true;

    /// <summary>Warm-up steps; null takes a twentieth of the steps, at most 100.</summary>
    public int? Warmup { get; init; }

    /// <summary>Weight decay.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Largest gradient norm.</summary>
    public double Clip { get; init; }

    /// <summary>Steps that the average of the weights looks back on; 0 for none.</summary>
    public int Average { get; init; }

    /// <summary>Bits that matrices are trained, saved and served at; null for floats.</summary>
    public int? TrainBits { get; init; }

    /// <summary>Dropout; null keeps the model's, 0 from scratch.</summary>
    public double? Dropout { get; init; }

    /// <summary>Seed of everything random.</summary>
    public ulong Seed { get; init; }

    /// <summary>Threads; 0 for one a processor.</summary>
    public int Threads { get; init; }

    /// <summary>What is kept for the backward; null for all, or what fits.</summary>
    public CheckpointPolicy? Checkpointing { get; init; }

    /// <summary>Where it is kept; null for memory, or where it fits.</summary>
    public ActivationOffload? Offload { get; init; }

    /// <summary>Most memory in MiB.</summary>
    public int? MemoryLimit { get; init; }

    /// <summary>Whether to measure where the time goes.</summary>
    public bool Profile { get; init; }

    /// <summary>The command line, for the report.</summary>
    public string Command { get; init; } = "";

    /// <summary>The options that have an effect on the run, as given or by default, for the report; null for a value that the run finds.</summary>
    public IReadOnlyDictionary<string, string?> Listed { get; init; } = new Dictionary<string, string?>();

    /// <summary>Folder of the results.</summary>
    public string Out { get; init; } = "rbeml-out";

    /// <summary>Minutes from one save to the next while training; 0 for none.</summary>
    public double SaveMinutes { get; init; }

    /// <summary>How often the state of the training is saved.</summary>
    public SaveInterval StateEvery { get; init; }

    /// <summary>How many states are kept, the latest.</summary>
    public int KeepStates { get; init; } = 1;

    /// <summary>The state to go on from, or the folder of which the latest is taken; null begins anew.</summary>
    public string? Resume { get; init; }

    /// <summary>Whether the files of an earlier run are replaced.</summary>
    public bool Overwrite { get; init; }

    /// <summary>Whether only to tell what the run would take.</summary>
    public bool DryRun { get; init; }

    /// <summary>The settings of training.</summary>
    /// <param name="context">Tokens of a sequence.</param>
    /// <param name="validationSequences">Sequences of a validation, if there are as many.</param>
    /// <param name="extraBytes">Bytes that saving takes meanwhile.</param>
    public TrainerOptions ToTrainer(int context, int validationSequences, long extraBytes) => new()
    {
        BatchSize = Batch,
        Context = context,
        Accumulate = Accumulate,
        Optimizer = Optimizer,
        LearningRate = LearningRate,
        CoefficientLearningRate = CoefficientLearningRate,
        PreconditionAlphas = PreconditionAlphas,
        WeightDecay = WeightDecay,
        Clip = Clip,
        AverageHorizon = Average,
        TrainBits = TrainBits,
        Seed = Seed,
        Checkpointing = Checkpointing,
        Offload = Offload,
        SpillFolder = Out,
        MemoryLimit = MemoryLimit,
        ExtraBytes = extraBytes,
        Profile = Profile,
        ValidationSequences = validationSequences,
        Steps = Steps ?? int.MaxValue,
        WarmupSteps = Warmup ?? (Steps is { } steps ? Math.Min(LongestWarmup, steps / 20) : LongestWarmup),
    };
}
