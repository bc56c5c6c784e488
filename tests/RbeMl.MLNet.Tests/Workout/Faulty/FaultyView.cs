using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The lazy view of a <see cref="FaultyTransformer"/>.</summary>
internal sealed class FaultyView(IDataView inner, FaultyTransformer parent, DataViewSchema schema) : IDataView
{
    private Fault Fault => parent.Fault;

    public bool CanShuffle => inner.CanShuffle;

    public DataViewSchema Schema => schema;

    public long? GetRowCount() => inner.GetRowCount() + (Fault == Fault.WrongRowCount ? 1 : 0);

    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        Cursor([.. columnsNeeded.Select(c => c.Index)], rand);

    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null)
    {
        HashSet<int> active = [.. columnsNeeded.Select(c => c.Index)];
        return Fault switch
        {
            Fault.SetGivesRowsTwice => [Cursor(active, rand), Cursor(active, rand)],
            Fault.SetSharesBatch => [Cursor(active, rand, part: 0), Cursor(active, rand, part: 1)],
            _ => [Cursor(active, rand)],
        };
    }

    private FaultyCursor Cursor(HashSet<int> active, Random? random, int? part = null)
    {
        if (Fault == Fault.ShuffleDependsOnColumns && random is not null) random = new Random(active.Count);
        parent.Moves = 0;
        return new FaultyCursor(inner.GetRowCursor(inner.Schema, random), parent, schema, active, part);
    }
}

/// <summary>The row mapper of a <see cref="FaultyTransformer"/>.</summary>
internal sealed class FaultyMapper(IRowToRowMapper inner, FaultyTransformer parent, DataViewSchema schema) : IRowToRowMapper
{
    public DataViewSchema InputSchema => inner.InputSchema;

    public DataViewSchema OutputSchema => schema;

    public IEnumerable<DataViewSchema.Column> GetDependencies(IEnumerable<DataViewSchema.Column> dependingColumns)
    {
        if (parent.Fault == Fault.DependsOnNothing) return [];
        if (parent.Fault == Fault.DependsOnAll) return InputSchema;
        return inner.GetDependencies(dependingColumns.Select(c => inner.OutputSchema[c.Index]));
    }

    public DataViewRow GetRow(DataViewRow input, IEnumerable<DataViewSchema.Column> activeColumns)
    {
        HashSet<int> active = [.. activeColumns.Select(c => c.Index)];
        bool isNewAsked = active.Any(i => i >= InputSchema.Count);
        IEnumerable<DataViewSchema.Column> needed = inner.OutputSchema.Where(
            c => active.Contains(c.Index) || (isNewAsked && c.Index >= InputSchema.Count));
        DataViewSchema own = parent.Fault == Fault.RowSchemaIsCopy ? Copy() : schema;
        return new FaultyRow(inner.GetRow(input, needed), parent, own, active);
    }

    private DataViewSchema Copy()
    {
        var builder = new DataViewSchema.Builder();
        builder.AddColumns(schema);
        return builder.ToSchema();
    }
}
