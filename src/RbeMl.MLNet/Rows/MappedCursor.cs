using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Rows;

/// <summary>
/// A cursor with added columns. Two cursors run over the source: one gives the passed-on columns at the row, the other reads our inputs ahead, so that
/// many rows are computed together. Nothing is read ahead before an added column is asked for. The look-ahead grows from one row to the whole batch, so
/// that a look at the first rows stays cheap. With a batch of one row there is one cursor.
/// </summary>
internal sealed class MappedCursor : DataViewRowCursor
{
    private readonly RowMapping _mapping;
    private readonly bool[] _active;
    private readonly DataViewRowCursor _input;
    private readonly DataViewRowCursor? _ahead;
    private readonly RowBatch? _batch;
    private readonly DataViewRowId[] _ids = [];
    private readonly ValueGetter<DataViewRowId>? _inputId;
    private readonly ValueGetter<DataViewRowId>? _aheadId;
    private long _row = -1;
    private long _start;
    private long _read;
    private int _count;
    private int _next = 1;

    public MappedCursor(RowMapping mapping, IDataView source, IEnumerable<DataViewSchema.Column> columns, Random? random)
    {
        _mapping = mapping;
        DataViewSchema.Column[] asked = [.. columns];
        _active = mapping.Active(asked);
        IEnumerable<DataViewSchema.Column> passed = asked.Where(c => mapping.AddedIndex(c) < 0).Select(c => mapping.Input[c.Index]);

        // One seed, drawn alike whatever is asked: the order of the rows must not depend on the columns.
        int? seed = random?.Next();
        if (!asked.Any(c => mapping.AddedIndex(c) >= 0))
        {
            _input = source.GetRowCursor(passed, Shuffle());
            return;
        }

        if (mapping.BatchRows == 1)
        {
            _input = source.GetRowCursor(mapping.Dependencies(asked), Shuffle());
            _batch = mapping.CreateBatch(_input, 1);
            return;
        }

        _input = source.GetRowCursor(passed, Shuffle());
        _ahead = source.GetRowCursor(mapping.Sources, Shuffle());
        _inputId = _input.GetIdGetter();
        _aheadId = _ahead.GetIdGetter();
        _ids = new DataViewRowId[mapping.BatchRows];
        _batch = mapping.CreateBatch(_ahead, mapping.BatchRows);

        Random? Shuffle() => seed is { } s ? new Random(s) : null;
    }

    public override DataViewSchema Schema => _mapping.Output;

    public override long Position => _input.Position;

    public override long Batch => _input.Batch;

    public override bool MoveNext()
    {
        _row++;
        return _input.MoveNext();
    }

    public override ValueGetter<DataViewRowId> GetIdGetter() => _input.GetIdGetter();

    public override bool IsColumnActive(DataViewSchema.Column column) => column.Index < _active.Length && _active[column.Index];

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        => Getters.Create<TValue>(_mapping, column, _active, _batch, _input, Locate);

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _ahead?.Dispose();
            _input.Dispose();
        }

        base.Dispose(disposing);
    }

    private int Locate()
    {
        if (_input.Position < 0) throw new InvalidOperationException("The cursor is on no row. Call MoveNext first, and stop when it returns false.");
        if (_ahead is null) return Single();
        if (_row >= _start + _count) Fill();
        int slot = (int)(_row - _start);
        DataViewRowId id = default;
        _inputId!(ref id);
        return slot >= 0 && slot < _count && id.Equals(_ids[slot])
            ? slot
            : throw new InvalidOperationException("The data gave its rows in another order when read a second time. Put AppendCacheCheckpoint before this component, or set its batch size to 1.");
    }

    private int Single()
    {
        if (_count == 0 || _start != _row)
        {
            _count = 0;
            _batch!.Read(0);
            _batch.Compute(1);
            (_start, _count) = (_row, 1);
        }

        return 0;
    }

    private void Fill()
    {
        _count = 0;
        bool more = true;
        while (_read < _row && (more = _ahead!.MoveNext())) _read++;
        _start = _read;
        int rows = Math.Min(_next, _ids.Length), count = 0;
        for (; more && count < rows && (more = _ahead!.MoveNext()); count++, _read++)
        {
            _aheadId!(ref _ids[count]);
            _batch!.Read(count);
        }

        if (count > 0) _batch!.Compute(count);
        _count = count;
        _next = Math.Min(_next * 2, _ids.Length);
    }
}
