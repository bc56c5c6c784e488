using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Rows;

/// <summary>A row with added columns, computed when one is asked for and once a position.</summary>
internal sealed class MappedRow : DataViewRow
{
    private readonly RowMapping _mapping;
    private readonly DataViewRow _input;
    private readonly bool[] _active;
    private readonly RowBatch? _batch;
    private long _computed = -1;

    public MappedRow(RowMapping mapping, DataViewRow input, bool[] active)
    {
        (_mapping, _input, _active) = (mapping, input, active);
        if (active.AsSpan(mapping.Input.Count).Contains(true)) _batch = mapping.CreateBatch(input, 1);
    }

    public override DataViewSchema Schema => _mapping.Output;

    public override long Position => _input.Position;

    public override long Batch => _input.Batch;

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
        if (_input.Position < 0) throw Getters.OnNoRow();
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

/// <summary>The getters of rows and cursors.</summary>
internal static class Getters
{
    /// <summary>A getter of a passed-on or added column.</summary>
    /// <param name="mapping">The mapping.</param>
    /// <param name="column">The column of its output.</param>
    /// <param name="active">The columns asked for.</param>
    /// <param name="batch">What computes; null when no added column is active.</param>
    /// <param name="input">The row the other columns come from.</param>
    /// <param name="locate">Sees to it that the current row is computed, and tells its slot.</param>
    /// <exception cref="InvalidOperationException">The column is inactive, or of another type.</exception>
    public static ValueGetter<T> Create<T>(RowMapping mapping, DataViewSchema.Column column, bool[] active, RowBatch? batch, DataViewRow input,
        Func<int> locate)
    {
        RequireActive(column, active);
        int added = mapping.AddedIndex(column);
        if (added < 0)
        {
            DataViewSchema.Column passed = mapping.Input[column.Index];
            return typeof(T) == passed.Type.RawType ? input.GetGetter<T>(passed) : throw WrongType<T>(passed);
        }

        SlotGetter<T> getter = batch!.Getter(added) as SlotGetter<T> ?? throw WrongType<T>(mapping.Output[column.Index]);
        return (ref T value) => getter(locate(), ref value);
    }

    /// <summary>Refuses a column that was not asked for.</summary>
    public static void RequireActive(DataViewSchema.Column column, bool[] active)
    {
        if (column.Index >= active.Length || !active[column.Index])
        {
            throw new InvalidOperationException($"Column '{column.Name}' is not active. Ask for it when the cursor is made.");
        }
    }

    /// <summary>The error of a getter before the first row or behind the last.</summary>
    public static InvalidOperationException OnNoRow() => new("The cursor is on no row. Call MoveNext first, and stop when it returns false.");

    /// <summary>The error of a getter of another type.</summary>
    public static InvalidOperationException WrongType<T>(DataViewSchema.Column column) =>
        new($"Column '{column.Name}' is of type {column.Type}, whose values are {column.Type.RawType}, not {typeof(T)}.");
}
