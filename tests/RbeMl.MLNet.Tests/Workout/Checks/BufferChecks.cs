using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>A destination belongs to the caller: whatever it holds before, and whatever is done to it afterwards.</summary>
internal static class BufferChecks
{
    /// <summary>The value is right whatever the destination held: another row, more or fewer slots, a sparse vector.</summary>
    public static void Destination(WorkoutContext c) => Each(c, (row, column, probe, _) =>
    {
        foreach (Litter litter in Enum.GetValues<Litter>())
            c.ExpectCell(row, column, probe.Read(litter), $"destination was {litter}");
        c.ExpectCell(row, column, probe.Read(Litter.LastCall), "destination was the same row's");
    });

    /// <summary>
    /// What was handed out stays as it is when the cursor moves on, and overwriting it changes nothing for the next call, the next row
    /// and the next cursor.
    /// </summary>
    public static void Private(WorkoutContext c)
    {
        Each(c, (row, column, first, second) =>
        {
            first.Read();
            second.Read();
            second.Garble();
            c.ExpectCell(row, column, first.Held(), "buffer held while another one was overwritten");
            c.ExpectCell(row, column, second.Read(), "read again after the first buffer was overwritten");
        });
        Each(c, (row, column, first, second) =>
        {
            Probe held = row % 2 == 0 ? first : second, other = row % 2 == 0 ? second : first;
            held.Read();
            if (row > 0) c.ExpectCell(row - 1, column, other.Held(), "buffer held while the cursor moved on");
        });
        Each(c, (row, column, first, _) => c.ExpectCell(row, column, first.Read(), "new cursor after earlier buffers were overwritten"));
    }

    // Only the new columns: what a source or a cache does with the input's is not the component's doing.
    private static void Each(WorkoutContext c, Action<int, DataViewSchema.Column, Probe, Probe> visit)
    {
        IDataView view = c.View();
        foreach (DataViewSchema.Column column in c.Added(view.Schema))
        {
            using DataViewRowCursor cursor = view.GetRowCursor([column]);
            Probe first = Probe.Of(cursor, column), second = Probe.Of(cursor, column);
            for (int row = 0; cursor.MoveNext(); row++) visit(row, column, first, second);
        }
    }
}
