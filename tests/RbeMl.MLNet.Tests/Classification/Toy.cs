using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Codec;
using RbeMl.MLNet.Classification;

namespace RbeMl.MLNet.Tests.Classification;

/// <summary>Short texts whose class a word tells, and a model small enough to learn them in a moment.</summary>
internal static class Toy
{
    private static readonly string[] s_words = ["cat", "dog", "owl"];

    /// <summary>Texts of <paramref name="classes"/> classes in turn, every one told apart by its letters.</summary>
    public static Row[] Rows(int count = 24, int classes = 3) => [.. Enumerable.Range(0, count).Select(i => new Row
    {
        Text = $"{s_words[i % classes]} {s_words[i % classes]} {i / classes % 4}",
        Name = s_words[i % classes],
        Label = i % classes == 1,
    })];

    public static IDataView Binary(MLContext ml, int count = 24) => ml.Data.LoadFromEnumerable(Rows(count, 2));

    /// <summary>With a key label in the order cat, dog, owl.</summary>
    public static IDataView Multiclass(MLContext ml, params Row[] rows)
    {
        if (rows.Length == 0) rows = Rows();
        IDataView data = Drop(ml, "Label", ml.Data.LoadFromEnumerable(rows)), keys = ml.Data.LoadFromEnumerable(s_words.Select(w => new Row { Name = w }));
        return Drop(ml, "Name",
            ml.Transforms.Conversion.MapValueToKey("Label", "Name", keyData: Drop(ml, "Text", Drop(ml, "Label", keys))).Fit(data).Transform(data));
    }

    public static IDataView Drop(MLContext ml, string column, IDataView data) => ml.Transforms.DropColumns(column).Fit(data).Transform(data);

    /// <summary>Options of the small model, which any test may change.</summary>
    public static TextClassificationOptions Options(Action<TextClassificationOptions>? change = null)
    {
        TextClassificationOptions options = new()
        {
            Layers = 1,
            Heads = 2,
            Width = 32,
            VocabularySize = 256,
            Context = 16,
            Compression = new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(256) },
            Epochs = 8,
            BatchSize = 4,
            LearningRate = 1e-2,
            Seed = 3,
            Threads = 1,
        };
        change?.Invoke(options);
        return options;
    }

    public static TextClassificationTransformer Fit(MLContext ml, IDataView data, Action<TextClassificationOptions>? change = null) =>
        ml.Rbe.TextClassification(Options(change)).Fit(data);

    /// <summary>All scores, row by row.</summary>
    public static float[][] Scores(MLContext ml, ITransformer model, IDataView data)
    {
        IDataView view = model.Transform(data);
        return view.Schema["Score"].Type is VectorDataViewType ? [.. view.GetColumn<float[]>("Score")]
            : [.. view.GetColumn<float>("Score").Select(s => new[] { s })];
    }

    public static ITransformer Reload(ITransformer model, DataViewSchema schema, out MLContext fresh)
    {
        using MemoryStream zip = new();
        new MLContext(1).Model.Save(model, schema, zip);
        zip.Position = 0;
        fresh = new MLContext(2).UseRbe();
        return fresh.Model.Load(zip, out _);
    }

    internal sealed class Row
    {
        public string Text { get; set; } = "";

        public string Name { get; set; } = "";

        public bool Label { get; set; }
    }

    internal sealed class Prediction
    {
        public float[] Score { get; set; } = [];

        public string Name { get; set; } = "";
    }
}
