using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>A cursor of a <see cref="FaultyTransformer"/>; of every second row only if a part is given.</summary>
internal sealed class FaultyCursor(DataViewRowCursor inner, FaultyTransformer parent, DataViewSchema schema, HashSet<int> active, int? part)
    : DataViewRowCursor
{
    private readonly FaultyGetters _getters = new(inner, parent, schema, active, isMapped: false);
    private bool _isAtEnd;

    public override DataViewSchema Schema => schema;

    public override long Position => parent.Fault == Fault.PositionStuck ? Math.Min(0, inner.Position) : inner.Position;

    public override long Batch => parent.Fault == Fault.BatchDecreases ? 1000 - inner.Position : inner.Batch;

    public override bool MoveNext()
    {
        if (parent.Fault == Fault.MovesPastEnd && _isAtEnd) return true;
        parent.Moves++;
        bool isMoved = inner.MoveNext();
        while (isMoved && part is { } p && inner.Position % 2 != p) isMoved = inner.MoveNext();
        if (isMoved && parent.Fault == Fault.ComputesWhenInactive) FaultyEstimator.Forwards++;
        if (parent.Fault == Fault.LosesRowsUnlessAsked && active.Count == 0 && inner.Position > 3) isMoved = false;
        _isAtEnd = !isMoved;
        return isMoved;
    }

    public override ValueGetter<DataViewRowId> GetIdGetter() =>
        parent.Fault == Fault.IdsRepeat ? (ref DataViewRowId id) => id = new DataViewRowId(7, 0) : inner.GetIdGetter();

    public override bool IsColumnActive(DataViewSchema.Column column) => _getters.IsActive(column);

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column) => _getters.Get<TValue>(column);
}

/// <summary>A mapped row of a <see cref="FaultyTransformer"/>.</summary>
internal sealed class FaultyRow(DataViewRow inner, FaultyTransformer parent, DataViewSchema schema, HashSet<int> active) : DataViewRow
{
    private readonly FaultyGetters _getters = new(inner, parent, schema, active, isMapped: true);

    public override DataViewSchema Schema => schema;

    public override long Position => inner.Position;

    public override long Batch => inner.Batch;

    public override ValueGetter<DataViewRowId> GetIdGetter() => inner.GetIdGetter();

    public override bool IsColumnActive(DataViewSchema.Column column) => _getters.IsActive(column);

    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column) => _getters.Get<TValue>(column);
}
