using System.Reflection;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>
/// A row over a snapshot, as the row inside a prediction engine: it is set to one input after another and its position grows by one each time.
/// It notes which columns somebody asked a getter of.
/// </summary>
public sealed class HeldRow(ViewSnapshot data, IEnumerable<DataViewSchema.Column> active) : DataViewRow
{
    private readonly HashSet<int> _active = [.. active.Select(c => c.Index)];
    private long _position = -1;
    private int _row;

    /// <summary>Indices of the columns that getters were asked of.</summary>
    public HashSet<int> Asked { get; } = [];

    /// <inheritdoc/>
    public override DataViewSchema Schema => data.Schema;

    /// <inheritdoc/>
    public override long Position => _position;

    /// <inheritdoc/>
    public override long Batch => 0;

    /// <summary>Puts a row of the snapshot here.</summary>
    public void Set(int row)
    {
        _row = row;
        _position++;
    }

    /// <inheritdoc/>
    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId id) => id = data.Rows[_row].Id;

    /// <inheritdoc/>
    public override bool IsColumnActive(DataViewSchema.Column column) => _active.Contains(column.Index);

    /// <inheritdoc/>
    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        if (!IsColumnActive(column)) throw new InvalidOperationException($"Column '{column.Name}' is not active");
        if (typeof(TValue) != column.Type.RawType)
            throw new InvalidOperationException($"Column '{column.Name}' is of {column.Type.RawType}, not of {typeof(TValue)}");
        Asked.Add(column.Index);
        if (column.Type is not VectorDataViewType vector)
            return (ref TValue value) => value = ((Cell<TValue>)data[_row, column]).Values[0];
        return (ValueGetter<TValue>)typeof(HeldRow).GetMethod(nameof(VectorGetter), BindingFlags.NonPublic | BindingFlags.Instance)!
            .MakeGenericMethod(vector.ItemType.RawType).Invoke(this, [column])!;
    }

    private ValueGetter<VBuffer<T>> VectorGetter<T>(DataViewSchema.Column column) => (ref VBuffer<T> value) =>
    {
        ReadOnlySpan<T> source = ((Cell<T>)data[_row, column]).Values;
        VBufferEditor<T> editor = VBufferEditor.Create(ref value, source.Length);
        source.CopyTo(editor.Values);
        value = editor.Commit();
    };
}
