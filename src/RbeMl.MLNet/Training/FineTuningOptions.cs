using Microsoft.ML;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.Runtime;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Training;

/// <summary>What every trainer of a model can be told. Estimators copy their options: changing them afterwards changes nothing.</summary>
public abstract class FineTuningOptions
{
    private readonly int _defaultEpochs;
    private double? _learningRate, _weightDecay;
    private int? _epochs, _batchSize;

    private protected FineTuningOptions(int epochs) => _defaultEpochs = epochs;

    /// <summary>
    /// The model to begin with: a <c>.rbe</c> file, or the folder of a Hugging Face GPT-2 or, for classes and similarities, the folder or
    /// <c>.onnx</c> file of a BERT. Null, without a <see cref="Model"/> too, begins a new one.
    /// </summary>
    public string? ModelPath { get; set; }

    /// <summary>
    /// The model to begin with, and its tokenizer, in place of <see cref="ModelPath"/>. <c>Fit</c> copies it: keep it until then. It stays
    /// as it is, and its owner's.
    /// </summary>
    public ModelBundle? Model { get; set; }

    /// <summary>Blocks of a new model.</summary>
    public int Layers { get; set; } = 2;

    /// <summary>Attention heads of a new model; the width is a multiple of it.</summary>
    public int Heads { get; set; } = 4;

    /// <summary>Width of a new model.</summary>
    public int Width { get; set; } = 128;

    /// <summary>
    /// Token ids of a new model: 256 are the bytes of UTF-8; up to 65536 are byte pairs learned on the training texts. Null takes at most 1024 for texts, and
    /// for a column of ids or keys all that there are.
    /// </summary>
    public int? VocabularySize { get; set; }

    /// <summary>Turns texts into ids; null takes the model's own, or for a new model one that is learned (<see cref="VocabularySize"/>).</summary>
    public ITokenizer? Tokenizer { get; set; }

    /// <summary>Tokens of a text that are used; of a new model also its positions. Null takes the model's positions, 128 for a new one.</summary>
    public int? Context { get; set; }

    /// <summary>
    /// How the blocks' matrices are stored: format, bits, coefficients and their places, tile and transform. Null keeps a model as it is; a new one gets
    /// <c>RbeFormat.Sparse(300)</c>. Weights that exist are best kept with <c>RbeFormat.Quantized(bits) with { Delta = ... }</c>.
    /// </summary>
    public RbeOptions? Compression { get; set; }

    /// <summary>
    /// Freezes the model and trains a sparse delta on its matrices alone, which begins at zero: its share of the coefficients, its layers by
    /// name, its places. The model keeps its matrices in codes, as <c>rbeml compress</c> or a <see cref="Compression"/> of such a format
    /// makes them. Null trains the model itself.
    /// </summary>
    public DeltaOptions? Delta { get; set; }

    /// <summary>
    /// The file of a delta that was saved of this model, by the result's <c>SaveDelta</c> or by <c>rbeml finetune --save-delta</c>: it is
    /// put on the model and trained on, in place of a new <see cref="Delta"/>. Null for none.
    /// </summary>
    public string? DeltaPath { get; set; }

    /// <summary>Dropout probability while training, 0 up to but not 1; null keeps the model's, 0 for a new one.</summary>
    public double? Dropout { get; set; }

    /// <summary>
    /// Passes over the training data: 4 for a classifier, 8 for a language model. More over-fit: on 5,574 short messages 4 epochs gave a held-out log-loss
    /// of 0.06, 8 epochs 0.10. Data of a few dozen rows needs more, as a pass over it is few steps; <see cref="Patience"/> finds the number. A classifier
    /// from an encoder takes epochs, batch, rate and decay from the number of texts unless they are set: <see cref="RbeMl.Training.FewLabelOptions"/>.
    /// </summary>
    public int Epochs { get => _epochs ?? _defaultEpochs; set => _epochs = value; }

    /// <summary>Examples of a step; at most as many as there are.</summary>
    public int BatchSize { get => _batchSize ?? 32; set => _batchSize = value; }

