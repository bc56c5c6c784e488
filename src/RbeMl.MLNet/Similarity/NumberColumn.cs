using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Columns;

namespace RbeMl.MLNet.Similarity;

/// <summary>A column of one number a row, of any type of numbers, or a Boolean.</summary>
internal static class NumberColumn
{
    private const string Expected = "Single, or another number, or Boolean";

    /// <summary>Finds the column of a promise.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It is missing or of another type.</exception>
    public static void Find(SchemaShape schema, string name) => InputColumn.Find(
        schema, name, column => column.Kind == SchemaShape.Column.VectorKind.Scalar && !column.IsKey && Fits(column.ItemType), Expected);

    /// <summary>Finds the column of a schema.</summary>
    /// <inheritdoc cref="Find(SchemaShape, string)"/>
    public static DataViewSchema.Column Find(DataViewSchema schema, string name) => InputColumn.Find(schema, name, Fits, Expected);

    /// <summary>What reads the number of the current row.</summary>
    public static Func<double> Reader(DataViewRow row, DataViewSchema.Column column)
    {
        Type raw = column.Type.RawType;
        return raw == typeof(float) ? Read<float>(v => v)
            : raw == typeof(double) ? Read<double>(v => v)
            : raw == typeof(bool) ? Read<bool>(v => v ? 1 : 0)
            : raw == typeof(int) ? Read<int>(v => v)
            : raw == typeof(uint) ? Read<uint>(v => v)
            : raw == typeof(long) ? Read<long>(v => v)
            : raw == typeof(ulong) ? Read<ulong>(v => v)
            : raw == typeof(short) ? Read<short>(v => v)
            : raw == typeof(ushort) ? Read<ushort>(v => v)
            : raw == typeof(sbyte) ? Read<sbyte>(v => v)
            : Read<byte>(v => v);

        Func<double> Read<T>(Func<T, double> number)
        {
            ValueGetter<T> getter = row.GetGetter<T>(column);
            return () =>
            {
                T value = default!;
                getter(ref value);
                return number(value);
            };
        }
    }

    private static bool Fits(DataViewType type) => type is NumberDataViewType or BooleanDataViewType;
}
