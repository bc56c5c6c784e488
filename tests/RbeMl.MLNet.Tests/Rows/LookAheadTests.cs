using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Rows;
using RbeMl.MLNet.Tests.Features;
using RbeMl.Models;

namespace RbeMl.MLNet.Tests.Rows;

/// <summary>What is read ahead, when it is computed, and that the source is read once.</summary>
public sealed class LookAheadTests
{
    private readonly MLContext _ml = new(1);

    [Fact]
    public void BatchesGrowFromOneRowAndAreComputedWhenAskedFor()
    {
        Doubling mapping = new(View(20).Schema);
        MappedView view = new(mapping, View(20));
        using DataViewRowCursor cursor = view.GetRowCursor(view.Schema);
        ValueGetter<int> twice = cursor.GetGetter<int>(view.Schema["Twice"]), number = cursor.GetGetter<int>(view.Schema["Number"]);
        ValueGetter<DataViewRowId> id = cursor.GetIdGetter();
        int value = 0, rows = 0;
        DataViewRowId rowId = default;
        Assert.Equal(-1, cursor.Position);
        Assert.Throws<InvalidOperationException>(() => number(ref value));
        for (; cursor.MoveNext(); rows++)
        {
            Assert.Equal(rows, cursor.Position);
            id(ref rowId);
            Assert.Equal((ulong)rows, rowId.Low);
            number(ref value);
            Assert.Equal(rows, value);
            if (rows is >= 3 and < 7) continue; // the batch of four is never asked for
            twice(ref value);
            Assert.Equal(2 * rows, value);
        }

        Assert.Equal(20, rows);
        Assert.False(cursor.MoveNext());
        Assert.Equal(-1, cursor.Position);
        Assert.Throws<InvalidOperationException>(() => twice(ref value));
        Assert.Equal([1, 2, 8, 5], mapping.Computed);
    }

    [Fact]
    public void SourceThatCanBeReadOnlyOnceIsEnough()
    {
        using ModelBundle bundle = TextRows.Bundle();
        ITransformer model = _ml.Rbe.Featurize("Features", "Text", bundle).Fit(TextRows.View(_ml));
        Queue<TextRows.Row> queue = new(Enumerable.Range(0, 30).Select(i => new TextRows.Row { Id = i, Text = $"text {i}" }));
        IDataView data = model.Transform(_ml.Data.LoadFromEnumerable(Drain(queue)));
        Output[] rows = [.. _ml.Data.CreateEnumerable<Output>(data, reuseRowObject: false)];
        Assert.Equal(Enumerable.Range(0, 30), rows.Select(r => r.Id));
        Assert.All(rows, row => Assert.Equal(TextRows.Expected(bundle, $"text {row.Id}"), row.Features));

        static IEnumerable<TextRows.Row> Drain(Queue<TextRows.Row> queue)
        {
            while (queue.TryDequeue(out TextRows.Row? row)) yield return row;
        }
    }

    private IDataView View(int rows) => _ml.Data.LoadFromEnumerable(Enumerable.Range(0, rows).Select(i => new Row { Number = i }));

    private sealed class Doubling(DataViewSchema input) : RowMapping(input, [input["Number"]], [new AddedColumn("Twice", NumberDataViewType.Int32)])
    {
        public List<int> Computed { get; } = [];

        public override int BatchRows => 8;

        public override RowBatch CreateBatch(DataViewRow row, int rows) => new Batch(this, row, rows);
    }

    private sealed class Batch(Doubling mapping, DataViewRow row, int rows) : RowBatch
    {
        private readonly ValueGetter<int> _number = row.GetGetter<int>(mapping.Sources[0]);
        private readonly int[] _values = new int[rows];

        public override void Read(int slot) => _number(ref _values[slot]);

        public override void Compute(int rows)
        {
            mapping.Computed.Add(rows);
            for (int i = 0; i < rows; i++) _values[i] *= 2;
        }

        public override Delegate Getter(int added) => new SlotGetter<int>((int slot, ref int value) => value = _values[slot]);
    }

    private sealed class Row
    {
        public int Number { get; set; }
    }

    private sealed class Output
    {
        public int Id { get; set; }

        public float[] Features { get; set; } = [];
    }
}
