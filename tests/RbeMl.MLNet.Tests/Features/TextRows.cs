using Microsoft.ML;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Text;

namespace RbeMl.MLNet.Tests.Features;

/// <summary>Texts of many lengths, an empty and a missing one among them, and a small model for their bytes.</summary>
internal static class TextRows
{
    public const int Context = 24;

    public static readonly string?[] Texts =
    [
        "red", "a green sea", "", "the red sea is blue and long enough to be cut off", "é", null, "blue", "x", "green sea", "a red rose", "sea",
            "so it is, and so it was",
    ];

    public static ModelBundle Bundle(ITokenizer? tokenizer = null)
    {
        TransformerConfig config = new() { Width = 32, Heads = 2, Layers = 2, Vocabulary = 256, MaxSequenceLength = Context };
        return new ModelBundle(TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(128) }, 3), tokenizer
            ?? new ByteTokenizer());
    }

    public static IDataView View(MLContext ml) => ml.Data.LoadFromEnumerable(Texts.Select((text, i) => new Row { Id = i, Label = i % 2 == 0, Text = text! }));

    /// <summary>What the model makes of one text alone; NaN for none.</summary>
    public static float[] Expected(ModelBundle bundle, string? text, FeatureOptions? options = null, Func<int[], int[]>? cut = null)
    {
        float[] row = new float[bundle.Model.Config.Width];
        int[] ids = bundle.Tokenizer!.Encode(text ?? "");
        ids = cut?.Invoke(ids) ?? ids[..Math.Min(ids.Length, Context)];
        Array.Fill(row, float.NaN);
        if (ids.Length == 0) return row;
        using Workspace<float> workspace = new(1);
        bundle.Model.Features(ids, [ids.Length], options ?? new FeatureOptions(), workspace, row);
        return row;
    }

    internal sealed class Row
    {
        public int Id { get; set; }

        public bool Label { get; set; }

        public string Text { get; set; } = "";
    }
}
