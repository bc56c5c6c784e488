using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>Cursors don't disturb each other, and all of them see the same rows.</summary>
internal static class CursorChecks
{
    private const int SetSize = 4;

    /// <summary>Two cursors of one view, moved by turns.</summary>
    public static void Lockstep(WorkoutContext c) => ByTurns(c, [1, 1]);

    /// <summary>Three cursors of one view, each faster than the one before; then the slow ones go on alone.</summary>
    public static void Interleaved(WorkoutContext c) => ByTurns(c, [1, 2, 5]);

    /// <summary>The cursors of a set, moved by turns, give every row of the serial cursor once; no batch belongs to two of them.</summary>
    public static void Set(WorkoutContext c)
    {
        IDataView view = c.View();
        DataViewRowCursor[] cursors = view.GetRowCursorSet(view.Schema, SetSize);
        c.Expect(cursors.Length is > 0 and <= SetSize, $"{SetSize} cursors were asked for, got {cursors.Length}");
        var byId = new Dictionary<DataViewRowId, RowSnapshot>();
        var owners = new Dictionary<long, int>();
        for (bool moved = true; moved;)
        {
            moved = false;
            for (int i = 0; i < cursors.Length; i++)
            {
                if (!cursors[i].MoveNext()) continue;
                moved = true;
                RowSnapshot row = RowSnapshot.Of(cursors[i]);
                c.Expect(byId.TryAdd(row.Id, row), $"two cursors of a set gave the row of id {row.Id}");
                owners.TryAdd(cursors[i].Batch, i);
                c.Expect(owners[cursors[i].Batch] == i, $"batch {cursors[i].Batch} belongs to two cursors of a set");
            }
        }

        foreach (DataViewRowCursor cursor in cursors) cursor.Dispose();
        ExpectById(c, c.Serial.Rows, byId, "cursor set");
    }

    /// <summary>The view's row count is null or right; a cursor that ended stays at its end.</summary>
    public static void RowCount(WorkoutContext c)
    {
        long? count = c.View().GetRowCount();
        c.Expect(count is null || count == c.Serial.Rows.Count, $"GetRowCount says {count}, a cursor gave {c.Serial.Rows.Count} rows");
        using DataViewRowCursor cursor = c.View().GetRowCursor(c.View().Schema);
        int rows = 0;
        while (cursor.MoveNext()) rows++;
        c.Expect(rows == c.Serial.Rows.Count, $"a cursor that asks nothing gave {rows} rows instead of {c.Serial.Rows.Count}");
        c.Expect(!cursor.MoveNext(), "a cursor moved on after its end");
    }

    /// <summary>Positions are -1 before the first row, then 0, 1, 2...; batches never decrease.</summary>
    public static void PositionAndBatch(WorkoutContext c)
    {
        IDataView view = c.View();
        foreach (Random? random in new Random?[] { null, new(3) })
        {
            using DataViewRowCursor cursor = view.GetRowCursor(view.Schema, random);
            c.Expect(cursor.Position == -1, $"a cursor that hasn't moved is at position {cursor.Position} instead of -1");
            long batch = 0;
            for (long row = 0; cursor.MoveNext(); row++, batch = cursor.Batch)
            {
                c.Expect(cursor.Position == row, $"row {row} has position {cursor.Position}");
                c.Expect(cursor.Batch >= batch, $"row {row} has batch {cursor.Batch} after batch {batch}");
            }
        }
    }

    /// <summary>No two rows have one id, and a second cursor gives the same ids.</summary>
    public static void Ids(WorkoutContext c)
    {
        c.Expect(c.Serial.Rows.Select(r => r.Id).Distinct().Count() == c.Serial.Rows.Count, "two rows have the same id");
        IReadOnlyList<RowSnapshot> again = ViewSnapshot.Of(c.View(), []).Rows;
        c.Expect(again.Select(r => r.Id).SequenceEqual(c.Serial.Rows.Select(r => r.Id)), "a cursor of no columns gives other ids");
    }

