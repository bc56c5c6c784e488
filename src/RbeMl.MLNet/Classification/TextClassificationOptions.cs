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

    /// <summary>How a text's tokens become one row for the head; null takes an encoder's own way, or the mean.</summary>
    public Pooling? Pooling { get; set; }

    /// <summary>Dropout probability of the head's input while training.</summary>
    public double HeadDropout { get; set; }

    /// <summary>Highest learning rate of the head; null takes <see cref="FineTuningOptions.LearningRate"/>.</summary>
    public double? HeadLearningRate { get; set; }

    /// <summary>What is trained besides the head; null trains everything, but of an encoder not its embeddings.</summary>
    public TrainedParts? Trained { get; set; }

    /// <summary>
    /// How a pretrained model learns from few labels. Null fine-tunes an encoder by <see cref="FewLabelMethod.FineTuned"/>, and trains any other model, or a
    /// <see cref="WarmStart"/>, for <see cref="FineTuningOptions.Epochs"/> passes. With a method, epochs, batch and rates that are not set follow from the
    /// number of texts (<see cref="FewLabelOptions"/>).
    /// </summary>
    public FewLabelMethod? Method { get; set; }

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
        Require(Pooling is not { } pooling || Enum.IsDefined(pooling), nameof(Pooling), Pooling, $"use one of {string.Join(", ", Enum.GetNames<Pooling>())}.");
        Require(Method is not { } method || Enum.IsDefined(method), nameof(Method), Method,
            $"use one of {string.Join(", ", Enum.GetNames<FewLabelMethod>())}.");
        Require(Method is null || !BeginsNew, nameof(Method), Method, $"a new model knows nothing yet: give {nameof(ModelPath)} or {nameof(Model)}.");
        Require(Method is null || WarmStart is null, nameof(Method), Method, $"a {nameof(WarmStart)} goes on where it is: leave one of them out.");
        Require(Delta is null || Method is not FewLabelMethod.Frozen, nameof(Delta), "given",
            $"{nameof(FewLabelMethod.Frozen)} trains nothing of the model: use another {nameof(Method)}, or leave it out.");
        DeltaSource.CheckWithoutTokens(Delta, DeltaPath, Trained);
        Require(Method is not FewLabelMethod.Frozen || (Given == default && Trained is null), nameof(Method), Method,
            "a frozen model has no epochs, batch, rate, decay or trained parts: leave them out.");
        Require(Method is not FewLabelMethod.Contrastive || Trained is not TrainedParts.Head, nameof(Trained), Trained,
            $"{nameof(FewLabelMethod.Contrastive)} trains the model before the head: give other parts, or use {nameof(FewLabelMethod.Frozen)}.");
        Require(Method is null or FewLabelMethod.FineTuned || (HeadLearningRate is null && HeadDropout == 0), nameof(Method), Method,
            $"only {nameof(FewLabelMethod.FineTuned)} has a rate and a dropout of the head: leave them out.");
        Require(Method is null or FewLabelMethod.FineTuned || (Validation is null && ValidationFraction == 0), nameof(Method), Method,
            $"only {nameof(FewLabelMethod.FineTuned)} looks at validation data: leave it out.");
        Require(WarmStart is null || Pooling is null || WarmStart.Classifier.Config.Pooling == Pooling, nameof(Pooling), Pooling,
            $"the {nameof(WarmStart)} was trained with {WarmStart?.Classifier.Config.Pooling}. Use that.");
        Require(new HashSet<string> { PredictedLabelColumnName, ScoreColumnName, ProbabilityColumnName }.Count == 3, nameof(ScoreColumnName),
            ScoreColumnName, "two output columns have one name. Give each its own.");
        _ = ToTrainer(0).Validate();
    }

    /// <summary>The settings of a training on few labels.</summary>
    /// <param name="method">How.</param>
    /// <param name="examples">Texts.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="groups">What trains a delta alone; null for none.</param>
    internal FewLabelOptions ToFewLabels(FewLabelMethod method, int examples, ulong seed, IReadOnlyList<ParameterGroup>? groups = null)
    {
        ClassifierTrainerOptions tuning = FewLabelOptions.DefaultFineTuning(examples);
        SimilarityTrainerOptions contrast = FewLabelOptions.DefaultContrastive(examples);
        (int? epochs, int? batch, double? rate, double? decay) = Given;
        return new FewLabelOptions
        {
            Method = method,
            Seed = seed,
            FineTuning = ToTrainer(seed, groups) with
            {
                Epochs = epochs ?? tuning.Epochs,
                BatchSize = batch ?? tuning.BatchSize,
                LearningRate = rate ?? Optimizer.RateFor(tuning.LearningRate),
                WeightDecay = decay ?? tuning.WeightDecay,
                Trained = Trained ?? tuning.Trained,
                LossFloor = epochs is null ? tuning.LossFloor : 0,
            },
            Contrastive = contrast with
            {
                Epochs = epochs ?? contrast.Epochs,
                BatchSize = batch ?? contrast.BatchSize,
                Optimizer = Optimizer,
                LearningRate = rate ?? Optimizer.RateFor(contrast.LearningRate),
                WarmupFraction = WarmupFraction,
                WeightDecay = decay ?? contrast.WeightDecay,
                Clip = Clip,
                Trained = Trained ?? contrast.Trained,
                Groups = groups ?? [],
                OnCancel = OnCancel,
                AverageHorizon = AverageHorizon,
                StatePath = StatePath,
                StateEvery = StateEvery,
                Checkpointing = Checkpointing,
                MemoryLimit = MemoryLimit,
            },
        };
    }

    /// <summary>These settings for the trainer.</summary>
    internal ClassifierTrainerOptions ToTrainer(ulong seed, IReadOnlyList<ParameterGroup>? groups = null) => new()
    {
        Groups = groups ?? [],
        Epochs = Epochs,
        BatchSize = BatchSize,
        Optimizer = Optimizer,
        LearningRate = LearningRate,
        HeadLearningRate = HeadLearningRate,
        WarmupFraction = WarmupFraction,
        WeightDecay = WeightDecay,
        Clip = Clip,
        Trained = Trained,
        AverageHorizon = AverageHorizon,
        StatePath = StatePath,
        StateEvery = StateEvery,
        Seed = seed,
        ValidationFraction = ValidationFraction,
        Patience = Patience,
        OnCancel = OnCancel,
        Checkpointing = Checkpointing,
        MemoryLimit = MemoryLimit,
    };
}
