using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Runtime;
using RbeMl.Models;

namespace RbeMl.MLNet.Embeddings;

/// <summary>Columns and run-time settings.</summary>
/// <param name="Output">Name of the vectors.</param>
/// <param name="Input">Name of the text.</param>
/// <param name="Prompt">Name of the prompt; null for the encoder's default.</param>
/// <param name="Scoring">How rows are computed.</param>
internal sealed record TextEmbeddingColumns(string Output, string Input, string? Prompt, ScoringSettings Scoring);

/// <summary>
/// Texts as vectors that say how near they are in meaning, from a pretrained encoder: the same bits that <see cref="SentenceEncoder"/> gives. An empty or
/// missing text has a vector too, that of no words.
/// </summary>
public sealed class TextEmbeddingTransformer : RbeTransformer, ILoadable<TextEmbeddingTransformer>
{
    private readonly TextEmbeddingColumns _columns;

    internal TextEmbeddingTransformer(IHostEnvironment environment, TextEmbeddingColumns columns, SentenceEncoder encoder)
        : base(environment, Name) => (_columns, Encoder) = (columns, encoder);

    static string ILoadable<TextEmbeddingTransformer>.Name => Name;

    /// <summary>The encoder. It is this transformer's: do not dispose it.</summary>
    public SentenceEncoder Encoder { get; }

    internal static string Name => "RbeTextEmbedding";

    internal TextEmbeddingColumns Columns => _columns;

    static TextEmbeddingTransformer ILoadable<TextEmbeddingTransformer>.Read(IHostEnvironment environment, BinaryReader reader, int version)
    {
        string output = ColumnName.Read(reader, nameof(TextEmbeddingColumns.Output)), input = ColumnName.Read(reader, nameof(TextEmbeddingColumns.Input));
        string? prompt = reader.ReadBoolean() ? reader.ReadString() : null;
        TextEmbeddingColumns columns = new(output, input, prompt, ScoringSettings.Read(reader));
        SentenceEncoder encoder = EncoderSource.Read(reader, Name, columns.Scoring.Threads);
        try
        {
            _ = encoder.Settings.Prompt(prompt);
            return new TextEmbeddingTransformer(environment, columns, encoder);
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    private protected override RowMapping Bind(DataViewSchema input) => new Mapping(this, input, TextColumn.Find(input, _columns.Input));

    private protected override void Write(BinaryWriter writer)
    {
        writer.Write(_columns.Output);
        writer.Write(_columns.Input);
        writer.Write(_columns.Prompt is not null);
        if (_columns.Prompt is not null) writer.Write(_columns.Prompt);
        _columns.Scoring.Write(writer);
        EncoderSource.Write(writer, Encoder);
    }

    private sealed class Mapping(TextEmbeddingTransformer parent, DataViewSchema input, DataViewSchema.Column source)
        : RowMapping(input, [source], [new AddedColumn(parent._columns.Output, new VectorDataViewType(NumberDataViewType.Single, parent.Encoder.Dimensions))])
    {
        public override int BatchRows => parent._columns.Scoring.BatchRows;

        public override RowBatch CreateBatch(DataViewRow input, int rows) => new Batch(parent, input, Sources[0]);
    }

    private sealed class Batch(TextEmbeddingTransformer parent, DataViewRow input, DataViewSchema.Column source) : RowBatch
    {
        private readonly Func<string> _reader = TextColumn.Reader(input, source);
        private readonly List<string> _texts = [];
        private float[] _vectors = []; // [rows so far, D]: a look-ahead grows, and most data end before it is full

        private int Width => parent.Encoder.Dimensions;

        public override void Read(int slot)
        {
            if (slot == 0) _texts.Clear();
            _texts.Add(_reader());
        }

        public override void Compute(int rows)
        {
            int size = checked(rows * Width);
            if (_vectors.Length < size) _vectors = new float[size];
            parent.Encoder.Embed(_texts, _vectors.AsSpan(0, size), parent._columns.Prompt);
            ForwardCounter.Add(rows);
        }

        public override Delegate Getter(int added) => new SlotGetter<VBuffer<float>>((int slot, ref VBuffer<float> value) =>
        {
            VBufferEditor<float> editor = VBufferEditor.Create(ref value, Width);
            _vectors.AsSpan(slot * Width, Width).CopyTo(editor.Values);
            value = editor.Commit();
        });
    }
}