    /// <summary>
    /// What turns gradients into steps: <see cref="AdamWOptions"/>, <see cref="SgdOptions"/>, <see cref="LionOptions"/>, which has half of
    /// AdamW's state, or <see cref="MuonOptions"/>, for matrices that keep many coefficients.
    /// </summary>
    public OptimizerOptions Optimizer { get; set; } = new AdamWOptions();

    /// <summary>
    /// Highest learning rate; coefficients get it times sqrt(B² / K) of their matrix, as they are that much larger. Unless set it is 2e-3
    /// for AdamW, and for another <see cref="Optimizer"/> what suits it.
    /// </summary>
    public double LearningRate { get => _learningRate ?? Optimizer.RateFor(2e-3); set => _learningRate = value; }

    /// <summary>Fraction of the run in which the learning rate rises to its highest.</summary>
    public double WarmupFraction { get; set; } = 0.1;

    /// <summary>Weight decay of matrices; unless set it is 0.05 for AdamW, and for another <see cref="Optimizer"/> what suits it.</summary>
    public double WeightDecay { get => _weightDecay ?? Optimizer.DecayFor(0.05); set => _weightDecay = value; }

    /// <summary>Largest global norm of the gradient; 0 turns clipping off.</summary>
    public double Clip { get; set; } = 1;

    /// <summary>
    /// Steps that an average of the weights looks back on (exponential moving average, EMA), at most a tenth of those done: the average is what is
    /// validated and returned. 0 returns the last weights.
    /// </summary>
    public int AverageHorizon { get; set; }

    /// <summary>
    /// The file that the training's state is kept in: a <c>Fit</c> that finds one goes on from it, with the bits of one that was never stopped, given
    /// the same data, options and seed. It is saved every <see cref="StateEvery"/> and when the training is cancelled, and deleted when it is
    /// complete. Null for none. Give a <see cref="Seed"/>: another seed is another training, whose state is refused.
    /// </summary>
    public string? StatePath { get; set; }

    /// <summary>How often the state is saved to <see cref="StatePath"/>.</summary>
    public SaveInterval StateEvery { get; set; } = SaveInterval.EveryMinutes(5);

    /// <summary>
    /// What is kept in memory between forward and backward; null keeps everything, or with a <see cref="MemoryLimit"/> what fits. It
    /// changes no result.
    /// </summary>
    public CheckpointPolicy? Checkpointing { get; set; }

    /// <summary>Most memory in MiB that the process may have resident while training; null sets no limit.</summary>
    public int? MemoryLimit { get; set; }

    /// <summary>Seed of everything random; null takes one from the context's. The transformer tells which it was.</summary>
    public int? Seed { get; set; }

    /// <summary>Threads of training and scoring; 0 for one a processor. They change no bit of the result, and are saved with it.</summary>
    public int Threads { get; set; }

    /// <summary>
    /// Rows that the result reads ahead and scores together, 1 to 65,536; 1 scores row by row. It changes no bit of the scores, and is
    /// saved with the result.
    /// </summary>
    public int BatchRows { get; set; } = 64;

    /// <summary>
    /// Share of the training data that is held out for validation when there is no <see cref="Validation"/>: of a classifier's data that share of each
    /// class. 0 holds out none, else it is at least one row.
    /// </summary>
    public double ValidationFraction { get; set; }

    /// <summary>Data to validate on after every epoch, with the same columns; null for none.</summary>
    public IDataView? Validation { get; set; }

    /// <summary>
    /// Epochs without a lower validation loss after which the training ends with the weights of the best epoch; 0 does all epochs and keeps
    /// the last weights.
    /// </summary>
    public int Patience { get; set; }

    /// <summary>Stops the reading of the data, or the training after the step under way.</summary>
    public CancellationToken Cancellation { get; set; }

    /// <summary>What <c>Fit</c> does then: throw, or return what is best so far. Where nothing is trained yet it throws.</summary>
    public WhenCancelled OnCancel { get; set; }

