using RbeMl.Kernels;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.LanguageModels;

/// <summary>
/// What <c>ml.Rbe.LanguageModel</c> can be told. With <see cref="FineTuningOptions.Epochs"/> of 0 nothing is trained and no row is read: the model given
/// scores and continues texts as it is.
/// </summary>
public sealed class LanguageModelOptions : FineTuningOptions
{
    private const int DefaultEpochs = 8;

    /// <summary>Creates the default options.</summary>
    public LanguageModelOptions()
        : base(DefaultEpochs)
    {
    }

    /// <summary>The column to learn, score and continue: a text, or a vector of token ids (Int32, Int64, UInt32 or keys).</summary>
    public string TextColumnName { get; set; } = "Text";

    /// <summary>The column of the perplexity (Single); null adds none.</summary>
    public string? PerplexityColumnName { get; set; } = "Perplexity";

    /// <summary>The column of the text's continuation (text); null adds none. It needs a tokenizer.</summary>
    public string? GeneratedTextColumnName { get; set; } = "GeneratedText";

    /// <summary>
    /// How the rows are laid into the sequences of a batch. <see cref="DocumentPacking.Separate"/> gives each its own, padded to the longest: right for
    /// rows of one length. Short rows train in a fraction of the time <see cref="DocumentPacking.Isolated"/>, as if each stood alone, or
    /// <see cref="DocumentPacking.Packed"/>, where behind each comes the tokenizer's end token (if it has one), which is then learnt too.
    /// </summary>
    public DocumentPacking Packing { get; set; } = DocumentPacking.Separate;

    /// <summary>Optimiser steps in all, in place of <see cref="FineTuningOptions.Epochs"/>; null goes by epochs.</summary>
    public int? Steps { get; set; }

    /// <summary>Tokens a text is continued by; fewer where an end token is drawn or a stop string comes.</summary>
    public int MaxNewTokens { get; set; } = 32;

    /// <inheritdoc cref="GenerationOptions.EndTokens"/>
    public IReadOnlyList<int>? EndTokens { get; set; }

    /// <inheritdoc cref="GenerationOptions.IgnoreEnd"/>
    public bool IgnoreEnd { get; set; }

    /// <summary>Texts that end a continuation where one first is complete; what is before it is kept, itself it is not.</summary>
    public IReadOnlyList<string> StopStrings { get; set; } = [];

    /// <summary>Logits are divided by it; 0 takes the most likely token.</summary>
    public double Temperature { get; set; } = 0.8;

    /// <summary>Only the k most likely tokens are drawn from; 0 for all.</summary>
    public int TopK { get; set; } = 40;

    /// <summary>Only the most likely tokens that together have this probability are drawn from; 1 for all.</summary>
    public double TopP { get; set; } = 1;

    /// <inheritdoc cref="GenerationOptions.MinP"/>
    public double MinP { get; set; }

    /// <inheritdoc cref="GenerationOptions.RepetitionPenalty"/>
    public double RepetitionPenalty { get; set; } = 1;

    /// <inheritdoc cref="GenerationOptions.KvFormat"/>
    public KvFormat KvFormat { get; set; } = KvFormat.F32;

    /// <summary>
    /// An earlier result to go on from: its model and tokenizer, in place of <see cref="FineTuningOptions.ModelPath"/> and
    /// <see cref="FineTuningOptions.Model"/>. It stays as it is.
    /// </summary>
    public LanguageModelTransformer? WarmStart { get; set; }

    /// <summary>Told after every step, on the thread that fits.</summary>
    public IProgress<TrainingProgress>? Progress { get; set; }

    /// <summary>Whether there is a training at all.</summary>
    internal bool Trains => Steps is not null || Epochs > 0;

    private protected override bool BeginsNew => base.BeginsNew && WarmStart is null;

