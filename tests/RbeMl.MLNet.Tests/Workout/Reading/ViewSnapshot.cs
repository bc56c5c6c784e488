using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>One row: its id, and a cell for each column of the schema that was asked for (the others are null).</summary>
public sealed record RowSnapshot(DataViewRowId Id, Cell?[] Cells)
{
    /// <summary>Reads the row's active columns as they are now.</summary>
    public static RowSnapshot Of(DataViewRow row)
    {
        var cells = new Cell?[row.Schema.Count];
        foreach (DataViewSchema.Column column in row.Schema.Where(row.IsColumnActive)) cells[column.Index] = Probe.Of(row, column).Read();
        DataViewRowId id = default;
        row.GetIdGetter()(ref id);
        return new RowSnapshot(id, cells);
    }
}

/// <summary>Every value of a view, in the order of one cursor.</summary>
public sealed class ViewSnapshot
{
    private ViewSnapshot(DataViewSchema schema, List<RowSnapshot> rows)
    {
        Schema = schema;
        Rows = rows;
    }

    /// <summary>The view's schema.</summary>
    public DataViewSchema Schema { get; }

    /// <summary>The rows.</summary>
    public IReadOnlyList<RowSnapshot> Rows { get; }

    /// <summary>The cell of a row and a column.</summary>
    public Cell this[int row, DataViewSchema.Column column] =>
        Rows[row].Cells[column.Index] ?? throw new InvalidOperationException($"column '{column.Name}' was not read");

    /// <summary>Reads a view, all columns or the given ones, serially or shuffled.</summary>
    public static ViewSnapshot Of(IDataView view, IEnumerable<DataViewSchema.Column>? columns = null, Random? random = null)
    {
        using DataViewRowCursor cursor = view.GetRowCursor(columns ?? view.Schema, random);
        return new ViewSnapshot(view.Schema, Drain(cursor));
    }

    /// <summary>Reads what is left of a cursor.</summary>
    public static List<RowSnapshot> Drain(DataViewRowCursor cursor)
    {
        Probe?[] probes = [.. cursor.Schema.Select(c => cursor.IsColumnActive(c) ? Probe.Of(cursor, c) : null)];
        ValueGetter<DataViewRowId> getId = cursor.GetIdGetter();
        var rows = new List<RowSnapshot>();
        while (cursor.MoveNext())
        {
            DataViewRowId id = default;
            getId(ref id);
            rows.Add(new RowSnapshot(id, [.. probes.Select(p => p?.Read())]));
        }

        return rows;
    }
}
