using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>Any subset of the columns can be asked for, and only what was asked for can be read.</summary>
internal static class ActiveChecks
{
    /// <summary>No column; every single one; every pair, in both orders.</summary>
    public static void Subsets(WorkoutContext c)
    {
        IDataView view = c.View();
        DataViewSchema schema = view.Schema;
        c.ExpectRows(ViewSnapshot.Of(view, []).Rows, "no columns active");
        foreach (DataViewSchema.Column one in schema)
        {
            c.ExpectRows(ViewSnapshot.Of(view, [one]).Rows, $"only '{one.Name}' active");
            foreach (DataViewSchema.Column two in schema)
                if (one.Index != two.Index) Pair(c, view, one, two);
        }
    }

    /// <summary>A getter of a new column that wasn't asked for throws <see cref="InvalidOperationException"/>, in cursors and in mapped rows.</summary>
    public static void Inactive(WorkoutContext c)
    {
        DataViewSchema schema = c.View().Schema;
        foreach (DataViewSchema.Column asked in schema)
        {
            using DataViewRowCursor cursor = c.View().GetRowCursor([asked]);
            c.Expect(cursor.MoveNext(), "there are no rows");
            Refused(cursor, asked);
        }

        using (DataViewRowCursor cursor = c.View().GetRowCursor([])) Refused(cursor, null);
        if (!c.Transformer.IsRowToRowMapper) return;
        using DataViewRow row = c.Mapper().GetRow(new HeldRow(c.Input, c.Valid.Schema), []);
        Refused(row, null);

        void Refused(DataViewRow row, DataViewSchema.Column? asked)
        {
            foreach (DataViewSchema.Column column in row.Schema)
            {
                bool isAsked = column.Index == asked?.Index;
                if (isAsked) c.Expect(row.IsColumnActive(column), "asked for, but not active", column.Name);
                if (isAsked || c.IsPassedOn(column)) continue;
                c.Expect(!row.IsColumnActive(column), "active, but not asked for", column.Name);
                c.ExpectThrows<InvalidOperationException>(
                    () => Probe.Getter(row, column, column.Type.RawType), "getter of an inactive column", column.Name);
            }
        }
    }

    /// <summary>A getter of another type than the column's throws <see cref="InvalidOperationException"/>, in cursors and in mapped rows.</summary>
    public static void WrongType(WorkoutContext c)
    {
        Type[] types = [typeof(float), typeof(double), typeof(VBuffer<float>), typeof(VBuffer<double>), typeof(ReadOnlyMemory<char>), typeof(string)];
        IDataView view = c.View();
        using (DataViewRowCursor cursor = view.GetRowCursor(view.Schema)) Refused(cursor);
        if (!c.Transformer.IsRowToRowMapper) return;
        IRowToRowMapper mapper = c.Mapper();
        using DataViewRow row = mapper.GetRow(new HeldRow(c.Input, c.Valid.Schema), mapper.OutputSchema);
        Refused(row);

        void Refused(DataViewRow row)
        {
            foreach (DataViewSchema.Column column in c.Added(row.Schema))
                foreach (Type type in types.Where(t => t != column.Type.RawType))
                    c.ExpectThrows<InvalidOperationException>(() => Probe.Getter(row, column, type), $"getter of {type} for {column.Type}", column.Name);
        }
    }

    private static void Pair(WorkoutContext c, IDataView view, DataViewSchema.Column one, DataViewSchema.Column two)
    {
        using DataViewRowCursor cursor = view.GetRowCursor([one, two]);
        Probe first = Probe.Of(cursor, one), second = Probe.Of(cursor, two);
        string how = $"only '{one.Name}' and '{two.Name}' active";
        for (int r = 0; r < c.Options.PairRows && cursor.MoveNext(); r++)
        {
            c.ExpectCell(r, one, first.Read(), how);
            c.ExpectCell(r, two, second.Read(), how);
        }
    }
}
