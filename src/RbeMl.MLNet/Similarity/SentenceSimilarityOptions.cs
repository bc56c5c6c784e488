using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.Similarity;

/// <summary>What <c>ml.Rbe.SentenceSimilarity</c> can be told. The encoder comes from one of <see cref="ModelPath"/> and <see cref="Encoder"/>.</summary>
public sealed class SentenceSimilarityOptions
{
    /// <summary>How alike the texts of a row are: a number. Not needed to score only, nor for the contrastive loss.</summary>
    public string LabelColumnName { get; set; } = "Label";

    /// <summary>The one text.</summary>
    public string Sentence1ColumnName { get; set; } = "Sentence1";

    /// <summary>The other text.</summary>
    public string Sentence2ColumnName { get; set; } = "Sentence2";

    /// <summary>The column that is added: how alike the texts are, on the scale of the labels.</summary>
    public string ScoreColumnName { get; set; } = "Score";

    /// <summary>A <c>.rbe</c> file of an encoder, or the folder or .onnx file of a BERT.</summary>
    public string? ModelPath { get; set; }

    /// <summary>An encoder in hand. <c>Fit</c> copies it: keep it until then. It stays as it is, and its owner's.</summary>
    public SentenceEncoder? Encoder { get; set; }

    /// <summary>The label of texts that have nothing in common: cosine 0.</summary>
    public double LowestLabel { get; set; }

    /// <summary>The label of texts that mean the same: cosine 1.</summary>
    public double HighestLabel { get; set; } = 1;

    /// <summary>What is made smaller: the squared difference of cosine and label, or the contrastive loss, which takes all rows as pairs.</summary>
    public SimilarityLoss Loss { get; set; }

    /// <summary>What cosines are divided by in the contrastive loss.</summary>
    public double Temperature { get; set; } = 0.1;

    /// <summary>Passes over the data; 0 trains nothing and scores only. Null follows from the number of rows, about 200 steps at least.</summary>
    public int? Epochs { get; set; }

    /// <summary>Pairs of a step.</summary>
    public int BatchSize { get; set; } = 16;

    /// <summary>Highest learning rate; coefficients get it times sqrt(B² / K) of their matrix.</summary>
    public double LearningRate { get; set; } = 2e-4;

    /// <summary>What of the encoder is trained; null trains the <see cref="TrainedParts.Blocks"/>, or the delta where there is one.</summary>
    public TrainedParts? Trained { get; set; }

    /// <summary>
    /// A sparse delta on the encoder's weights, which stay as they are: it alone is trained, in place of <see cref="Trained"/>. Null trains the weights.
    /// </summary>
    public DeltaOptions? Delta { get; set; }

    /// <summary>
    /// The file of a delta that was saved of this encoder, by <see cref="SentenceSimilarityTransformer.SaveDelta"/>: it is put on the encoder and trained
    /// on, in place of a new <see cref="Delta"/>. Null for none.
    /// </summary>
    public string? DeltaPath { get; set; }

    /// <summary>Tokens of a text that are used; null takes the encoder's own number.</summary>
    public int? MaxTokens { get; set; }

    /// <summary>
    /// Steps that an average of the weights looks back on (exponential moving average, EMA), at most a tenth of those done: the average is what is
    /// returned. 0 returns the last weights.
    /// </summary>
    public int AverageHorizon { get; set; }

    /// <inheritdoc cref="Training.FineTuningOptions.StatePath"/>
    public string? StatePath { get; set; }

    /// <summary>How often the state is saved to <see cref="StatePath"/>.</summary>
    public SaveInterval StateEvery { get; set; } = SaveInterval.EveryMinutes(5);

    /// <summary>Most memory in MiB that the process may have resident while training; null sets no limit.</summary>
    public int? MemoryLimit { get; set; }

    /// <summary>Seed of everything random; null takes one from the context's. The transformer tells which it was.</summary>
    public int? Seed { get; set; }

    /// <summary>Threads of training and scoring; 0 for one a processor. They change no bit of the result, and are saved with it.</summary>
    public int Threads { get; set; }

    /// <summary>Rows that the result reads ahead and scores together, 1 to 65,536. It changes no bit of the scores, and is saved with the result.</summary>
    public int BatchRows { get; set; } = 64;

    /// <summary>Stops the reading of the data, or the training after the step under way.</summary>
    public CancellationToken Cancellation { get; set; }

    /// <summary>What <c>Fit</c> does then: throw, or return what was trained so far.</summary>
    public WhenCancelled OnCancel { get; set; }

    /// <summary>Told after every step, on the thread that fits.</summary>
    public IProgress<SimilarityProgress>? Progress { get; set; }

    /// <summary>Whether a label is read.</summary>
    internal bool NeedsLabel => Epochs != 0 && Loss is SimilarityLoss.Cosine;

    internal SentenceSimilarityOptions Checked()
    {
        ColumnName.Check(nameof(Sentence1ColumnName), Sentence1ColumnName);
        ColumnName.Check(nameof(Sentence2ColumnName), Sentence2ColumnName);
        ColumnName.Check(nameof(ScoreColumnName), ScoreColumnName);
        if (NeedsLabel) ColumnName.Check(nameof(LabelColumnName), LabelColumnName);
        if (ModelPath is null == Encoder is null) throw new InvalidSettingException(nameof(ModelPath), ModelPath, "give a path or an encoder, and not both.");
        if (!(double.IsFinite(LowestLabel) && double.IsFinite(HighestLabel) && LowestLabel < HighestLabel))
        {
            throw new InvalidSettingException(nameof(HighestLabel), HighestLabel, $"use a number above {nameof(LowestLabel)}, which is {LowestLabel}.");
        }

        if (Epochs < 0) throw new InvalidSettingException(nameof(Epochs), Epochs, "use 0 to score only, or a number of passes.");
        DeltaSource.CheckWithoutTokens(Delta, DeltaPath, Trained);
        RunLimits.CheckRows(nameof(BatchRows), BatchRows);
        RunLimits.CheckThreads(Threads);
        if (Epochs != 0) ToTrainer(1, 0, Pooling.Mean).Validate();
        return (SentenceSimilarityOptions)MemberwiseClone();
    }

    /// <summary>These settings for the trainer.</summary>
    internal SimilarityTrainerOptions ToTrainer(int pairs, ulong seed, Pooling pooling, IReadOnlyList<ParameterGroup>? groups = null) => new()
    {
        Loss = Loss,
        Temperature = Temperature,
        Pooling = pooling,
        Epochs = Epochs ?? Math.Clamp(200 * BatchSize / Math.Max(1, pairs), 1, 8),
        BatchSize = BatchSize,
        LearningRate = LearningRate,
        WeightDecay = 0,
        Trained = Trained ?? TrainedParts.Blocks,
        Groups = groups ?? [],
        AverageHorizon = AverageHorizon,
        StatePath = StatePath,
        StateEvery = StateEvery,
        Seed = seed,
        OnCancel = OnCancel,
        MemoryLimit = MemoryLimit,
    };
}
