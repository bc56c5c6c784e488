using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.Classification;

/// <summary>What <c>ml.Rbe.TextClassification</c> can be told.</summary>
public sealed class TextClassificationOptions : FineTuningOptions
{
    private const int DefaultEpochs = 4;

    /// <summary>Creates the default options.</summary>
    public TextClassificationOptions()
        : base(DefaultEpochs)
    {
    }

    /// <summary>The label column: a Boolean, or a key of UInt32.</summary>
    public string LabelColumnName { get; set; } = "Label";

    /// <summary>The column to classify: a text, or a vector of token ids (Int32, Int64, UInt32 or keys).</summary>
    public string TextColumnName { get; set; } = "Text";

    /// <summary>The column of the likeliest class.</summary>
    public string PredictedLabelColumnName { get; set; } = "PredictedLabel";

    /// <summary>The column of probabilities, one a class; of a Boolean label the log odds.</summary>
    public string ScoreColumnName { get; set; } = "Score";

    /// <summary>The column of the probability, of a Boolean label only.</summary>
    public string ProbabilityColumnName { get; set; } = "Probability";

    /// <summary>Whether of a text that is too long the end is kept, in place of the beginning.</summary>
    public bool KeepEnd { get; set; }

    /// <summary>How a text's tokens become one row for the head.</summary>
    public Pooling Pooling { get; set; } = Pooling.Mean;

    /// <summary>Dropout probability of the head's input while training.</summary>
    public double HeadDropout { get; set; }

    /// <summary>Highest learning rate of the head; null takes <see cref="FineTuningOptions.LearningRate"/>.</summary>
    public double? HeadLearningRate { get; set; }

    /// <summary>What is trained besides the head.</summary>
    public TrainedParts Trained { get; set; }

    /// <summary>
    /// An earlier result to go on from, for the same classes: its model, head and tokenizer, in place of <see cref="FineTuningOptions.ModelPath"/> and
    /// <see cref="FineTuningOptions.Model"/>. It stays as it is.
    /// </summary>
    public TextClassificationTransformer? WarmStart { get; set; }

    /// <summary>Told after every step, on the thread that fits.</summary>
    public IProgress<ClassifierProgress>? Progress { get; set; }

    private protected override bool BeginsNew => base.BeginsNew && WarmStart is null;

    /// <inheritdoc/>
    internal override void Check()
    {
        base.Check();
        foreach (string name in (string[])[LabelColumnName, TextColumnName, PredictedLabelColumnName, ScoreColumnName, ProbabilityColumnName])
        {
            ArgumentException.ThrowIfNullOrEmpty(name);
        }

        Require(WarmStart is null || (ModelPath is null && Model is null), nameof(WarmStart), "given",
            $"{nameof(ModelPath)} or {nameof(Model)} is given too. Give one of them.");
        Require(WarmStart is null || Tokenizer is null, nameof(Tokenizer), Tokenizer?.GetType().Name, $"a {nameof(WarmStart)} brings its own.");
        Require(HeadDropout is >= 0 and < 1, nameof(HeadDropout), HeadDropout, "use a probability from 0 up to, but not, 1.");
        Require(Enum.IsDefined(Pooling), nameof(Pooling), Pooling, $"use one of {string.Join(", ", Enum.GetNames<Pooling>())}.");
        Require(WarmStart is null || WarmStart.Classifier.Config.Pooling == Pooling, nameof(Pooling), Pooling,
            $"the {nameof(WarmStart)} was trained with {WarmStart?.Classifier.Config.Pooling}. Use that.");
        Require(new HashSet<string> { PredictedLabelColumnName, ScoreColumnName, ProbabilityColumnName }.Count == 3, nameof(ScoreColumnName),
            ScoreColumnName, "two output columns have one name. Give each its own.");
        _ = ToTrainer(0).Validate();
    }

    /// <summary>These settings for the trainer.</summary>
    internal ClassifierTrainerOptions ToTrainer(ulong seed) => new()
    {
        Epochs = Epochs,
        BatchSize = BatchSize,
        Optimizer = Optimizer,
        LearningRate = LearningRate,
        HeadLearningRate = HeadLearningRate,
        WarmupFraction = WarmupFraction,
        WeightDecay = WeightDecay,
        Clip = Clip,
        Seed = seed,
        ValidationFraction = ValidationFraction,
        Patience = Patience,
        Trained = Trained,
        OnCancel = OnCancel,
        Checkpointing = Checkpointing,
        MemoryLimit = MemoryLimit,
    };
}
