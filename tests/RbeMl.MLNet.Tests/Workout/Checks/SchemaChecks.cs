using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>What the estimator promises is what the transformer delivers.</summary>
internal static class SchemaChecks
{
    /// <summary>
    /// Names, vector kinds, item types, keys and annotations agree, both ways; <c>GetOutputSchema</c> and <c>Transform</c> agree;
    /// and the input's columns keep their places.
    /// </summary>
    public static void Promise(WorkoutContext c)
    {
        SchemaShape promised = c.Estimator.GetOutputSchema(MlNetAccess.ShapeOf(c.Valid.Schema));
        DataViewSchema delivered = c.Transformer.GetOutputSchema(c.Valid.Schema);
        CompareShapes(c, promised, MlNetAccess.ShapeOf(delivered), "");
        CompareSchemas(c, delivered, c.View().Schema, "GetOutputSchema against Transform");
        foreach (DataViewSchema.Column column in c.Valid.Schema)
        {
            c.Expect(column.Index < delivered.Count && delivered[column.Index].Name == column.Name, "left its place in the output", column.Name);
            if (c.IsPassedOn(delivered[column.Index])) CompareAnnotations(c, column, delivered[column.Index], "input against output");
        }
    }

    /// <summary>Every annotation can be read, twice alike, and changing what was read doesn't change the next reading.</summary>
    public static void Annotations(WorkoutContext c)
    {
        foreach (DataViewSchema.Column column in c.View().Schema)
        {
            foreach (DataViewSchema.Column annotation in column.Annotations.Schema)
            {
                Probe probe = Probe.Of(column.Annotations, annotation);
                Cell first = probe.Read();
                if (!c.IsPassedOn(column)) probe.Garble();
                c.ExpectSame(first, Probe.Of(column.Annotations, annotation).Read(), $"annotation {annotation.Name} read again", column.Name);
                if (annotation.Type is VectorDataViewType { IsKnownSize: true } vector)
                    c.Expect(first.Length == vector.Size, $"annotation {annotation.Name} of {vector} has {first.Length} slots", column.Name);
            }
        }

        if (c.Comparisons == 0) throw new CheckSkippedException("no annotations");
    }

    /// <summary>Two schemas have the same columns, hidden ones included, of the same types and annotations.</summary>
    public static void CompareSchemas(WorkoutContext c, DataViewSchema expected, DataViewSchema actual, string how)
    {
        c.Expect(expected.Count == actual.Count, $"{how}: expected columns {Names(expected)}, got {Names(actual)}");
        for (int i = 0; i < expected.Count; i++) CompareColumns(c, expected[i], actual[i], how);
    }

    /// <summary>Two columns have the same name, type, hiding and annotations.</summary>
    public static void CompareColumns(WorkoutContext c, DataViewSchema.Column expected, DataViewSchema.Column actual, string how)
    {
        c.Expect(expected.Name == actual.Name, $"{how}: it is now named '{actual.Name}'", expected.Name);
        c.Expect(expected.IsHidden == actual.IsHidden, $"{how}: hidden {expected.IsHidden} became {actual.IsHidden}", expected.Name);
        c.Expect(expected.Type.Equals(actual.Type), $"{how}: expected {expected.Type}, got {actual.Type}", expected.Name);
        CompareAnnotations(c, expected, actual, how);
    }

    private static void CompareAnnotations(WorkoutContext c, DataViewSchema.Column expected, DataViewSchema.Column actual, string how)
    {
        DataViewSchema left = expected.Annotations.Schema, right = actual.Annotations.Schema;
        c.Expect(left.Select(a => a.Name).Order().SequenceEqual(right.Select(a => a.Name).Order()),
            $"{how}: expected annotations {Names(left)}, got {Names(right)}", expected.Name);
        foreach (DataViewSchema.Column annotation in left)
        {
            DataViewSchema.Column other = right[annotation.Name];
            c.Expect(annotation.Type.Equals(other.Type),
                $"{how}: annotation {annotation.Name}: expected {annotation.Type}, got {other.Type}", expected.Name);
            c.ExpectSame(Probe.Of(expected.Annotations, annotation).Read(), Probe.Of(actual.Annotations, other).Read(),
                $"{how}: annotation {annotation.Name}", expected.Name);
        }
    }

    private static void CompareShapes(WorkoutContext c, SchemaShape promised, SchemaShape delivered, string within)
    {
        var left = promised.ToDictionary(s => s.Name);
        var right = delivered.ToDictionary(s => s.Name);
        foreach (string name in left.Keys.Union(right.Keys))
        {
            c.Expect(right.ContainsKey(name), $"{within}promised, but not delivered", name);
            c.Expect(left.ContainsKey(name), $"{within}delivered, but not promised", name);
            SchemaShape.Column p = left[name], d = right[name];
            c.Expect(p.Kind == d.Kind && p.ItemType.Equals(d.ItemType) && p.IsKey == d.IsKey,
                $"{within}promised {Text(p)}, delivered {Text(d)}", name);
            CompareShapes(c, p.Annotations, d.Annotations, $"{within}annotation of '{name}': ");
        }
    }

    private static string Text(SchemaShape.Column s) => $"{s.Kind} of {s.ItemType}{(s.IsKey ? " key" : "")}";

    private static string Names(DataViewSchema schema) => "{" + string.Join(", ", schema.Select(s => s.Name)) + "}";
}
