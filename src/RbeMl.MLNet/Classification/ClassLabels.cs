using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Columns;

namespace RbeMl.MLNet.Classification;

/// <summary>What the classes are: those of a label that is a Boolean or a key.</summary>
/// <param name="Count">Classes: 2, or the keys of the label's type, whether they were seen or not.</param>
/// <param name="IsBinary">Whether the label is a Boolean.</param>
/// <param name="Values">What the keys stand for; null when that is not known.</param>
internal sealed record ClassLabels(int Count, bool IsBinary, LabelValues? Values)
{
    private const string Expected = "Boolean or Key<UInt32> (MapValueToKey makes keys of texts and numbers)";
    private const int Most = 1 << 20;

    /// <summary>Finds the label of a promise; the count of its classes is not known yet.</summary>
    public static ClassLabels Find(SchemaShape schema, string name)
    {
        SchemaShape.Column column = InputColumn.Find(schema, name, Fits, Expected);
        return column.IsKey ? new ClassLabels(2, false, LabelValues.Example(column)) : new ClassLabels(2, true, null);
    }

    private static bool Fits(SchemaShape.Column column)
        => column.Kind == SchemaShape.Column.VectorKind.Scalar
            && (column.IsKey ? column.ItemType == NumberDataViewType.UInt32 : column.ItemType is BooleanDataViewType);

    /// <summary>Finds the label of a schema.</summary>
    public static (DataViewSchema.Column Column, ClassLabels Labels) Find(DataViewSchema schema, string name)
    {
        DataViewSchema.Column column =
            InputColumn.Find(schema, name, type => type is BooleanDataViewType || (type is KeyDataViewType key && key.RawType == typeof(uint)), Expected);
        if (column.Type is not KeyDataViewType key) return (column, new ClassLabels(2, true, null));
        if (key.Count is < 2 or > Most)
        {
            throw new ArgumentOutOfRangeException(
                "inputSchema", $"Schema mismatch for label column '{name}': expected Key<UInt32> of 2 to {Most} classes, got {key.Count}. Give the "
                    + $"column the classes there are, with MapValueToKey or [KeyType(n)].");
        }

        return (column, new ClassLabels((int)key.Count, false, LabelValues.Of(column, (int)key.Count)));
    }

    /// <summary>What reads a row's class: -1 for a missing one.</summary>
    public Func<int> Reader(DataViewRow row, DataViewSchema.Column column)
    {
        if (IsBinary)
        {
            ValueGetter<bool> boolean = row.GetGetter<bool>(column);
            return () =>
            {
                bool value = false;
                boolean(ref value);
                return value ? 1 : 0;
            };
        }

        ValueGetter<uint> key = row.GetGetter<uint>(column);
        return () =>
        {
            uint value = 0;
            key(ref value);
            return value <= (uint)Count ? (int)value - 1 : -1;
        };
    }

    /// <summary>A class in words.</summary>
    public string NameOf(int index) => IsBinary ? (index == 1).ToString() : Values?.Names[index] ?? FormattableString.Invariant($"{index + 1}");

    /// <summary>Whether these are the same classes in the same order.</summary>
    public bool Agree(ClassLabels other) =>
        Count == other.Count && IsBinary == other.IsBinary && (Values is null || other.Values is null || Values.Names.SequenceEqual(other.Values.Names));

    /// <summary>The classes in words.</summary>
    public string Describe()
    {
        const int Few = 8;
        if (IsBinary) return "False, True";
        string names = string.Join(", ", Enumerable.Range(0, Math.Min(Count, Few)).Select(NameOf));
        return Count > Few ? FormattableString.Invariant($"{names} and {Count - Few} more") : names;
    }
}
