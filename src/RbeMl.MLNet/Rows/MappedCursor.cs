using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Rows;

/// <summary>
/// A cursor with added columns that is read row by row: of components that gain nothing by more, and where no added column is asked for.
/// </summary>
internal sealed class MappedCursor : DataViewRowCursor
{
    private readonly DataViewRowCursor _input;
    private readonly MappedRow _row;

    private MappedCursor(RowMapping mapping, DataViewRowCursor input, bool[] active) => (_input, _row) = (input, new MappedRow(mapping, input, active));

    public override DataViewSchema Schema => _row.Schema;

    public override long Position => _row.Position;

    public override long Batch => _row.Batch;

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

    public override ValueGetter<DataViewRowId> GetIdGetter() => _row.GetIdGetter();

    public override bool IsColumnActive(DataViewSchema.Column column) => _row.IsColumnActive(column);

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column) => _row.GetGetter<TValue>(column);

    protected override void Dispose(bool disposing)
    {
        if (disposing) _row.Dispose();
        base.Dispose(disposing);
    }
}
