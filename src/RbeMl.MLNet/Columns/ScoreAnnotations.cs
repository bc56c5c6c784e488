using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Columns;

/// <summary>What ML.NET's evaluators look for on the columns of a score.</summary>
internal static class ScoreAnnotations
{
    private const string SetId = "ScoreColumnSetId", Kind = "ScoreColumnKind", Value = "ScoreValueKind";
    private static readonly KeyDataViewType SetIdType = new(typeof(uint), int.MaxValue);

    /// <summary>The annotations of a column.</summary>
    /// <param name="set">Number of the set of columns.</param>
    /// <param name="kind">The task.</param>
    /// <param name="value">What the column holds.</param>
    /// <param name="more">Adds others; null for none.</param>
    public static DataViewSchema.Annotations Of(uint set, string kind, string value, Action<DataViewSchema.Annotations.Builder>? more = null)
    {
        DataViewSchema.Annotations.Builder annotations = new();
        annotations.Add(SetId, SetIdType, (ref uint id) => id = set);
        annotations.AddPrimitiveValue(Kind, TextDataViewType.Instance, kind.AsMemory());
        annotations.AddPrimitiveValue(Value, TextDataViewType.Instance, value.AsMemory());
        more?.Invoke(annotations);
        return annotations.ToAnnotations();
    }

    /// <summary>A number of a set that no column of a schema has.</summary>
    public static uint NextSet(DataViewSchema schema)
    {
        uint most = 0;
        foreach (DataViewSchema.Column column in schema)
        {
            if (column.Annotations.Schema.GetColumnOrNull(SetId) is not { Type: KeyDataViewType key } || key.RawType != typeof(uint)) continue;
            uint id = 0;
            column.Annotations.GetValue(SetId, ref id);
            most = Math.Max(most, id);
        }

        return most + 1;
    }
}
