using System.CommandLine;
using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
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

    /// <summary>A delta to train on the model, which stays as it is; null trains the model itself.</summary>
    public DeltaOptions? Delta { get; init; }

    /// <summary>The file of a delta to go on with; null for none.</summary>
    public string? ApplyDelta { get; init; }

    /// <summary>Where the delta is saved alone; null for nowhere.</summary>
    public string? SaveDelta { get; init; }

    /// <summary>Whether names of special tokens in texts stand for these.</summary>
    public bool Special { get; init; }

    /// <summary>Texts as they were named; none and no tokens means the SDK's documentation.</summary>
    public IReadOnlyList<string> Text { get; init; } = [];

    /// <summary>The files that these are.</summary>
    public IReadOnlyList<string> TextFiles { get; init; } = [];

    /// <summary>The files of texts to validate on.</summary>
    public IReadOnlyList<string> ValidationFiles { get; init; } = [];

    /// <summary>How all files are read; null goes by their names.</summary>
    public string? DataFormat { get; init; }

    /// <summary>The field or column of texts; null for those that are known.</summary>
    public string? TextColumn { get; init; }

    /// <summary>Whether documents share sequences.</summary>
    public DocumentPacking Packing { get; init; }

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

    /// <summary>How the learning rate falls.</summary>
    public (RateSchedule Schedule, double Final, int Cycles) Course { get; init; } = (RateSchedule.Cosine, 0.1, 1);

    /// <summary>The run that the file of <c>--config</c> is of; null without one.</summary>
    public string? ConfigRun { get; private init; }

    /// <summary>The file of <c>--config</c>, read at once, as the run may take its place; null without one.</summary>
    public string? ConfigFile { get; init => (field, ConfigRun) = (value, value is null ? null : RunMixture.RunIdOf(value)); }

    /// <summary>Parameters that are trained in another way.</summary>
    public IReadOnlyList<ParameterGroup> Groups { get; init; } = [];

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

    /// <summary>How processes share the run.</summary>
    public RankSettings Ranks { get; init; } = new();

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

    /// <summary>The options that a run is made again by.</summary>
    public IReadOnlyList<Option> Declared { get; init; } = [];

    /// <summary>What was given to them; null for what was left out.</summary>
    public IReadOnlyDictionary<string, string[]?> Options { get; init; } = new Dictionary<string, string[]?>();

    /// <summary>Names of the options that were not given.</summary>
    public IReadOnlyCollection<string> Usual { get; init; } = [];

    /// <summary>A table of the steps; null for none.</summary>
    public string? Csv { get; init; }

    /// <summary>Folder of TensorBoard's events; null for none.</summary>
    public string? TensorBoard { get; init; }

    /// <summary>What to do where a loss or gradient is no number.</summary>
    public OnDivergence OnDivergence { get; init; }

    /// <summary>Validations in a row without a better one that end the run; 0 for none.</summary>
    public int Patience { get; init; }

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

    /// <summary>Steps of a search for the learning rate; null for a training.</summary>
    public int? FindRate { get; init; }

    /// <summary>Whether no file of a run is written.</summary>
    public bool OnlyTells => DryRun || FindRate is not null;

    /// <summary>The words of the command line without its rates and where it writes JSON to, for one that follows.</summary>
    public IReadOnlyList<string> Words { get; init; } = [];

    /// <summary>The options that have an effect, with what the run has found of those that were left out.</summary>
    /// <param name="model">The model.</param>
    /// <param name="options">The settings of training.</param>
    /// <param name="kept">What is kept for the backward.</param>
    /// <param name="threads">Threads.</param>
    public Dictionary<string, string> ListedWith(TransformerModel<float> model, TrainerOptions options, ActivationSettings kept, int threads)
    {
        Dictionary<string, IFormattable> found = new()
        {
            ["--vocabulary"] = model.Config.Vocabulary,
            ["--context"] = options.Context,
            ["--learning-rate"] = options.LearningRate,
            ["--weight-decay"] = options.WeightDecay,
            ["--warmup"] = options.WarmupSteps,
            ["--dropout"] = model.Config.Dropout,
            ["--threads"] = threads,
            ["--checkpointing"] = kept.Checkpointing,
            ["--offload"] = kept.Offload,
        };
        if (options.Optimizer is SgdOptions or MuonOptions)
        {
            found["--momentum"] = options.Optimizer is SgdOptions sgd ? sgd.Momentum : ((MuonOptions)options.Optimizer).Momentum;
        }

        return Listed.ToDictionary(
            option => option.Key,
            option => option.Value
            ?? (found[option.Key] is Enum way ? MemoryRecord.Word(way) : found[option.Key].ToString(null, CultureInfo.InvariantCulture)));
    }

    /// <summary>The settings of training.</summary>
    /// <param name="context">Tokens of a sequence.</param>
    /// <param name="validationSequences">Sequences of a validation, if there are as many.</param>
    /// <param name="extraBytes">Bytes that saving takes meanwhile.</param>
    /// <param name="delta">What is trained alone; null for all.</param>
    public TrainerOptions ToTrainer(int context, int validationSequences, long extraBytes, DeltaModel? delta = null) => new()
    {
        Groups = [.. delta?.Groups ?? [], .. Groups],
        Schedule = Course.Schedule,
        FinalFraction = Course.Final,
        Cycles = Course.Cycles,
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
        ShardOptimizer = Ranks.ShardOptimizer,
        Sum = Ranks.Sum,
        Wire = Ranks.Wire,
        LocalSteps = Ranks.LocalSteps,
        ValidationSequences = validationSequences,
        Steps = Steps ?? int.MaxValue,
        WarmupSteps = Warmup ?? (Steps is { } steps ? Math.Min(LongestWarmup, steps / 20) : LongestWarmup),
    };
}
