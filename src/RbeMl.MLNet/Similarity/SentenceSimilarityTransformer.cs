using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Embeddings;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Runtime;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.Similarity;

/// <summary>Columns, scale and run-time settings.</summary>
/// <param name="First">Name of the one text.</param>
/// <param name="Second">Name of the other.</param>
/// <param name="Output">Name of the score.</param>
/// <param name="Lowest">Score of cosine 0.</param>
/// <param name="Highest">Score of cosine 1.</param>
/// <param name="Scoring">How rows are computed.</param>
internal sealed record SimilarityColumns(string First, string Second, string Output, double Lowest, double Highest, ScoringSettings Scoring)
{
    /// <summary>The column of the score.</summary>
    public static AddedColumn Score(string name, uint set) =>
        new(name, NumberDataViewType.Single, ScoreAnnotations.Of(set, "Regression", "Score"));
}

/// <summary>
/// How alike two texts are: the cosine of their vectors by an encoder, on the scale of the labels it was trained with. An empty or missing text counts
/// as one of no words.
/// </summary>
public sealed class SentenceSimilarityTransformer : RbeTransformer, ILoadable<SentenceSimilarityTransformer>
{
    private readonly SimilarityColumns _columns;

    internal SentenceSimilarityTransformer(IHostEnvironment environment, SimilarityColumns columns, SentenceEncoder encoder, TrainingSummary summary)
        : base(environment, Name) => (_columns, Encoder, Summary) = (columns, encoder, summary);

    static string ILoadable<SentenceSimilarityTransformer>.Name => Name;

    /// <summary>How it was trained.</summary>
    public TrainingSummary Summary { get; }

    /// <summary>The encoder, trained. It is this transformer's: do not dispose it. <c>ml.Rbe.TextEmbedding</c> takes a copy.</summary>
    public SentenceEncoder Encoder { get; }

    internal static string Name => "RbeSentenceSimilarity";

    internal DeltaModel? Delta { get; init; }

    /// <summary>
    /// Saves the delta that was trained, without the encoder: a small file for <see cref="SentenceSimilarityOptions.DeltaPath"/>. A result that was saved
    /// and loaded has the delta in its encoder, and cannot save it alone any more.
    /// </summary>
    /// <param name="path">The file; one that is there is replaced.</param>
    /// <exception cref="InvalidOperationException">There is no delta, or the result was loaded.</exception>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public void SaveDelta(string path) => DeltaSource.Save(path, Delta);

    static SentenceSimilarityTransformer ILoadable<SentenceSimilarityTransformer>.Read(IHostEnvironment environment, BinaryReader reader, int version)
    {
        TrainingSummary summary = TrainingSummary.Read(reader);
        string first = ColumnName.Read(reader, nameof(SimilarityColumns.First)), second = ColumnName.Read(reader, nameof(SimilarityColumns.Second));
        string output = ColumnName.Read(reader, nameof(SimilarityColumns.Output));
        double lowest = reader.ReadDouble(), highest = reader.ReadDouble();
        if (!(double.IsFinite(lowest) && double.IsFinite(highest) && lowest < highest))
        {
            throw new FormatException($"the scale is {lowest} .. {highest}");
        }

        SimilarityColumns columns = new(first, second, output, lowest, highest, ScoringSettings.Read(reader));
        return new SentenceSimilarityTransformer(environment, columns, EncoderSource.Read(reader, Name, columns.Scoring.Threads), summary);
    }

    private protected override RowMapping Bind(DataViewSchema input) =>
        new Mapping(this, input, TextColumn.Find(input, _columns.First), TextColumn.Find(input, _columns.Second));

    private protected override void Write(BinaryWriter writer)
    {
        Summary.Write(writer);
        writer.Write(_columns.First);
        writer.Write(_columns.Second);
        writer.Write(_columns.Output);
        writer.Write(_columns.Lowest);
        writer.Write(_columns.Highest);
        _columns.Scoring.Write(writer);
        EncoderSource.Write(writer, Encoder);
    }

    private sealed class Mapping(SentenceSimilarityTransformer parent, DataViewSchema input, DataViewSchema.Column first, DataViewSchema.Column second)
        : RowMapping(input, [first, second], [SimilarityColumns.Score(parent._columns.Output, ScoreAnnotations.NextSet(input))])
    {
        public override int BatchRows => parent._columns.Scoring.BatchRows;

        public override RowBatch CreateBatch(DataViewRow input, int rows) => new Batch(parent, input, Sources[0], Sources[1]);
    }

    private sealed class Batch(SentenceSimilarityTransformer parent, DataViewRow input, DataViewSchema.Column first, DataViewSchema.Column second) : RowBatch
    {
        private readonly Func<string> _first = TextColumn.Reader(input, first), _second = TextColumn.Reader(input, second);
        private readonly List<string> _texts = [];
        private float[] _vectors = [];
        private float[] _scores = [];

        public override void Read(int slot)
        {
            if (slot == 0) _texts.Clear();
            _texts.Add(_first());
            _texts.Add(_second());
        }

        public override void Compute(int rows)
        {
            int width = parent.Encoder.Dimensions, size = checked(2 * rows * width);
            if (_vectors.Length < size) (_vectors, _scores) = (new float[size], new float[rows]);
            parent.Encoder.Embed(_texts, _vectors.AsSpan(0, size));
            ForwardCounter.Add(rows);
            double range = parent._columns.Highest - parent._columns.Lowest;
            for (int row = 0; row < rows; row++)
            {
                ReadOnlySpan<float> one = _vectors.AsSpan(2 * row * width, width), other = _vectors.AsSpan(((2 * row) + 1) * width, width);
                double dot = 0, ones = 0, others = 0;
                for (int f = 0; f < width; f++) (dot, ones, others) = (dot + ((double)one[f] * other[f]), ones + ((double)one[f] * one[f]),
                    others + ((double)other[f] * other[f]));
                double cosine = dot / Math.Max(Math.Sqrt(ones * others), 1e-12);
                _scores[row] = (float)(parent._columns.Lowest + (range * cosine));
            }
        }

        public override Delegate Getter(int added) => new SlotGetter<float>((int slot, ref float value) => value = _scores[slot]);
    }
}
