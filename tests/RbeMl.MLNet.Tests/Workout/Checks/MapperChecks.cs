using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The row mapper, which is what a prediction engine uses, agrees with the cursors.</summary>
internal static class MapperChecks
{
    /// <summary>Rows over a cursor, and rows over held inputs in the engine's manner: each column alone, and all together.</summary>
    public static void Rows(WorkoutContext c)
    {
        IRowToRowMapper mapper = c.Mapper();
        foreach (DataViewSchema.Column[] asked in mapper.OutputSchema.Select(s => new[] { s }).Append([.. mapper.OutputSchema]))
        {
            using DataViewRowCursor cursor = c.Valid.GetRowCursor(mapper.GetDependencies(asked));
            using DataViewRow row = mapper.GetRow(cursor, asked);
            var held = new HeldRow(c.Input, mapper.GetDependencies(asked));
            using DataViewRow heldRow = mapper.GetRow(held, asked);
            Probe[] probes = [.. asked.Select(s => Probe.Of(row, s))], heldProbes = [.. asked.Select(s => Probe.Of(heldRow, s))];
            for (int r = 0; cursor.MoveNext(); r++)
            {
                held.Set(r);
                c.Expect(row.Position == cursor.Position && heldRow.Position == held.Position, "a mapped row has another position than its input");
                for (int i = 0; i < asked.Length; i++)
                {
                    c.ExpectCell(r, asked[i], probes[i].Read(Litter.LastCall), "mapped from a cursor");
                    c.ExpectCell(r, asked[i], heldProbes[i].Read(Litter.LastCall), "mapped from a held row");
                }
            }
        }
    }

    /// <summary>The mapper's schemas are the very instances of its rows and of its input; ids are the input's.</summary>
    public static void Schema(WorkoutContext c)
    {
        IRowToRowMapper mapper = c.Mapper();
        c.Expect(ReferenceEquals(mapper.InputSchema, c.Valid.Schema), "InputSchema is not the schema that the mapper was asked for");
        c.Expect(ReferenceEquals(mapper.OutputSchema, mapper.OutputSchema), "OutputSchema is another instance each time");
        SchemaChecks.CompareSchemas(c, c.View().Schema, mapper.OutputSchema, "Transform against the mapper");
        var held = new HeldRow(c.Input, c.Valid.Schema);
        using DataViewRow row = mapper.GetRow(held, mapper.OutputSchema);
        c.Expect(ReferenceEquals(row.Schema, mapper.OutputSchema), "a row's schema is not the mapper's OutputSchema");
        held.Set(0);
        DataViewRowId id = default;
        row.GetIdGetter()(ref id);
        c.Expect(id.Equals(c.Input.Rows[0].Id), $"the input's id {c.Input.Rows[0].Id} became {id}");
        foreach (DataViewSchema.Column column in mapper.OutputSchema)
            c.Expect(row.IsColumnActive(column), "asked for, but not active in a mapped row", column.Name);
    }

    /// <summary>Of a column passed on: that column. Of a new one: exactly the columns that its getter asks of the input row. Of none: none.</summary>
    public static void Dependencies(WorkoutContext c)
    {
        IRowToRowMapper mapper = c.Mapper();
        c.Expect(!mapper.GetDependencies([]).Any(), "no columns have dependencies");
        foreach (DataViewSchema.Column column in mapper.OutputSchema)
        {
            DataViewSchema.Column[] needed = [.. mapper.GetDependencies([column])];
            bool isItself = needed.Length == 1 && needed[0].Index == column.Index;
            if (c.IsPassedOn(column)) c.Expect(isItself, $"passed on, yet needs {Names(needed)}", column.Name);
            var held = new HeldRow(c.Input, needed);
            using DataViewRow row = mapper.GetRow(held, [column]);
            Probe probe = Probe.Of(row, column);
            held.Set(0);
            c.ExpectCell(0, column, probe.Read(), "with only its dependencies active");
            DataViewSchema.Column[] unused = [.. needed.Where(n => !held.Asked.Contains(n.Index))];
            c.Expect(unused.Length == 0, $"claims to need {Names(unused)}, which it never reads", column.Name);
        }

        static string Names(DataViewSchema.Column[] columns) => "{" + string.Join(", ", columns.Select(n => n.Name)) + "}";
    }
}
