using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.MLNet.Columns;

namespace RbeMl.MLNet.Classification;

/// <summary>Names of the columns that a classifier adds.</summary>
internal sealed record ClassColumnNames(string PredictedLabel, string Score, string Probability);

/// <summary>
/// The columns that a classifier adds, as ML.NET's own do: of a key label PredictedLabel (the same key) and Score (a probability a class); of a Boolean
/// label PredictedLabel, Score (log odds) and Probability.
/// </summary>
internal static class ClassColumns
{
    private const string SetId = "ScoreColumnSetId", Kind = "ScoreColumnKind", Value = "ScoreValueKind";
    private static readonly KeyDataViewType SetIdType = new(typeof(uint), int.MaxValue);

    /// <summary>The columns.</summary>
    /// <param name="names">Their names.</param>
    /// <param name="labels">The classes.</param>
    /// <param name="set">Number of the set of columns, above those of other components.</param>
    public static AddedColumn[] Of(ClassColumnNames names, ClassLabels labels, uint set) => labels.IsBinary
        ?
        [
            new(names.PredictedLabel, BooleanDataViewType.Instance, Annotate(set, labels, "PredictedLabel")),
            new(names.Score, NumberDataViewType.Single, Annotate(set, labels, "Score")),
            new(names.Probability, NumberDataViewType.Single,
                Annotate(set, labels, "Probability", a => a.AddPrimitiveValue("IsNormalized", BooleanDataViewType.Instance, true))),
        ]
        :
        [
            new(names.PredictedLabel, new KeyDataViewType(typeof(uint), labels.Count),
                Annotate(set, labels, "PredictedLabel", a => labels.Values?.AddTo(a, LabelValues.Annotation))),
            new(names.Score, new VectorDataViewType(NumberDataViewType.Single, labels.Count), Annotate(set, labels, "Score", a =>
            {
                if (labels.Values is null) return;
                AddSlotNames(a, labels.Values.Names);
                labels.Values.AddTo(a, "TrainingLabelValues");
            })),
        ];

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

    private static DataViewSchema.Annotations Annotate(uint set, ClassLabels labels, string value, Action<DataViewSchema.Annotations.Builder>? more = null)
    {
        DataViewSchema.Annotations.Builder annotations = new();
        annotations.Add(SetId, SetIdType, (ref uint id) => id = set);
        annotations.AddPrimitiveValue(Kind, TextDataViewType.Instance, (labels.IsBinary ? "BinaryClassification" : "MulticlassClassification").AsMemory());
        annotations.AddPrimitiveValue(Value, TextDataViewType.Instance, value.AsMemory());
        more?.Invoke(annotations);
        return annotations.ToAnnotations();
    }

    private static void AddSlotNames(DataViewSchema.Annotations.Builder annotations, IReadOnlyList<string> names)
        => annotations.Add("SlotNames", new VectorDataViewType(TextDataViewType.Instance, names.Count), (ref VBuffer<ReadOnlyMemory<char>> value) =>
        {
            VBufferEditor<ReadOnlyMemory<char>> editor = VBufferEditor.Create(ref value, names.Count);
            for (int i = 0; i < names.Count; i++) editor.Values[i] = names[i].AsMemory();
            value = editor.Commit();
        });
}
