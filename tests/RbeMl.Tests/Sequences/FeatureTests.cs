using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Sequences;

public class FeatureTests
{
    public static TheoryData<string, bool, bool> Cases
    {
        get
        {
            TheoryData<string, bool, bool> data = [];
            foreach (string name in RaggedCase.Formats.Keys)
            {
                data.Add(name, name == "4 bits", false);
                data.Add(name, name == "4 bits", true);
            }

            return data;
        }
    }

    /// <summary>No bit of a row may depend on what else is in the call, on its place, on the size of the passes or on the number of threads.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void A_row_is_the_same_alone_and_in_any_company(string format, bool compressedTable, bool encoder)
    {
        using TransformerModel<float> model = RaggedCase.Model(RaggedCase.Formats[format], compressedTable, encoder);
        using Workspace<float> workspace = new(1), other = new(3);
        int[][] sequences = RaggedCase.Sequences(40);
        int[] order = [.. Enumerable.Range(0, sequences.Length)];
        new Random(2).Shuffle(order);
        foreach (Pooling pooling in Enum.GetValues<Pooling>())
        {
            FeatureOptions options = new() { Pooling = pooling };
            float[] all = Run(model, sequences, options, workspace);
            float[] shuffled = Run(model, [.. order.Select(i => sequences[i])], options with { PassTokens = 200 }, other);
            for (int i = 0; i < order.Length; i++) AssertSameBits(Row(all, order[i]), Row(shuffled, i), $"{pooling}, sequence {order[i]} shuffled");
            for (int i = 0; i < sequences.Length; i++)
            {
                AssertSameBits(Row(all, i), Run(model, [sequences[i]], options, workspace), $"{pooling}, sequence {i} of {sequences[i].Length} tokens alone");
            }
        }
    }

    /// <summary>Each layer against the model's hidden states of the sequence alone, pooled in double: sums of up to 70 float terms, so 70 half ulps.</summary>
    [Theory]
    [InlineData(Pooling.Mean)]
    [InlineData(Pooling.Last)]
    [InlineData(Pooling.Max)]
    public void Layers_are_numbered_from_the_embedding_and_the_last_is_normalised(Pooling pooling)
    {
        using TransformerModel<float> model = RaggedCase.Model(RaggedCase.Formats["runs of 16"]);
        using Workspace<float> workspace = new(1);
        int[] sequence = RaggedCase.Sequences(12)[11];
        int length = sequence.Length, width = model.Config.Width;
        float[] x = new float[length * width];
        for (int t = 0; t < length; t++)
        {
            for (int f = 0; f < width; f++)
            {
                x[(t * width) + f] = model.Parameters.Of(model.Parameters.Find("embedding.tokens"))[(sequence[t] * width) + f]
                    + model.Parameters.Of(model.Parameters.Find("embedding.positions"))[(t * width) + f];
            }
        }

        Assert.InRange(Numbers.RelativeError(Pool(x, width, pooling),
            Run(model, [sequence], new FeatureOptions { Layer = 0, Pooling = pooling }, workspace)), 0, 70 * 6e-8);
        x = model.Blocks[0].Forward(x, 1, length, workspace: workspace).Output;
        Assert.InRange(Numbers.RelativeError(Pool(x, width, pooling),
            Run(model, [sequence], new FeatureOptions { Layer = 1, Pooling = pooling }, workspace)), 0, 1e-5);
        x = model.Blocks[1].Forward(x, 1, length, workspace: workspace).Output;
        ReadOnlySpan<float> gamma = model.Parameters.Of(model.Parameters.Find("final.gamma")), beta = model.Parameters.Of(model.Parameters.Find("final.beta"));
        for (int t = 0; t < length; t++)
        {
            double[] row = [.. x.Skip(t * width).Take(width).Select(v => (double)v)];
            double mean = row.Average(), deviation = Math.Sqrt(row.Sum(v => (v - mean) * (v - mean)) / width + 1e-5);
            for (int f = 0; f < width; f++) x[(t * width) + f] = (float)(((row[f] - mean) / deviation * gamma[f]) + beta[f]);
        }

        float[] last = Run(model, [sequence], new FeatureOptions { Layer = 2, Pooling = pooling }, workspace);
        Assert.InRange(Numbers.RelativeError(Pool(x, width, pooling), last), 0, 1e-5);
        AssertSameBits(last, Run(model, [sequence], new FeatureOptions { Pooling = pooling }, workspace), "null is the last layer");
    }

