using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Interop;

namespace RbeMl.MLNet.Columns;

/// <summary>Finds and checks the columns a component reads, with ML.NET's words.</summary>
internal static class InputColumn
{
    /// <summary>Finds a column of a promise.</summary>
    /// <param name="schema">The promise.</param>
    /// <param name="name">The column.</param>
    /// <param name="fits">Whether its type will do.</param>
    /// <param name="expected">The types that will do, for the message.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is missing or of another type.</exception>
    public static SchemaShape.Column Find(SchemaShape schema, string name, Func<SchemaShape.Column, bool> fits, string expected)
    {
        ArgumentNullException.ThrowIfNull(schema);
        SchemaShape.Column column = schema.FirstOrDefault(c => c.Name == name);
        if (column.Name is null) throw Missing("inputSchema", name);
        return fits(column) ? column : throw Mismatch("inputSchema", name, expected, Describe(column));
    }

    /// <summary>Finds a column of a schema.</summary>
    /// <inheritdoc cref="Find(SchemaShape, string, Func{SchemaShape.Column, bool}, string)"/>
    public static DataViewSchema.Column Find(DataViewSchema schema, string name, Func<DataViewType, bool> fits, string expected)
    {
        ArgumentNullException.ThrowIfNull(schema);
        DataViewSchema.Column column = schema.GetColumnOrNull(name) ?? throw Missing("inputSchema", name);
        return fits(column.Type) ? column : throw Mismatch("inputSchema", name, expected, Describe(column.Type));
    }

    /// <summary>The promise that a schema's rows keep.</summary>
    public static SchemaShape Shape(DataViewSchema schema) => MlNetInternals.Shape(schema);

    /// <summary>A promise with columns added; one of the same name is replaced.</summary>
    public static SchemaShape Add(SchemaShape schema, params IEnumerable<AddedColumn> added)
    {
        Dictionary<string, SchemaShape.Column> columns = schema.ToDictionary(c => c.Name);
        foreach (AddedColumn column in added) columns[column.Name] = column.ToShape();
        return new SchemaShape(columns.Values);
    }

    private static ArgumentOutOfRangeException Missing(string parameter, string name) => new(parameter, $"Could not find input column '{name}'");

    private static ArgumentOutOfRangeException Mismatch(string parameter, string name, string expected, string actual)
    {
        string mend = (Vector(expected), Vector(actual)) switch
        {
            ("Vector", "VarVector") => " Give the column its size: [VectorType(n)] on the property that is loaded, or SchemaDefinition.",
            ("VarVector", "Vector") =>
                " The column has one size for all rows: leave VariableLength off, or load the property without the number in [VectorType(n)].",
            _ => "",
        };
        return new(parameter, $"Schema mismatch for input column '{name}': expected {expected}, got {actual}.{mend}");
    }

    // The kind of vector that a text begins with.
    private static string Vector(string type) => type[..Math.Max(0, type.IndexOf('<', StringComparison.Ordinal))];

    // ML.NET's own text is the same for vectors of unknown size and of a size left out.
    private static string Describe(DataViewType type) => type is VectorDataViewType { IsKnownSize: false } vector
        ? $"VarVector<{vector.ItemType}>" : type.ToString()!;

    private static string Describe(SchemaShape.Column column)
    {
        string item = column.IsKey ? $"Key<{column.ItemType}>" : column.ItemType.ToString()!;
        return column.Kind switch
        {
            SchemaShape.Column.VectorKind.Vector => $"Vector<{item}>",
            SchemaShape.Column.VectorKind.VariableVector => $"VarVector<{item}>",
            _ => item,
        };
    }
}
