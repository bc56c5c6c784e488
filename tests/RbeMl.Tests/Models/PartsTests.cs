using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Models;

/// <summary>A batch in parts, with any checkpointing and exact offload, has the loss and gradients of the batch in one, bit for bit.</summary>
public sealed class PartsTests
{
    [Theory]
    [InlineData(CheckpointPolicy.None, ActivationOffload.None, 8, 1, 1)]
    [InlineData(CheckpointPolicy.None, ActivationOffload.Spill, 8, 0, 2)]
    [InlineData(CheckpointPolicy.Selective, ActivationOffload.None, 8, 1, 3)]
    [InlineData(CheckpointPolicy.Selective, ActivationOffload.Spill, 16, 1, 1)]
    [InlineData(CheckpointPolicy.Full, ActivationOffload.None, 16, 0, 2)]
    [InlineData(CheckpointPolicy.Full, ActivationOffload.Spill, 8, 2, 2)]
    [InlineData(CheckpointPolicy.Selective, ActivationOffload.None, 4, 1, 2, 96)] // groups of 128 tokens
    [InlineData(CheckpointPolicy.Full, ActivationOffload.Spill, 2, 0, 2, 192)]
    [InlineData(CheckpointPolicy.None, ActivationOffload.None, 3, 0, 1, 128, false)] // not whole groups: the batch stays whole
    public void Same_bits(CheckpointPolicy policy, ActivationOffload offload, int part, int headChunks, int threads, int length = 64, bool cut = true)
    {
        Assert.Equal(cut, ActivationSettings.CanSplit(20, length, part));
        foreach ((bool compressed, SupportRule rule) in ((bool, SupportRule)[])[(false, SupportRule.Runs(8)), (true, SupportRule.Random(3))])
        {
            using TransformerModel<float> model = SmallModel.Create(length, dropout: 0.1f, compressedTable: compressed, support: rule);
            (double Loss, int[] Gradients) whole = Run(model, new ActivationSettings(), 1, 20);
            (double Loss, int[] Gradients) parts =
                Run(model, new ActivationSettings { Checkpointing = policy, Offload = offload, PartSequences = part, HeadChunks = headChunks }, threads, 20);
            Assert.Equal(BitConverter.DoubleToInt64Bits(whole.Loss), BitConverter.DoubleToInt64Bits(parts.Loss));
            Assert.Equal(whole.Gradients, parts.Gradients);
            whole = Run(model, new ActivationSettings(), 1, 20, documents: true);
            parts = Run(model, new ActivationSettings { Checkpointing = policy, Offload = offload, PartSequences = part, HeadChunks = headChunks }, threads, 20,
                documents: true);
            Assert.Equal(BitConverter.DoubleToInt64Bits(whole.Loss), BitConverter.DoubleToInt64Bits(parts.Loss));
            Assert.Equal(whole.Gradients, parts.Gradients);
        }
    }

    [Theory]
    [InlineData(16, 256, 2, true)]
    [InlineData(16, 256, 1, false)] // 256 tokens are half a group
    [InlineData(16, 100, 8, false)]
    [InlineData(16, 96, 4, true)] // 384 tokens are three groups of 128
    [InlineData(16, 96, 2, false)]
    [InlineData(16, 192, 2, true)]
    [InlineData(16, 768, 1, true)] // three groups of 256
    [InlineData(4, 1024, 1, true)]
    [InlineData(4, 1024, 4, false)] // that is the whole
    [InlineData(65, 8, 64, false)] // a last part of 8 tokens would have narrow chunks
    [InlineData(70, 8, 64, false)]
    [InlineData(71, 8, 64, true)]
    public void Where_a_batch_can_be_cut(int batch, int length, int part, bool can) => Assert.Equal(can, ActivationSettings.CanSplit(batch, length, part));

    [Theory]
    [InlineData(1, 8)]
    [InlineData(64, 8)]
    [InlineData(100, 8)] // even groups of 128 tokens make parts of 3200
    [InlineData(24, 2)]
    [InlineData(96, 2)]
    [InlineData(192, 2)]
    [InlineData(768, 4)]
    [InlineData(1024, 8)]
    [InlineData(1536, 8)]
    public void Groups_are_as_large_as_parts_of_512_tokens_or_a_sequence_allow(int length, int chunks)
    {
        Assert.Equal(chunks, ChunkGroup.Of(length));
        Assert.Equal(64 * chunks, ChunkGroup.Tokens(length));
        int[] possible = [.. Enumerable.Range(1, 512).Where(part => (long)part * length % (64 * chunks) == 0).Take(1)];
        if (chunks < 8) Assert.InRange(possible[0] * length, 1, Math.Max(length, 512));
    }

    [Fact]
    public void A_part_that_cannot_be_cut_off_leaves_the_batch_whole()
    {
        using TransformerModel<float> model = SmallModel.Create(50);
        Assert.Equal(Run(model, new ActivationSettings(), 1, 16).Gradients, Run(model, new ActivationSettings { PartSequences = 8 }, 1, 16).Gradients);
    }

    [Theory]
    [InlineData(ActivationOffload.None, "blocks.0")]
    [InlineData(ActivationOffload.Spill, "blocks.0")]
    [InlineData(ActivationOffload.BFloat16, "blocks.0")]
    public void A_layer_that_diverges_is_named(ActivationOffload offload, string where)
    {
        using TransformerModel<float> model = SmallModel.Create(64, layers: 4);
        model.Parameters.Of(model.Parameters.Find("blocks.0.attention.value.coefficients"))[5] = float.PositiveInfinity;
        Assert.Equal(where, Assert.Throws<NonFiniteException>(() => Run(model, new ActivationSettings { Offload = offload, PartSequences = 8 }, 1, 16)).Where);
    }

    [Fact]
    public void Bad_settings_are_refused()
    {
        using TransformerModel<float> model = SmallModel.Create();
        using Workspace<float> workspace = new(1);
        Assert.Equal("PartSequences", Refused(new ActivationSettings { PartSequences = -1 }));
        Assert.Equal("HeadChunks", Refused(new ActivationSettings { HeadChunks = -1 }));
        Assert.Equal("Offload", Refused(new ActivationSettings { Offload = (ActivationOffload)7 }));
        Assert.Equal("Checkpointing", Refused(new ActivationSettings { Checkpointing = (CheckpointPolicy)7 }));

        string Refused(ActivationSettings settings) =>
            Assert.Throws<InvalidSettingException>(() => new TransformerContext<float>(model, workspace, settings)).Setting;
    }

    private static (double Loss, int[] Gradients) Run(TransformerModel<float> model, ActivationSettings settings, int threads, int batch,
        bool documents = false)
    {
        int length = model.Config.MaxSequenceLength;
        using Workspace<float> workspace = new(threads);
        using TransformerContext<float> context = new(model, workspace, settings);
        using ParameterVector<float> gradients = model.Parameters.CreateLike();
        int[] inputs = new int[batch * length], targets = new int[batch * length];
        new CountingTokens(11).Fill(3, batch, length, inputs, targets);
        targets[5] = -1;

        // Documents of 23 tokens, and what is left of a row; others in each third row.
        int[] positions = documents ? [.. Enumerable.Range(0, batch * length).Select(i => i % length % (i / length % 3 == 0 ? 7 : 23))] : [];
        double loss = model.Loss(inputs, targets, batch, length, context, new DropoutStep(5, 2), gradients, positions: positions);
        return (loss, [.. model.Parameters.Slices.SelectMany(s => gradients.Of(s).ToArray()).Select(BitConverter.SingleToInt32Bits)]);
    }
}
