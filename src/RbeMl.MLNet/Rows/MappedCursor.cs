using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Rows;

/// <summary>
/// A cursor with added columns that is read row by row: of components that gain nothing by more, and where no added column is asked for.
/// </summary>
internal sealed class MappedCursor : DataViewRowCursor
{
    private readonly RowMapping _mapping;
    private readonly bool[] _active;
    private readonly DataViewRowCursor _input;
    private readonly RowBatch? _batch;
    private long _computed = -1;

    public MappedCursor(RowMapping mapping, DataViewRowCursor input, bool[] active)
    {
        (_mapping, _input, _active) = (mapping, input, active);
        if (active.AsSpan(mapping.Input.Count).Contains(true)) _batch = mapping.CreateBatch(input, 1);
    }

    public override DataViewSchema Schema => _mapping.Output;

    public override long Position => _input.Position;

    public override long Batch => _input.Batch;

    /// <summary>The cursor that suits a mapping and the columns asked for.</summary>
    public static DataViewRowCursor Create(RowMapping mapping, IDataView source, IEnumerable<DataViewSchema.Column> columns, Random? random)
    {
        DataViewSchema.Column[] asked = [.. columns];
        bool[] active = mapping.Active(asked);
        DataViewRowCursor input = source.GetRowCursor(mapping.Dependencies(asked), random);
        return mapping.BatchRows > 1 && active.AsSpan(mapping.Input.Count).Contains(true)
            ? new LookAheadCursor(mapping, input, active)
            : new MappedCursor(mapping, input, active);
    }

    public override bool MoveNext() => _input.MoveNext();

    public override ValueGetter<DataViewRowId> GetIdGetter() => _input.GetIdGetter();

    public override bool IsColumnActive(DataViewSchema.Column column) => column.Index < _active.Length && _active[column.Index];

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        => Getters.Create<TValue>(_mapping, column, _active, _batch, _input, Locate);

    protected override void Dispose(bool disposing)
    {
        if (disposing) _input.Dispose();
        base.Dispose(disposing);
    }

    private int Locate()
    {
        if (_input.Position < 0) throw new InvalidOperationException("The cursor is on no row. Call MoveNext first, and stop when it returns false.");
        if (_computed != _input.Position)
        {
            _computed = -1;
            _batch!.Read(0);
            _batch.Compute(1);
            _computed = _input.Position;
        }

        return 0;
    }
}
