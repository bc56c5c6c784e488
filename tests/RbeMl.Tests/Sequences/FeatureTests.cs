using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Tests.Sequences;

public class FeatureTests
{
    public static TheoryData<string, bool> Cases
    {
        get
        {
            TheoryData<string, bool> data = [];
            foreach (string name in RaggedCase.Formats.Keys) data.Add(name, name == "4 bits");
            return data;
        }
    }

    /// <summary>No bit of a row may depend on what else is in the call, on its place, on the size of the passes or on the number of threads.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void A_row_is_the_same_alone_and_in_any_company(string format, bool compressedTable)
    {
        using Gpt2Model<float> model = RaggedCase.Model(RaggedCase.Formats[format], compressedTable);
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
            for (int i = 0; i < sequences.Length; i++) AssertSameBits(Row(all, i), Run(model, [sequences[i]], options, workspace), $"{pooling}, sequence {i} of {sequences[i].Length} tokens alone");
        }
    }

    private static float[] Run(Gpt2Model<float> model, int[][] sequences, FeatureOptions options, Workspace<float> workspace)
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
        for (int i = 0; i < expected.Length; i++) Assert.True(BitConverter.SingleToInt32Bits(expected[i]) == BitConverter.SingleToInt32Bits(actual[i]), $"{what}: feature {i} is {actual[i]:R}, expected {expected[i]:R}");
    }
}
