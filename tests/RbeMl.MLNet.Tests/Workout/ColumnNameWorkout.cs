using Microsoft.ML;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>That a component means the columns it was told, not the ones of its defaults.</summary>
public static class ColumnNameWorkout
{
    /// <summary>A name that no default has, with a space and letters beyond ASCII.</summary>
    public static string Unusual(string name) => $"{name} été 字";

    /// <summary>
    /// Renames the columns, one at a time and all together, in the data and in the component, and expects the values of the default names.
    /// <paramref name="make"/> makes the estimator from a map of the default names to the names to use.
    /// </summary>
    public static void Check(
        MLContext ml, IDataView valid, string[] inputs, string[] outputs, Func<IReadOnlyDictionary<string, string>, IEstimator<ITransformer>> make)
    {
        string[] all = [.. inputs, .. outputs];
        var same = all.ToDictionary(n => n);
        ViewSnapshot expected = Fit(ml, valid, inputs, make, same);
        foreach (string[] renamed in all.Select(n => new[] { n }).Append(all))
        {
            var names = all.ToDictionary(n => n, n => renamed.Contains(n) ? Unusual(n) : n);
            Compare(expected, Fit(ml, valid, inputs, make, names), outputs, names);
        }
    }

    /// <summary>
    /// Gives one output the name of one input, where the component allows it: the output hides the input, and has the values of the default names.
    /// </summary>
    public static void CheckInPlace(
        MLContext ml, IDataView valid, string input, string output, Func<IReadOnlyDictionary<string, string>, IEstimator<ITransformer>> make)
    {
        ViewSnapshot expected = Fit(ml, valid, [input], make, new Dictionary<string, string> { [input] = input, [output] = output });
        var names = new Dictionary<string, string> { [input] = input, [output] = input };
        ViewSnapshot actual = Fit(ml, valid, [input], make, names);
        Assert.True(actual.Schema.Count(c => c.Name == input) >= 2, $"the output '{input}' doesn't hide the input of its name");
        Compare(expected, actual, [output], names);
    }

    private static ViewSnapshot Fit(
        MLContext ml, IDataView valid, string[] inputs, Func<IReadOnlyDictionary<string, string>, IEstimator<ITransformer>> make,
        IReadOnlyDictionary<string, string> names)
    {
        IDataView data = valid;
        foreach (string input in inputs.Where(i => names[i] != i))
        {
            data = ml.Transforms.CopyColumns(names[input], input).Fit(data).Transform(data);
            data = ml.Transforms.DropColumns(input).Fit(data).Transform(data);
        }

        return ViewSnapshot.Of(make(names).Fit(data).Transform(data));
    }

    private static void Compare(ViewSnapshot expected, ViewSnapshot actual, string[] outputs, IReadOnlyDictionary<string, string> names)
    {
        Assert.NotEmpty(expected.Rows);
        Assert.Equal(expected.Rows.Count, actual.Rows.Count);
        foreach (string output in outputs)
        {
            DataViewSchema.Column? column = actual.Schema.GetColumnOrNull(names[output]);
            Assert.True(column is not null, $"output '{output}' was named '{names[output]}', but there is no such column");
            Assert.Equal(expected.Schema[output].Type, column.Value.Type);
            for (int r = 0; r < expected.Rows.Count; r++)
                Assert.True(expected[r, expected.Schema[output]].Equals(actual[r, column.Value]),
                    $"output '{output}' named '{names[output]}', row {r}: expected {expected[r, expected.Schema[output]]}, got {actual[r, column.Value]}");
        }
    }
}