    /// <inheritdoc/>
    internal override void Check()
    {
        base.Check();
        ArgumentException.ThrowIfNullOrEmpty(TextColumnName);
        Require(PerplexityColumnName is not "", nameof(PerplexityColumnName), "\"\"", "give a name, or null for no such column.");
        Require(GeneratedTextColumnName is not "", nameof(GeneratedTextColumnName), "\"\"", "give a name, or null for no such column.");
        Require(PerplexityColumnName is not null || GeneratedTextColumnName is not null, nameof(PerplexityColumnName), "null",
            $"{nameof(GeneratedTextColumnName)} is null too: nothing would be added. Name one of them.");
        Require(PerplexityColumnName != GeneratedTextColumnName, nameof(GeneratedTextColumnName), GeneratedTextColumnName,
            "two output columns have one name. Give each its own.");
        Require(WarmStart is null || (ModelPath is null && Model is null), nameof(WarmStart), "given",
            $"{nameof(ModelPath)} or {nameof(Model)} is given too. Give one of them.");
        Require(WarmStart is null || Tokenizer is null, nameof(Tokenizer), Tokenizer?.GetType().Name, $"a {nameof(WarmStart)} brings its own.");
        Require(Context is null or >= 2, nameof(Context), Context, "use at least 2 tokens: one is predicted from the other.");
        Require(Enum.IsDefined(Packing), nameof(Packing), Packing, $"use one of {string.Join(", ", Enum.GetNames<DocumentPacking>())}.");
        Require(Epochs >= 0, nameof(Epochs), Epochs, "use 0 for no training, or a number of epochs.");
        Require(Steps is null or (>= 1 and < int.MaxValue), nameof(Steps), Steps, "use at least 1 step, or null to go by epochs.");
        Require(Trains || ModelPath is not null || Model is not null || WarmStart is not null, nameof(Epochs), Epochs,
            $"a new model must be trained. Give a {nameof(ModelPath)}, {nameof(Model)} or {nameof(WarmStart)}, or some epochs.");
        Require(WarmupFraction is >= 0 and <= 1, nameof(WarmupFraction), WarmupFraction, "use a fraction from 0 to 1.");
        RunLimits.CheckNewTokens(nameof(MaxNewTokens), MaxNewTokens);
        Require(!(EndTokens?.Count > LanguageModelSettings.Most), nameof(EndTokens), EndTokens?.Count, $"use at most {LanguageModelSettings.Most}.");
        Require(!(StopStrings?.Count > LanguageModelSettings.Most), nameof(StopStrings), StopStrings?.Count, $"use at most {LanguageModelSettings.Most}.");
        _ = ToGeneration(0).Validate();
        _ = ToTrainer(0, 1, 1, 1).Validate();
    }

    /// <summary>The settings of generation.</summary>
    internal GenerationOptions ToGeneration(ulong seed) => new()
    {
        MaxTokens = MaxNewTokens,
        Temperature = Temperature,
        TopK = TopK,
        TopP = TopP,
        MinP = MinP,
        RepetitionPenalty = RepetitionPenalty,
        EndTokens = EndTokens is null ? null : [.. EndTokens],
        IgnoreEnd = IgnoreEnd,
        StopStrings = StopStrings?.ToArray()!, // null is refused where all is checked
        Seed = seed,
        KvFormat = KvFormat,
    };

    /// <summary>The settings of training.</summary>
    internal TrainerOptions ToTrainer(ulong seed, int steps, int batch, int context) => new()
    {
        Steps = steps,
        BatchSize = batch,
        Context = context,
        Optimizer = Optimizer,
        LearningRate = LearningRate,
        WarmupSteps = (int)(WarmupFraction * steps),
        WeightDecay = WeightDecay,
        Clip = Clip,
        AverageHorizon = AverageHorizon,
        StatePath = StatePath,
        StateEvery = StateEvery,
        Seed = seed,
        Checkpointing = Checkpointing,
        MemoryLimit = MemoryLimit,
    };
}
