using System.Runtime.CompilerServices;
using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>The only non-public members of ML.NET that the citizenship test needs.</summary>
internal static class MlNetAccess
{
    /// <summary>The shape that ML.NET itself hands to <c>GetOutputSchema</c> for data of this schema.</summary>
    public static SchemaShape ShapeOf(DataViewSchema schema) => Create(null, schema);

    /// <summary>A column of a shape.</summary>
    [UnsafeAccessor(UnsafeAccessorKind.Constructor)]
    public static extern SchemaShape.Column NewColumn(
        string name, SchemaShape.Column.VectorKind kind, DataViewType itemType, bool isKey, SchemaShape? annotations);

    [UnsafeAccessor(UnsafeAccessorKind.StaticMethod, Name = "Create")]
    private static extern SchemaShape Create(SchemaShape? owner, DataViewSchema schema);
}
