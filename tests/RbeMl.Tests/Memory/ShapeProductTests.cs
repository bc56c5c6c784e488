using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using RbeMl.Training;

namespace RbeMl.Tests.Memory;

/// <summary>Sides whose product wraps, is negative or zero never pass for the length of a buffer.</summary>
public sealed class ShapeProductTests
{
    // Products of two wrap to 0 or to a small number in 32 bits, with a third side of 16 or more in 64.
    public static TheoryData<int, int> Sides => new()
    {
        { 65536, 65536 }, { 65536, 65537 }, { 1 << 30, 1 << 30 }, { 1 << 30, 4 }, { int.MaxValue, int.MaxValue }, { int.MaxValue, 2 },
            { -1, -16 }, { -4, -4 }, { int.MinValue, 2 },
        { int.MinValue, int.MinValue }, { 0, 0 }, { 0, 16 }, { -16, 1 }, { 1, -16 }, { 390_451_573, 11 },
    };

    [Theory]
    [MemberData(nameof(Sides))]
    public void No_public_method_takes_a_buffer_of_a_wrapped_length(int batch, int length)
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace);
        using KvCache<float> cache = new(model.Config, 1, 16);
        using BlockContext<float> saved = new();
        RbeTransformerBlock<float> block = model.Blocks[0];
        foreach (int count in Lengths(batch, length))
        {
            float[] values = new float[count];
            int[] ids = new int[count];
            Refused(() => model.Logits(ids, batch, length, workspace));
            Refused(() => model.LastLogits(ids, batch, length, workspace, null, values));
            Refused(() => model.LastLogits(ids, batch, 1, workspace, cache, values));
            Refused(() => model.Loss(ids, ids, batch, length, context));
            Refused(() => block.Forward(values, batch, length, null, null, workspace));
            Refused(() => block.Forward(values, batch, length, new ForwardOptions<float> { Cache = cache[0], ReturnAttentionWeights = true },
                saved, workspace));
            Refused(() => RbeCompressor.Compress(values, batch, length, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(8) }));
            Refused(() => new BlockActivationData(values, batch, length, 16));
            Refused(() => new BlockActivationData(values, batch, 16, length));
        }

        Assert.False(Shape.Holds(0, batch, length));
        Assert.False(Shape.Holds(unchecked(batch * length), batch, length) && (long)batch * length != unchecked(batch * length));
        Assert.False(Shape.Holds(unchecked((long)batch * length * 65536 * 65536), batch, length, 65536, 65536));
        Refused(() => new LayerKvCache<float>(batch, length, int.MaxValue, 1 << 30));
        Refused(() => model.PredictStep(new ActivationSettings(), batch, length, 1));
        Assert.False(ActivationSettings.CanSplit(int.MaxValue, batch, length) && (batch < 1 || length < 1));
    }

    [Theory]
    [InlineData(65536)]
    [InlineData(390_451_573)] // times 11 is 7 in 32 bits
    [InlineData(int.MaxValue)]
    [InlineData(-1)]
    public void The_room_for_last_logits_is_counted_without_wrapping(int batch)
    {
        using TransformerModel<float> model = SmallModel.Create(dropout: 0);
        using Workspace<float> workspace = new(1);
        int wrapped = unchecked(batch * model.Config.Vocabulary);
        float[] logits = new float[wrapped is >= 0 and < 10_000_000 ? wrapped : 11];
        ShapeMismatchException error = Assert.Throws<ShapeMismatchException>(() => model.LastLogits([1], batch, 1, workspace, null, logits));
        // room for 65536 rows is there, the tokens are not
        string expected = batch == 65536 ? "[65536, 1] = 65536 values" : FormattableString.Invariant($"[{batch}, 11] = {(long)batch * 11} values");
        Assert.Contains(expected, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Lengths_of_sequences_that_wrap_or_are_negative_are_refused()
    {
        using SequenceClassifier<float> classifier = new(SmallModel.Create(), new ClassifierConfig { Classes = 2 }, 1);
        using Workspace<float> workspace = new(1);
        using ClassifierContext<float> context = new(classifier, workspace);
        foreach (int[] lengths in (int[][])[[int.MaxValue, int.MaxValue, 6], [-4, 8], [0, 4], [int.MinValue, int.MinValue, 4], [5]])
        {
            Refused(() => classifier.Model.Features([1, 2, 3, 4], lengths, new FeatureOptions(), workspace, new float[lengths.Length * 32]));
            Refused(() => classifier.Scores([1, 2, 3, 4], lengths, workspace, new float[lengths.Length * 2]));
            Refused(() => classifier.Loss([1, 2, 3, 4], lengths, new int[lengths.Length], context));
        }

        // A limit alone takes no memory.
        float[] row = new float[32];
        classifier.Model.Features([1, 2, 3, 4], [4], new FeatureOptions { PassTokens = int.MaxValue }, workspace, row);
        Assert.Contains(row, v => v != 0);
    }

    // What the product of two or three sides would be in wrapping arithmetic, where that is a small number, and a length that fits nothing.
    private static IEnumerable<int> Lengths(int batch, int length)
    {
        HashSet<int> counts = [0, 16];
        foreach (int third in (int[])[1, 11, 16, 32]) counts.Add(unchecked(batch * length * third));
        return counts.Where(c => c is >= 0 and < 100_000);
    }

    private static void Refused(Action call)
    {
        Exception? error = Record.Exception(call);
        Assert.True(error is RbeException or ArgumentOutOfRangeException, error?.ToString() ?? "it was accepted");
    }
}
