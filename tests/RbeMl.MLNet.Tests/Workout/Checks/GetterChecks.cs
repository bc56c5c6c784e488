using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>A getter's value depends on the row alone: not on which getters were called before, how often, or in what order.</summary>
internal static class GetterChecks
{
    /// <summary>Each getter twice on a row, and a second getter of the same column too.</summary>
    public static void Twice(WorkoutContext c) => Each(c, (row, column, first, second) =>
    {
        c.ExpectCell(row, column, first.Read(), "first call");
        c.ExpectCell(row, column, first.Read(), "second call");
        c.ExpectCell(row, column, second.Read(), "call of a second getter");
    });

    /// <summary>Getters called on some rows only; each pattern of rows with each column alone.</summary>
    public static void Skipped(WorkoutContext c)
    {
        Func<int, int, bool>[] patterns = [(row, _) => row % 3 == 1, (row, _) => row >= 2, (row, column) => (row + column) % 2 == 0];
        foreach (Func<int, int, bool> isAsked in patterns)
            Each(c, (row, column, first, _) =>
            {
                if (isAsked(row, column.Index)) c.ExpectCell(row, column, first.Read(), "after rows where it wasn't called");
            });
    }

    /// <summary>All columns active, called backwards, and from another one first on every row.</summary>
    public static void Order(WorkoutContext c)
    {
        IDataView view = c.View();
        foreach (bool isRotated in new[] { false, true })
        {
            using DataViewRowCursor cursor = view.GetRowCursor(view.Schema);
            Probe[] probes = [.. view.Schema.Reverse().Select(column => Probe.Of(cursor, column)).Reverse()];
            for (int row = 0; cursor.MoveNext(); row++)
            {
                for (int i = 0; i < probes.Length; i++)
                {
                    int index = isRotated ? (i + row) % probes.Length : probes.Length - 1 - i;
                    c.ExpectCell(row, view.Schema[index], probes[index].Read(), isRotated ? "in a rotated order" : "in backward order");
                }
            }
        }
    }

    private static void Each(WorkoutContext c, Action<int, DataViewSchema.Column, Probe, Probe> visit)
    {
        IDataView view = c.View();
        foreach (DataViewSchema.Column[] columns in view.Schema.Select(column => new[] { column }).Append([.. view.Schema]))
        {
            using DataViewRowCursor cursor = view.GetRowCursor(columns);
            (Probe First, Probe Second)[] probes = [.. columns.Select(column => (Probe.Of(cursor, column), Probe.Of(cursor, column)))];
            for (int row = 0; cursor.MoveNext(); row++)
                for (int i = 0; i < columns.Length; i++) visit(row, columns[i], probes[i].First, probes[i].Second);
        }
    }
}