    /// <summary>How far a sequence is padded changes no bit of what its own tokens become.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Padding_changes_no_bit(string format, bool compressedTable, bool encoder)
    {
        using TransformerModel<float> model = RaggedCase.Model(RaggedCase.Formats[format], compressedTable, encoder);
        using Workspace<float> workspace = new(1);
        int[] sequence = RaggedCase.Sequences(40)[30];
        float[] expected = Hidden(sequence.Length);
        for (int padded = sequence.Length + 1; padded <= RaggedCase.Positions; padded += 3)
        {
            AssertSameBits(expected, Hidden(padded), $"{sequence.Length} tokens padded to {padded}");
        }

        float[] Hidden(int padded)
        {
            int[] tokens = new int[padded];
            sequence.CopyTo(tokens, 0);
            RbeMl.Memory.Panel<float> x = model.Hidden(
                tokens, 1, padded, workspace, options: encoder ? workspace.Padding.Options([sequence.Length], padded) : null);
            float[] rows = new float[padded * 64];
            x.ToRowMajor(rows);
            return rows[..(sequence.Length * 64)];
        }
    }

    [Fact]
    public void Bad_input_is_refused_by_name()
    {
        using TransformerModel<float> model = RaggedCase.Model(RaggedCase.Formats["runs of 16"]);
        using Workspace<float> workspace = new(1);
        float[] output = new float[128];
        FeatureOptions options = new();
        Assert.Contains("sequence 1 has 0 tokens",
            Assert.Throws<TokenException>(() => model.Features([1, 2], [2, 0], options, workspace, output)).Message, StringComparison.Ordinal);
        Assert.Contains("70 positions",
            Assert.Throws<TokenException>(() => model.Features(new int[72], [1, 71], options, workspace, output)).Message, StringComparison.Ordinal);
        Assert.Contains("sequence 1, position 0",
            Assert.Throws<TokenException>(() => model.Features([1, 23], [1, 1], options, workspace, output)).Message, StringComparison.Ordinal);
        Assert.Throws<ShapeMismatchException>(() => model.Features([1, 2, 3], [1, 1], options, workspace, output));
        Assert.Throws<ShapeMismatchException>(() => model.Features([1], [1, 1], options, workspace, output));
        Assert.Throws<ShapeMismatchException>(() => model.Features([1], [1], options, workspace, output));
        Assert.Throws<ShapeMismatchException>(() => model.Features([], [], options, workspace, []));
        Assert.Equal("Layer",
            Assert.Throws<InvalidSettingException>(() => model.Features([1, 2], [1, 1], options with { Layer = 3 }, workspace, output)).Setting);
        model.Parameters.Of(model.Parameters.Find("blocks.1.feedforward.contract.coefficients"))[0] = float.NaN;
        Assert.Throws<NonFiniteException>(() => model.Features([1, 2], [1, 1], options, workspace, output));

        // Blocks above the layer are not computed.
        model.Features([1, 2], [1, 1], options with { Layer = 1 }, workspace, output);
        Assert.All(output, v => Assert.True(float.IsFinite(v)));
    }

    private static float[] Pool(float[] rows, int width, Pooling pooling) =>
        [.. Enumerable.Range(0, width).Select(f =>
        {
            double[] column = [.. rows.Where((_, i) => i % width == f).Select(v => (double)v)];
            return (float)(pooling switch { Pooling.Mean => column.Average(), Pooling.Last => column[^1], _ => column.Max() });
        })];

    private static float[] Run(TransformerModel<float> model, int[][] sequences, FeatureOptions options, Workspace<float> workspace)
    {
        (int[] tokens, int[] lengths) = RaggedCase.Join(sequences);
        float[] output = new float[sequences.Length * model.Config.Width];
        model.Features(tokens, lengths, options, workspace, output);
        return output;
    }

    private static ReadOnlySpan<float> Row(float[] rows, int i) => rows.AsSpan(i * 64, 64);

    private static void AssertSameBits(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(actual[i]),
                $"{what}: feature {i} is {actual[i]:R}, expected {expected[i]:R}");
        }
    }
}
