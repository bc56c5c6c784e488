using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Columns;

/// <summary>A column of one text a row.</summary>
internal static class TextColumn
{
    private const string Expected = "String";

    /// <summary>Finds the column of a promise.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is missing or of another type.</exception>
    public static void Find(SchemaShape schema, string name) => InputColumn.Find(
        schema, name, column => column.Kind == SchemaShape.Column.VectorKind.Scalar && !column.IsKey && column.ItemType is TextDataViewType, Expected);

    /// <summary>Finds the column of a schema.</summary>
    /// <inheritdoc cref="Find(SchemaShape, string)"/>
    public static DataViewSchema.Column Find(DataViewSchema schema, string name) =>
        InputColumn.Find(schema, name, type => type is TextDataViewType, Expected);

    /// <summary>What reads the text of the current row; a missing one is empty.</summary>
    public static Func<string> Reader(DataViewRow row, DataViewSchema.Column column)
    {
        ValueGetter<ReadOnlyMemory<char>> getter = row.GetGetter<ReadOnlyMemory<char>>(column);
        ReadOnlyMemory<char> value = default;
        return () =>
        {
            getter(ref value);
            return value.ToString();
        };
    }
}