    /// <summary>Checks what concerns the beginning model.</summary>
    /// <exception cref="InvalidSettingException">A value is out of range or contradicts another.</exception>
    internal virtual void Check()
    {
        Require(Optimizer is not null, nameof(Optimizer), "null", OptimizerOptions.Choices);
        if (ModelPath is not null && Model is not null)
        {
            throw new InvalidSettingException(nameof(ModelPath), ModelPath, $"{nameof(Model)} is given too. Give one of them.");
        }

        Require(VocabularySize is null or >= 1, nameof(VocabularySize), VocabularySize, "use 256 for bytes, or more.");
        Require(Context is null or >= 1, nameof(Context), Context, "use at least 1 token.");
        if (BeginsNew) CheckShape();
        string? delta = Delta is not null ? nameof(Delta) : DeltaPath is not null ? nameof(DeltaPath) : null;
        Require(delta is null || !BeginsNew, delta!, "given", $"a new model has nothing frozen: give {nameof(ModelPath)} or {nameof(Model)}.");
        DeltaSource.Check(Delta, DeltaPath);
        Require(BatchSize >= 1, nameof(BatchSize), BatchSize, "use at least 1.");
        RunLimits.CheckThreads(Threads);
        RunLimits.CheckRows(nameof(BatchRows), BatchRows);
        Require(Dropout is null or (>= 0 and < 1), nameof(Dropout), Dropout, "use a probability from 0 up to, but not, 1.");
        Require(ValidationFraction is >= 0 and < 1, nameof(ValidationFraction), ValidationFraction, "use a fraction from 0 up to, but not, 1.");
        Require(ValidationFraction == 0 || Validation is null, nameof(ValidationFraction), ValidationFraction,
            $"{nameof(Validation)} is given too. Give one of them.");
        Require(Enum.IsDefined(OnCancel), nameof(OnCancel), OnCancel, $"use one of {string.Join(", ", Enum.GetNames<WhenCancelled>())}.");
        Require(Patience >= 0, nameof(Patience), Patience, "use 0 for no early stopping, or a number of epochs.");
        Require(Patience == 0 || ValidationFraction > 0 || Validation is not null, nameof(Patience), Patience,
            $"early stopping needs {nameof(ValidationFraction)} or {nameof(Validation)}.");
    }

    /// <summary>What was set, for trainings whose defaults follow from the data; null for what was not.</summary>
    internal (int? Epochs, int? BatchSize, double? LearningRate, double? WeightDecay) Given => (_epochs, _batchSize, _learningRate, _weightDecay);

    /// <summary>How the result computes rows.</summary>
    internal ScoringSettings Scoring => new(BatchRows, Threads);

    /// <summary>Whether a new model is begun.</summary>
    private protected virtual bool BeginsNew => ModelPath is null && Model is null;

    // What the model itself checks when it is made, under the names of these options, before any data is read.
    private void CheckShape()
    {
        const int most = 1 << 20;
        Require(Layers is >= 1 and <= most, nameof(Layers), Layers, "use at least 1 block.");
        Require(Heads is >= 1 and <= most, nameof(Heads), Heads, "use at least 1 head.");
        Require(Width >= 1, nameof(Width), Width, "use a positive number, a multiple of the heads.");
        Require(Width % Heads == 0, nameof(Heads), Heads, $"{nameof(Width)} {Width} must be a multiple of it.");
        Fits(nameof(Width), 4L * Width);
        Fits(nameof(VocabularySize), VocabularySize ?? 1);
        Fits(nameof(Context), Context ?? 1);

        void Fits(string name, long rows) =>
            Require(rows * Width <= Array.MaxLength, name, name == nameof(Width) ? Width
                : rows, $"with a width of {Width} that is more than an array holds. Use a smaller one.");
    }

    /// <summary>A copy.</summary>
    internal T Copy<T>()
        where T : FineTuningOptions => (T)MemberwiseClone();

    private protected static void Require(bool condition, string name, object? value, string mend)
    {
        if (!condition) throw new InvalidSettingException(name, value, mend);
    }
}
