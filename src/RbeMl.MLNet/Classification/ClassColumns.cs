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

    private static DataViewSchema.Annotations Annotate(uint set, ClassLabels labels, string value, Action<DataViewSchema.Annotations.Builder>? more = null)
        => ScoreAnnotations.Of(set, labels.IsBinary ? "BinaryClassification" : "MulticlassClassification", value, more);

    private static void AddSlotNames(DataViewSchema.Annotations.Builder annotations, IReadOnlyList<string> names)
        => annotations.Add("SlotNames", new VectorDataViewType(TextDataViewType.Instance, names.Count), (ref VBuffer<ReadOnlyMemory<char>> value) =>
        {
            VBufferEditor<ReadOnlyMemory<char>> editor = VBufferEditor.Create(ref value, names.Count);
            for (int i = 0; i < names.Count; i++) editor.Values[i] = names[i].AsMemory();
            value = editor.Commit();
        });
}
