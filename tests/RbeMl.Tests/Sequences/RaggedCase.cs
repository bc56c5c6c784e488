using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Tests.Sequences;

/// <summary>Models of every format and sequences of many lengths.</summary>
internal sealed class RaggedCase
{
    public const int Positions = 70, Vocabulary = 23;

    public static IReadOnlyDictionary<string, RbeFormat> Formats { get; } = new Dictionary<string, RbeFormat>
    {
        ["runs of 16"] = RbeFormat.Sparse(300),
        ["random places"] = RbeFormat.Sparse(300, SupportRule.Random(3)),
        ["everything"] = RbeFormat.Sparse(4096),
        ["4 bits"] = RbeFormat.Quantized(4),
        ["trellis"] = RbeFormat.Trellis(3),
        ["5 bits and delta"] = RbeFormat.Quantized(5) with { Delta = (SparseFormat)RbeFormat.Sparse(64) },
    };

    public static TransformerModel<float> Model(RbeFormat format, bool compressedTable = false, bool encoder = false)
    {
        TransformerConfig config = new() { Width = 64, Heads = 2, Layers = 2, Vocabulary = Vocabulary, MaxSequenceLength = Positions };
        if (encoder) config = config with { Order = BlockOrder.PostNorm, Causal = false };
        RbeOptions options = new() { Format = format }, start = new() { Format = RbeFormat.Sparse(300) };
        TransformerWeights weights = TransformerWeights.CreateRandom(config, start, 5, compressedTable ? start : null);
        DenseBlockWeights dense = DenseBlockWeights.Gpt2Initialization(config, 5);
        TransformerModel<float> model = new(weights with { Blocks = [.. weights.Blocks.Select(_ => BlockWeights.Compress(dense, config, options))] });
        Random random = new(6);

        // Away from the flat start, so that tokens and places differ.
        foreach (ParameterSlice slice in model.Parameters.Slices.Where(s => s.Kind != ParameterKind.Alpha))
        {
            Span<float> values = model.Parameters.Of(slice);
            for (int i = 0; i < values.Length; i++) values[i] = (values[i] * 4) + (0.1f * (random.NextSingle() - 0.5f));
        }

        return model;
    }

    /// <summary>Sequences of one token, of all positions, about chunk borders, and of random lengths.</summary>
    public static int[][] Sequences(int count, int seed = 1)
    {
        Random random = new(seed);
        int[] lengths = [1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, Positions];
        return [.. Enumerable.Range(0, count)
            .Select(i => Enumerable.Range(0, i < lengths.Length ? lengths[i] : random.Next(1, Positions + 1)).Select(_ => random.Next(Vocabulary)).ToArray())];
    }

    public static (int[] Tokens, int[] Lengths) Join(IEnumerable<int[]> sequences) => ([.. sequences.SelectMany(s => s)], [.. sequences.Select(s => s.Length)]);
}
