using Microsoft.ML;
using Microsoft.ML.Runtime;
using RbeMl.Layers;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Tokens;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.MLNet.Classification;

/// <summary>
/// Classifies texts with an encoder or a GPT-2 model of compressed blocks and a linear head.
/// A row without text, or with token ids that the model does not know, gets
/// missing values: NaN scores and a missing label (false for a Boolean one); other rows do not notice.
/// </summary>
public sealed class TextClassificationTransformer : RbeTransformer, ILoadable<TextClassificationTransformer>
{
    // Most values of scores that are computed together: rows times classes.
    private const int MostScores = 1 << 24;

    // The version that tells how few labels were learned from; others stay readable by what knows the first only.
    private const ushort FewLabels = 2;

    private readonly TextClassificationModel _model;

    internal TextClassificationTransformer(IHostEnvironment environment, TextClassificationModel model, TrainingSummary summary, ScoringSettings scoring)
        : base(environment, Name, summary.Method is null ? (ushort)1 : FewLabels)
    {
        _model = model;
        Summary = summary;
        Scoring = scoring;
        Pool = new WorkspacePool(scoring.Threads);
    }

    static string ILoadable<TextClassificationTransformer>.Name => Name;

    static ushort ILoadable<TextClassificationTransformer>.Version => FewLabels;

    /// <summary>How it was trained.</summary>
    public TrainingSummary Summary { get; }

    /// <summary>Names of the classes, in the order of the scores.</summary>
    public IReadOnlyList<string> Classes => [.. Enumerable.Range(0, _model.Labels.Count).Select(_model.Labels.NameOf)];

    /// <summary>What turns texts into ids; null for a model of token ids.</summary>
    public ITokenizer? Tokenizer => _model.Tokenizer;

    internal static string Name => "RbeTextClassification";

    internal DeltaModel? Delta { get; init; }

    internal SequenceClassifier<float> Classifier => _model.Classifier;

    internal ClassLabels Labels => _model.Labels;

    internal TokenLimits Limits => _model.Limits;

    internal ScoringSettings Scoring { get; }

    internal WorkspacePool Pool { get; }

    /// <summary>
    /// A copy of model and head, the caller's to train and to dispose. (The transformer itself is immutable and needs no disposing: its
    /// weights are freed with it.)
    /// </summary>
    public SequenceClassifier<float> CopyClassifier() => Copied(new TransformerModel<float>(Classifier.Model.GetWeights()));

    /// <summary>
    /// Saves the delta that was trained, without model and head: a small file for <see cref="FineTuningOptions.DeltaPath"/>, and for
    /// <c>--apply-delta</c> of the command. A result that was saved and loaded has the delta in its model, and cannot save it alone any more.
    /// </summary>
    /// <param name="path">The file; one that is there is replaced.</param>
    /// <exception cref="InvalidOperationException">There is no delta, or the result was loaded.</exception>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public void SaveDelta(string path) => DeltaSource.Save(path, Delta);

    /// <summary>The head, copied to a model that begins with this one's weights.</summary>
    internal SequenceClassifier<float> Copied(TransformerModel<float> model, float? dropout = null)
    {
        float[][] head = [.. Classifier.Head.Slices.Select(Classifier.Head.ToFloats)];
        ClassifierConfig config = Classifier.Config;
        return new SequenceClassifier<float>(model, dropout is { } d ? config with { Dropout = d } : config, head[0], head[1]);
    }

    static TextClassificationTransformer ILoadable<TextClassificationTransformer>.Read(IHostEnvironment environment, BinaryReader reader, int version)
    {
        TrainingSummary summary = TrainingSummary.Read(reader, version >= FewLabels);
        ScoringSettings scoring = ScoringSettings.Read(reader);
        return new TextClassificationTransformer(environment, TextClassificationModel.Read(reader, Name), summary, scoring);
    }

    internal void WarnOfMissingRow()
    {
        WarnOnce("A row has no text in '{0}', or token ids that the model does not know: its scores are NaN. Further rows of the kind "
            + "are not reported.", _model.TextColumn);
    }

    private protected override RowMapping Bind(DataViewSchema input) => new Mapping(this, input);

    private protected override void Write(BinaryWriter writer)
    {
        SavedTokenizer.Require(Tokenizer);
        Summary.Write(writer);
        Scoring.Write(writer);
        _model.Write(writer);
    }

    private sealed class Mapping(TextClassificationTransformer parent, DataViewSchema input)
        : RowMapping(
            input, [TokenColumn.Find(input, parent._model.TextColumn, parent.Tokenizer is not null)],
            ClassColumns.Of(parent._model.Names, parent.Labels, ScoreAnnotations.NextSet(input)))
    {
        public override int BatchRows => Math.Clamp(MostScores / parent.Labels.Count, 1, parent.Scoring.BatchRows);

        public override RowBatch CreateBatch(DataViewRow input, int rows) =>
            new ClassificationBatch(parent, new TokenReader(input, Sources[0], parent.Tokenizer, parent.Limits), rows);
    }
}
