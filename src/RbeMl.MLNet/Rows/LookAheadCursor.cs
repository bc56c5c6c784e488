using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Rows;

/// <summary>
/// A cursor with added columns that reads rows ahead, passed-on columns included, and computes them together when an added column of one of them is asked for.
/// The source is read once, by one cursor, so any source will do. The look-ahead grows from one row to the whole batch: a look at the first rows stays cheap.
/// </summary>
internal sealed class LookAheadCursor : DataViewRowCursor
{
    private readonly RowMapping _mapping;
    private readonly DataViewRowCursor _input;
    private readonly bool[] _active;
    private readonly RowBatch _batch;
    private readonly PassedColumn?[] _passed;
    private readonly ValueGetter<DataViewRowId> _idGetter;
    private readonly DataViewRowId[] _ids;
    private readonly long[] _batches;
    private int _size = 1;
    private int _count;
    private int _slot;
    private long _row = -1;
    private bool _computed;

    public LookAheadCursor(RowMapping mapping, DataViewRowCursor input, bool[] active)
    {
        (_mapping, _input, _active) = (mapping, input, active);
        int rows = mapping.BatchRows;
        _batch = mapping.CreateBatch(input, rows);
        _passed = [.. mapping.Input.Select(c => active[c.Index] ? PassedColumn.Create(input, c, rows) : null)];
        _idGetter = input.GetIdGetter();
        (_ids, _batches) = (new DataViewRowId[rows], new long[rows]);
    }

    public override DataViewSchema Schema => _mapping.Output;

    public override long Position => Math.Max(_row, -1);

    public override long Batch => _row < 0 ? 0 : _batches[_slot];

    public override bool MoveNext()
    {
        if (_row < -1) return false;
        if (++_slot >= _count) Fill();
        _row = _count == 0 ? -2 : _row + 1;
        return _count > 0;
    }

    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = _ids[OnRow()];

    public override bool IsColumnActive(DataViewSchema.Column column) => column.Index < _active.Length && _active[column.Index];

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        Getters.RequireActive(column, _active);
        int added = _mapping.AddedIndex(column);
        SlotGetter<TValue> getter = (added < 0 ? _passed[column.Index]!.Getter : _batch.Getter(added)) as SlotGetter<TValue>
            ?? throw Getters.WrongType<TValue>(_mapping.Output[column.Index]);
        return added < 0
            ? (ref TValue value) => getter(OnRow(), ref value)
            : (ref TValue value) => getter(Computed(), ref value);
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing) _input.Dispose();
        base.Dispose(disposing);
    }

    private void Fill()
    {
        (_slot, _count, _computed) = (0, 0, false);
        while (_count < _size && _input.MoveNext())
        {
            _idGetter(ref _ids[_count]);
            _batches[_count] = _input.Batch;
            foreach (PassedColumn? column in _passed) column?.Read(_count);
            _batch.Read(_count++);
        }

        _size = Math.Min(_size * 2, _ids.Length);
    }

    private int OnRow() => _row >= 0 ? _slot : throw Getters.OnNoRow();

    private int Computed()
    {
        int slot = OnRow();
        if (!_computed)
        {
            _batch.Compute(_count);
            _computed = true;
        }

        return slot;
    }
}
