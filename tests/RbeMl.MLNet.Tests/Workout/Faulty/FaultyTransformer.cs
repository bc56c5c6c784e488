using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>Wraps ML.NET's transformer in schemas, views and rows of its own.</summary>
internal sealed class FaultyTransformer(ITransformer inner, ITransformer other, Fault fault) : ITransformer, IDisposable
{
    private int _saves;

    public Fault Fault { get; } = fault;

    public bool IsDisposed { get; private set; }

    /// <summary>Rows that cursors moved to since the last one began.</summary>
    public int Moves { get; set; }

    /// <summary>Results by position.</summary>
    public Dictionary<long, (float[] First, float[] Second)> ByPosition { get; } = [];

    /// <summary>Scratch of all rows.</summary>
    public float[] Shared { get; } = new float[3];

    /// <summary>What is kept of every row.</summary>
    public List<object> Kept { get; } = [];

    bool ITransformer.IsRowToRowMapper => true;

    public DataViewSchema GetOutputSchema(DataViewSchema inputSchema) =>
        Schema(inputSchema, inner.GetOutputSchema(inputSchema), isPlain: Fault == Fault.SchemasDiffer);

    public IDataView Transform(IDataView input)
    {
        if (Fault == Fault.ComputesInTransform) FaultyEstimator.Forwards++;
        IDataView view = inner.Transform(input);
        return new FaultyView(view, this, Schema(input.Schema, view.Schema));
    }

    public IRowToRowMapper GetRowToRowMapper(DataViewSchema inputSchema)
    {
        IRowToRowMapper mapper = inner.GetRowToRowMapper(inputSchema);
        return new FaultyMapper(mapper, this, Schema(inputSchema, mapper.OutputSchema));
    }

    void ICanSaveModel.Save(ModelSaveContext ctx)
    {
        if (Fault == Fault.SavesNothing) throw new NotSupportedException("it can't be saved");
        bool isOther = Fault == Fault.SavesOther || (Fault == Fault.SavesByTurns && _saves++ % 2 == 1);
        (isOther ? other : inner).Save(ctx);
    }

    public void Dispose() => IsDisposed = Fault == Fault.DisposeBreaks;

    private DataViewSchema Schema(DataViewSchema input, DataViewSchema output, bool isPlain = false)
    {
        var builder = new DataViewSchema.Builder();
        builder.AddColumns(input);
        foreach (DataViewSchema.Column column in output.Skip(input.Count))
        {
            var annotations = new DataViewSchema.Annotations.Builder();
            if (!isPlain) annotations.Add(column.Annotations, _ => true);
            ReadOnlyMemory<char>[] names = [.. (Fault == Fault.AnnotationIsShort ? "ab" : "abc").Select(letter => letter.ToString().AsMemory())];
            if (Fault is Fault.AnnotationIsShared or Fault.AnnotationIsShort)
                annotations.Add("SlotNames", new VectorDataViewType(TextDataViewType.Instance, 3),
                    (ref VBuffer<ReadOnlyMemory<char>> value) => value = new VBuffer<ReadOnlyMemory<char>>(names.Length, names));
            builder.AddColumn(column.Name, column.Type, annotations.ToAnnotations());
        }

        return builder.ToSchema();
    }
}
