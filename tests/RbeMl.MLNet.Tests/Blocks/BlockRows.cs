using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.MLNet.Tests.Blocks;

/// <summary>Rows of activations of 5 tokens of width 32, and a small block for them.</summary>
internal static class BlockRows
{
    public const int Width = 32, Tokens = 5, Size = Width * Tokens;

    public static readonly TransformerConfig Config =
        new() { Width = Width, FeedForwardWidth = 64, Heads = 2, Layers = 1, Vocabulary = 1, MaxSequenceLength = 8 };

    public static readonly DenseBlockWeights Dense = DenseBlockWeights.Gpt2Initialization(Config, 3);

    public static readonly BlockWeights Weights = BlockWeights.Compress(Dense, Config, new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(5) });

    public static float[] Activations(int row, int tokens = Tokens)
    {
        Random random = new(row);
        return [.. Enumerable.Range(0, tokens * Width).Select(_ => (random.NextSingle() * 4) - 2)];
    }

    public static IDataView Fixed(MLContext ml, int rows = 12) => ml.Data.LoadFromEnumerable(Enumerable.Range(0, rows).Select(i => new FixedRow
    {
        Id = i,
        X = Activations(i),
        Mask = [.. Enumerable.Range(0, Tokens).Select(t => t <= i % Tokens)],
    }));

    public static IDataView Variable(MLContext ml, int rows = 12) => ml.Data.LoadFromEnumerable(Enumerable.Range(0, rows).Select(i => new VariableRow
    {
        Id = i,
        X = Activations(i, i % 7),
        Mask = [.. Enumerable.Range(0, i % 7).Select(t => t == 3 ? 0f : 1f)],
    }));

    /// <summary>What the block makes of one row alone.</summary>
    public static float[] Expected(float[] x, byte[]? mask = null)
    {
        if (x.Length == 0) return [];
        using RbeTransformerBlock<float> block = new(Config, Weights);
        using Workspace<float> workspace = new(1);
        return block.Forward(x, 1, x.Length / Width, new ForwardOptions<float> { PaddingMask = mask }, null, workspace).Output;
    }

    public static float[][] Column(IDataView view, string name) => [.. view.GetColumn<float[]>(name)];

    internal sealed class FixedRow
    {
        public int Id { get; set; }

        [VectorType(Size)]
        public float[] X { get; set; } = [];

        [VectorType(Tokens)]
        public bool[] Mask { get; set; } = [];
    }

    internal sealed class VariableRow
    {
        public int Id { get; set; }

        public float[] X { get; set; } = [];

        public float[] Mask { get; set; } = [];
    }
}
