using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The forward pass runs when an output is asked for, and once a row.</summary>
internal static class ForwardChecks
{
    /// <summary>Nothing is computed by <c>Transform</c>, by schemas, by cursors and by rows that ask none of the new columns.</summary>
    public static void Unasked(WorkoutContext c)
    {
        long before = Count(c);
        DataViewSchema.Column[] passedOn = [.. c.View().Schema.Where(c.IsPassedOn)];
        Expect("Transform");
        c.Transformer.GetOutputSchema(c.Valid.Schema);
        Expect("GetOutputSchema");
        ViewSnapshot.Of(c.View(), []);
        Expect("a cursor of no columns");
        ViewSnapshot.Of(c.View(), passedOn);
        Expect("a cursor of the input's columns");
        if (c.Transformer.IsRowToRowMapper)
        {
            var input = new HeldRow(c.Input, c.Valid.Schema);
            using DataViewRow row = c.Mapper().GetRow(input, passedOn);
            input.Set(0);
            RowSnapshot.Of(row);
            Expect("a row of the input's columns");
        }

        c.View().GetRowCursor(c.View().Schema).Dispose();
        Expect("a cursor that never moved");
        ViewSnapshot.Of(c.View());
        c.Expect(Count(c) > before, "ForwardCount didn't change when the new columns were read: it counts nothing");

        void Expect(string what) => c.Expect(Count(c) == before, $"{what} ran {Count(c) - before} forward passes");
    }

    /// <summary>Reading all new columns, each twice, costs no more than reading the dearest of them alone.</summary>
    public static void Once(WorkoutContext c)
    {
        IDataView view = c.View();
        DataViewSchema.Column[] added = c.Added(view.Schema);
        long dearest = added.Max(column => Cost([column], times: 1));
        long all = Cost(added, times: 2);
        c.Expect(all <= dearest, $"all new columns, each read twice, took {all} forward passes; one of them alone takes {dearest}");

        long Cost(DataViewSchema.Column[] columns, int times)
        {
            long before = Count(c);
            using DataViewRowCursor cursor = view.GetRowCursor(columns);
            Probe[] probes = [.. columns.Select(column => Probe.Of(cursor, column))];
            while (cursor.MoveNext())
                for (int t = 0; t < times; t++)
                    foreach (Probe probe in probes) probe.Read();
            return Count(c) - before;
        }
    }

    private static long Count(WorkoutContext c) =>
        c.Options.ForwardCount?.Invoke() ?? throw new CheckSkippedException("no ForwardCount given");
}
