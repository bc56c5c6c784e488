using Microsoft.ML;
using Microsoft.ML.Data;

namespace RbeMl.MLNet.Tests.Workout;

/// <summary>Small data with columns of the usual kinds.</summary>
internal static class Samples
{
    private static readonly string[] s_words = ["red", "green", "blue", "green sea", "the red sea is blue", ""];

    /// <summary>Rows enough to meet every getter pattern, few enough to be quick.</summary>
    public static IDataView View(MLContext ml, int rows = 20)
    {
        var random = new Random(11);
        Sample[] samples = [.. Enumerable.Range(0, rows).Select(i => new Sample
        {
            Size = i + random.NextSingle(),
            X = [random.NextSingle(), -i, 0],
            Text = $"{s_words[i % s_words.Length]} {s_words[i * i % s_words.Length]}",
            Word = s_words[i % 3],
        })];
        return ml.Data.LoadFromEnumerable(samples);
    }

    internal sealed class Sample
    {
        public float Size { get; set; }

        [VectorType(3)]
        public float[] X { get; set; } = [];

        public string Text { get; set; } = "";

        public string Word { get; set; } = "";
    }
}
