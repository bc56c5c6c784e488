using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Interop;

namespace RbeMl.MLNet.Columns;

/// <summary>A column that a component adds.</summary>
/// <param name="Name">Its name; a column of that name that was there before is hidden.</param>
/// <param name="Type">Its type.</param>
/// <param name="Annotations">What is known of it; null for nothing.</param>
internal sealed record AddedColumn(string Name, DataViewType Type, DataViewSchema.Annotations? Annotations = null)
{
    /// <summary>The promise an estimator makes of it.</summary>
    public SchemaShape.Column ToShape()
    {
        (SchemaShape.Column.VectorKind kind, DataViewType item) = Type is VectorDataViewType vector
            ? (vector.IsKnownSize ? SchemaShape.Column.VectorKind.Vector : SchemaShape.Column.VectorKind.VariableVector, vector.ItemType)
            : (SchemaShape.Column.VectorKind.Scalar, Type);
        bool isKey = item is KeyDataViewType;
        DataViewType raw = isKey ? Primitive(item.RawType) : item;
        SchemaShape? annotations = Annotations is { Schema.Count: > 0 }
            ? new SchemaShape(Annotations.Schema.Select(c => new AddedColumn(c.Name, c.Type).ToShape())) : null;
        return MlNetInternals.Column(Name, kind, raw, isKey, annotations);
    }

    private static DataViewType Primitive(Type raw) => raw == typeof(uint) ? NumberDataViewType.UInt32
        : raw == typeof(ulong) ? NumberDataViewType.UInt64
        : raw == typeof(ushort) ? NumberDataViewType.UInt16
        : NumberDataViewType.Byte;
}