    /// <summary>
    /// A shuffled cursor gives the same values for each id, and the same order for the same seed whatever columns are asked: a component behind this
    /// one may read some columns ahead of the others. Data that can't be shuffled is cached first.
    /// </summary>
    public static void Shuffled(WorkoutContext c)
    {
        IDataView source = c.Valid.CanShuffle ? c.Valid : c.Ml.Data.Cache(c.Valid);
        IDataView view = c.Transformer.Transform(source);
        c.Expect(view.CanShuffle, "the data can be shuffled, the transformed data can't");
        IReadOnlyList<RowSnapshot> serial = ViewSnapshot.Of(view).Rows, rows = ViewSnapshot.Of(view, null, new Random(5)).Rows;
        for (int r = 0; r < serial.Count; r++)
            foreach (DataViewSchema.Column column in view.Schema) c.ExpectCell(r, column, serial[r].Cells[column.Index]!, "before the shuffle");
        c.Expect(!rows.Select(r => r.Id).SequenceEqual(serial.Select(r => r.Id)), $"a shuffled cursor left the order of {rows.Count} rows as it was");
        c.Expect(rows.Count == serial.Count, $"a shuffled cursor gave {rows.Count} rows instead of {serial.Count}");
        ExpectById(c, serial, rows.DistinctBy(r => r.Id).ToDictionary(r => r.Id), "shuffled");
        DataViewSchema.Column[][] subsets =
            [[], c.Added(view.Schema), [.. view.Schema.Where(c.IsPassedOn)], .. view.Schema.Select(column => new[] { column })];
        foreach (DataViewSchema.Column[] subset in subsets)
        {
            IReadOnlyList<RowSnapshot> again = ViewSnapshot.Of(view, subset, new Random(5)).Rows;
            string names = string.Join(", ", subset.Select(column => column.Name));
            c.Expect(rows.Select(r => r.Id).SequenceEqual(again.Select(r => r.Id)),
                $"shuffled with one seed, {{{names}}} come in another order than all columns");
            ExpectById(c, serial, again.ToDictionary(r => r.Id), $"shuffled, only {{{names}}} active");
        }
    }

    private static void ByTurns(WorkoutContext c, int[] speeds)
    {
        IDataView view = c.View();
        DataViewRowCursor[] cursors = [.. speeds.Select(_ => view.GetRowCursor(view.Schema))];
        List<RowSnapshot>[] rows = [.. speeds.Select(_ => new List<RowSnapshot>())];
        for (bool moved = true; moved;)
        {
            moved = false;
            for (int i = 0; i < cursors.Length; i++)
            {
                for (int step = 0; step < speeds[i] && cursors[i].MoveNext(); step++)
                {
                    moved = true;
                    rows[i].Add(RowSnapshot.Of(cursors[i]));
                }
            }
        }

        for (int i = 0; i < cursors.Length; i++)
        {
            cursors[i].Dispose();
            c.ExpectRows(rows[i], $"cursor {i + 1} of {cursors.Length}");
        }
    }

    private static void ExpectById(
        WorkoutContext c, IReadOnlyList<RowSnapshot> serial, Dictionary<DataViewRowId, RowSnapshot> rows, string how)
    {
        c.Expect(rows.Count == serial.Count, $"{how}: {rows.Count} rows instead of {serial.Count}");
        for (int r = 0; r < serial.Count; r++)
        {
            c.Expect(rows.TryGetValue(serial[r].Id, out RowSnapshot? row), $"{how}: no row has the id {serial[r].Id}");
            foreach (DataViewSchema.Column column in c.Serial.Schema)
                if (row!.Cells[column.Index] is { } cell) c.ExpectSame(serial[r].Cells[column.Index]!, cell, $"row {r}, {how}", column.Name);
        }
    }
}
