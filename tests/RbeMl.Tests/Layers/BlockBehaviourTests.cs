using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Layers;

public class BlockBehaviourTests
{
    private static readonly TransformerConfig s_config =
        new() { Width = 40, FeedForwardWidth = 136, Heads = 4, Layers = 2, MaxSequenceLength = 200, Dropout = 0.2f };

    public static TheoryData<CheckpointPolicy, bool, int, float> Combinations()
    {
        TheoryData<CheckpointPolicy, bool, int, float> data = new();
        foreach (CheckpointPolicy policy in (CheckpointPolicy[])[CheckpointPolicy.Selective, CheckpointPolicy.Full])
        {
            foreach (bool masks in (bool[])[false, true])
            {
                foreach (int past in (int[])[0, 7])
                {
                    foreach (float dropout in (float[])[0, 0.2f]) data.Add(policy, masks, past, dropout);
                }
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Combinations))]
    public void Checkpointing_changes_memory_only(CheckpointPolicy policy, bool masks, int past, float dropout)
    {
        (float[] y, float[] dx, float[] g, float[]? weights) = Run(CheckpointPolicy.None, masks, past, dropout, threads: 1);
        (float[] y2, float[] dx2, float[] g2, float[]? weights2) = Run(policy, masks, past, dropout, threads: 1);
        AssertSameBits(y, y2);
        AssertSameBits(dx, dx2);
        AssertSameBits(g, g2);
        AssertSameBits(weights!, weights2!);
    }

    [Theory]
    [InlineData(CheckpointPolicy.None)]
    [InlineData(CheckpointPolicy.Full)]
    public void Results_do_not_depend_on_the_number_of_threads(CheckpointPolicy policy)
    {
        (float[] y, float[] dx, float[] g, _) = Run(policy, masks: true, past: 3, dropout: 0.1f, threads: 1);
        foreach (int threads in (int[])[2, 3, 5])
        {
            (float[] y2, float[] dx2, float[] g2, _) = Run(policy, masks: true, past: 3, dropout: 0.1f, threads);
            AssertSameBits(y, y2);
            AssertSameBits(dx, dx2);
            AssertSameBits(g, g2);
        }
    }

    [Fact]
    public void Kept_memory_falls_from_policy_to_policy()
    {
        long[] bytes = [.. Enum.GetValues<CheckpointPolicy>().Select(Kept)];
        Assert.True(bytes[0] > bytes[1] && bytes[1] > bytes[2], string.Join(" > ", bytes));

        static long Kept(CheckpointPolicy policy)
        {
            using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 70);
            using BlockContext<float> context = new(policy);
            f.Block.Forward(f.X, 2, 70, null, context, f.Workspace);
            return context.AllocatedBytes;
        }
    }

    [Fact]
    public void Dropout_replays_with_its_step_changes_with_another_and_is_off_in_evaluation()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 20);
        float[] Output(DropoutStep? step) => f.Block.Forward(f.X, 2, 20, new ForwardOptions<float> { Dropout = step }, null, f.Workspace).Output;
        AssertSameBits(Output(new DropoutStep(1, 5)), Output(new DropoutStep(1, 5)));
        Assert.NotEqual(Output(new DropoutStep(1, 5)), Output(new DropoutStep(1, 6)));
        Assert.NotEqual(Output(new DropoutStep(1, 5)), Output(new DropoutStep(2, 5)));
        Assert.NotEqual(Output(new DropoutStep(1, 5)), Output(null));
        AssertSameBits(Output(null), Output(null));
    }

    [Fact]
    public void Fused_and_unfused_layer_norm_give_the_same_bits()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 20);
        RbeTransformerBlock<float> unfused = new(f.Config, f.Weights, 3) { FuseLayerNorm = false };
        AssertSameBits(f.Block.Forward(f.X, 2, 20, null, null, f.Workspace).Output, unfused.Forward(f.X, 2, 20, null, null, f.Workspace).Output);
    }

    [Fact]
    public void Attention_weights_are_probabilities_that_respect_masks_and_causality()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 9);
        byte[] padding = new byte[2 * 9];
        Array.Fill(padding, (byte)1);
        padding[4] = 0;
        float[] weights =
            f.Block.Forward(f.X, 2, 9, new ForwardOptions<float> { PaddingMask = padding, ReturnAttentionWeights = true }, null, f.Workspace).AttentionWeights!;
        Assert.Equal(2 * 4 * 9 * 9, weights.Length);
        for (int row = 0; row < 2 * 4 * 9; row++)
        {
            int query = row % 9, sequence = row / 36;
            Assert.Equal(1, weights.Skip(row * 9).Take(9).Sum(), 1e-5);
            for (int key = 0; key < 9; key++)
            {
                if (key > query || (sequence == 0 && key == 4)) Assert.Equal(0, weights[row * 9 + key]);
            }
        }
    }

    [Fact]
    public void A_token_that_sees_nothing_gets_zero_attention_not_NaN()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 1, 5);
        byte[] none = new byte[5];
        (float[] y, float[] dx, ParameterVector<float> g) = f.Run(new ForwardOptions<float> { PaddingMask = none });
        Assert.All(y, v => Assert.True(float.IsFinite(v)));
        Assert.All(dx, v => Assert.True(float.IsFinite(v)));
        Assert.All(g.Of(g.Find("block.attention.value.coefficients")).ToArray(), v => Assert.Equal(0, v));
    }

    [Fact]
    public void Cached_steps_equal_the_whole_sequence()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("topk"), 2, 30);
        float[] whole = f.Block.Forward(f.X, 2, 30, null, null, f.Workspace).Output;
        using LayerKvCache<float> cache = new(2, 4, 10, 30);
        for (int start = 0; start < 30;)
        {
            int count = start == 0 ? 17 : 1;
            float[] part = new float[2 * count * 40];
            for (int b = 0; b < 2; b++) f.X.AsSpan((b * 30 + start) * 40, count * 40).CopyTo(part.AsSpan(b * count * 40));
            float[] y = f.Block.Forward(part, 2, count, new ForwardOptions<float> { Cache = cache }, null, f.Workspace).Output;
            for (int b = 0; b < 2; b++)
            {
                // The same sums in another blocking: errors of a few roundings of values of order 1.
                Assert.InRange(Numbers.RelativeError(whole.AsSpan((b * 30 + start) * 40, count * 40), y.AsSpan(b * count * 40, count * 40)), 0, 1e-5);
            }

            start += count;
            Assert.Equal(start, cache.Length);
        }
    }

    [Fact]
    public void One_block_serves_several_threads()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 20);
        float[] expected = f.Block.Forward(f.X, 2, 20, null, null, f.Workspace).Output;
        Parallel.For(0, 8, _ =>
        {
            using Workspace<float> own = new(1);
            for (int i = 0; i < 5; i++) AssertSameBits(expected, f.Block.Forward(f.X, 2, 20, null, null, own).Output);
        });
    }

    [Fact]
    public void Statistics_add_up()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 70, threads: 2);
        ForwardOptions<float> options = new() { Profile = true };
        Assert.Null(f.Block.Forward(f.X, 2, 70, null, null, f.Workspace).Statistics);
        f.Block.Forward(f.X, 2, 70, options, null, f.Workspace);
        LayerStats s = f.Block.Forward(f.X, 2, 70, options, null, f.Workspace).Statistics!;
        TimeSpan parts = s.LayerNorm1 + s.Projections + s.Attention + s.AttentionOutput + s.LayerNorm2 + s.FeedForward;
        Assert.Equal(2, s.ForwardCount);
        Assert.InRange(s.AverageTotal, TimeSpan.FromTicks(1), TimeSpan.FromMinutes(1));
        Assert.Equal(3, s.Layer);
        Assert.True(parts > TimeSpan.Zero && parts <= s.Total * s.Threads, $"{parts} of {s.Total} on {s.Threads} threads");
        Assert.True(s.WorkspaceBytes > 0);
    }

    [Fact]
    public void Tile_and_coefficients_alone_mean_the_literal_record()
    {
        DenseBlockWeights dense = DenseBlockWeights.Gpt2Initialization(s_config, 1);
        BlockWeights weights = BlockWeights.Compress(dense, s_config, 32, 100);
        Assert.All((RbeMatrix[])[weights.Query, weights.Key, weights.Value, weights.Output, weights.UpProjection, weights.DownProjection], m =>
        {
            Assert.Equal(RbeFormat.Seed(100), m.Format);
            Assert.Equal((32, 100, m.TileCount * 8), (m.Tile, m.Support!.CoefficientsPerTile, m.Alphas.Length));
        });
        RbeTransformerBlock<float> block = new(s_config, weights);
        Assert.Equal(weights.DownProjection.Coefficients, block.GetCompressedWeights().DownProjection.Coefficients);
    }

    [Fact]
    public void Gradients_accumulate()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 1, 20);
        using BlockContext<float> context = new();
        ParameterVector<float> once = f.Block.Parameters.CreateLike(), twice = f.Block.Parameters.CreateLike();
        for (int i = 0; i < 3; i++)
        {
            f.Block.Forward(f.X, 1, 20, null, context, f.Workspace);
            f.Block.Backward(f.Dy, context, i == 0 ? once : twice, f.Workspace);
        }

        foreach (ParameterSlice slice in once.Slices)
        {
            float[] doubled = [.. once.Of(slice).ToArray().Select(v => 2 * v)];
            // Adding the second gradient rounds once more an element; key biases are rounding only.
            if (Math.Sqrt(doubled.Sum(v => (double)v * v)) > 1e-3) Assert.InRange(Numbers.RelativeError(doubled, twice.Of(slice)), 0, 1e-5);
        }
    }

    [Fact]
    public void Bad_calls_are_refused_with_both_sides_named()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 5);
        Assert.Contains("[2, 6, 40]", Assert.Throws<ShapeMismatchException>(() => f.Block.Forward(f.X, 2, 6)).Message, StringComparison.Ordinal);
        Assert.Contains("[2, 5]",
            Assert.Throws<ShapeMismatchException>(() =>
            f.Block.Forward(f.X, 2, 5, new ForwardOptions<float> { PaddingMask = new byte[3] })).Message, StringComparison.Ordinal);
        Assert.Throws<ShapeMismatchException>(() => f.Block.Forward(f.X, 2, 5, new ForwardOptions<float> { AdditiveMask = new float[3] }));
        Assert.Contains("200", Assert.Throws<TokenException>(() => f.Block.Forward(new float[201 * 40], 1, 201)).Message, StringComparison.Ordinal);
        using LayerKvCache<float> small = new(2, 4, 10, 4);
        Assert.Contains("at most 4",
            Assert.Throws<TokenException>(() => f.Block.Forward(f.X, 2, 5, new ForwardOptions<float> { Cache = small })).Message, StringComparison.Ordinal);
        using LayerKvCache<float> other = new(1, 4, 10, 40);
        Assert.Throws<ShapeMismatchException>(() => f.Block.Forward(f.X, 2, 5, new ForwardOptions<float> { Cache = other }));
        using BlockContext<float> empty = new();
        Assert.Throws<InvalidOperationException>(() => f.Block.Backward(Panel(f), Panel(f), empty, f.Block.Parameters.CreateLike(), f.Workspace));
        float[] bad = [.. f.X];
        bad[123] = float.NaN;
        float[] mask = new float[2 * 5 * 5];
        mask[7] = float.NaN;
        Assert.Throws<NonFiniteException>(() => f.Block.Forward(f.X, 2, 5, new ForwardOptions<float> { AdditiveMask = mask }));
        Panel<float> panel = Panel(f);
        Assert.Throws<ArgumentException>(() => f.Block.Forward(panel, panel, 2, 5, null, null, f.Workspace));
        Assert.Contains("feature 3", Assert.Throws<NonFiniteException>(() => f.Block.Forward(bad, 2, 5)).Message, StringComparison.Ordinal);

        static Panel<float> Panel(BlockFixture<float> f) => new Panel<float>().Reshape(10, 40, f.Block.PaddedWidth);
    }

    [Fact]
    public void A_disposed_block_says_so()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 1, 5);
        RbeTransformerBlock<float> block = new(f.Config, f.Weights);
        block.Dispose();
        Assert.Equal("ParameterVector", Assert.Throws<ObjectDisposedException>(() => block.Forward(f.X, 1, 5, null, null, f.Workspace)).ObjectName);
    }

    [Fact]
    public void A_failed_forward_empties_the_context()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 5);
        using BlockContext<float> context = new();
        ParameterVector<float> gradients = f.Block.Parameters.CreateLike();
        f.Block.Forward(f.X, 2, 5, null, context, f.Workspace);
        Assert.Throws<ShapeMismatchException>(() => f.Block.Forward(f.X, 2, 5, new ForwardOptions<float> { PaddingMask = new byte[1] }, context, f.Workspace));
        Assert.Throws<InvalidOperationException>(() => f.Block.Backward(f.Dy, context, gradients, f.Workspace));
    }

    [Theory]
    [InlineData(CheckpointPolicy.None)]
    [InlineData(CheckpointPolicy.Full)]
    public void A_cache_that_was_reset_since_the_forward_is_refused(CheckpointPolicy policy)
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 5);
        using LayerKvCache<float> cache = f.CacheWith(3);
        using BlockContext<float> context = new(policy);
        f.Block.Forward(f.X, 2, 5, new ForwardOptions<float> { Cache = cache }, context, f.Workspace);
        cache.Reset();
        f.Block.Forward(f.X, 2, 5, new ForwardOptions<float> { Cache = cache }, null, f.Workspace);
        f.Block.Forward(f.X, 2, 5, new ForwardOptions<float> { Cache = cache }, null, f.Workspace);
        Assert.Contains("reset",
            Assert.Throws<ShapeMismatchException>(() => f.Block.Backward(f.Dy, context, f.Block.Parameters.CreateLike(), f.Workspace)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_configurations_and_weights_are_refused()
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 1, 5);
        Assert.Equal("Heads", Assert.Throws<InvalidSettingException>(() => new RbeTransformerBlock<float>(s_config with { Heads = 3 }, f.Weights)).Setting);
        Assert.Throws<InvalidSettingException>(() => (s_config with { Dropout = 1 }).Validate());
        Assert.Throws<InvalidSettingException>(() => (s_config with { LayerNormEpsilon = 0 }).Validate());
        Assert.Throws<InvalidSettingException>(() => (s_config with { LayerNormEpsilon = 1e-60 }).Validate());
        Assert.Equal("Gelu", Assert.Throws<InvalidSettingException>(() => (s_config with { Gelu = (RbeMl.Kernels.GeluKind)9 }).Validate()).Setting);
        Assert.Equal("LayerNorm", Assert.Throws<InvalidSettingException>(() => (s_config with { LayerNorm = (LayerNormStorage)9 }).Validate()).Setting);
        Assert.Throws<InvalidSettingException>(() => DenseBlockWeights.Gpt2Initialization(s_config with { Width = -1 }, 1));
        Assert.Throws<InvalidSettingException>(() => (s_config with { Width = 1 << 30, Heads = 1, FeedForwardWidth = 0 }).Validate());
        Assert.Throws<InvalidSettingException>(() => (s_config with { Width = 32768, Heads = 1, FeedForwardWidth = 1, MaxSequenceLength = 131072 }).Validate());
        Assert.Throws<ShapeMismatchException>(() => new RbeTransformerBlock<float>(s_config with { FeedForwardWidth = 72 }, f.Weights));
        float[] gamma = [.. f.Weights.Vectors.Gamma1];
        gamma[7] = float.NaN;
        NonFiniteException error =
            Assert.Throws<NonFiniteException>(() =>
                new RbeTransformerBlock<float>(s_config, f.Weights with { Vectors = f.Weights.Vectors with { Gamma1 = gamma } }));
        Assert.Contains("ln1.gamma", error.Where, StringComparison.Ordinal);
        RbeMatrix otherTile =
            RbeCompressor.Compress(Numbers.Normal(1600, 1), 40, 40, new RbeOptions { Tile = 64, Format = RbeFormat.Sparse(100, SupportRule.TopK) });
        Assert.Contains("tile",
            Assert.Throws<ShapeMismatchException>(() => new RbeTransformerBlock<float>(s_config, f.Weights with { Key = otherTile })).Message,
            StringComparison.Ordinal);
    }

    private static (float[] Y, float[] Dx, float[] Gradients, float[]? Weights) Run(CheckpointPolicy policy, bool masks, int past, float dropout, int threads)
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 70, threads);
        (byte[] padding, float[] additive) = f.Masks(past);
        ForwardOptions<float> options = new()
        {
            PaddingMask = masks ? padding : null,
            AdditiveMask = masks ? additive : null,
            Cache = past > 0 ? f.CacheWith(past) : null,
            Dropout = dropout > 0 ? new DropoutStep(7, 11) : null,
            ReturnAttentionWeights = true,
        };
        using BlockContext<float> context = new(policy);
        ParameterVector<float> gradients = f.Block.Parameters.CreateLike();
        TransformerBlockOutput<float> output = f.Block.Forward(f.X, 2, 70, options, context, f.Workspace);
        float[] dx = f.Block.Backward(f.Dy, context, gradients, f.Workspace);
        return (output.Output, dx, [.. gradients.Slices.SelectMany(s => gradients.Of(s).ToArray())], output.AttentionWeights);
    }

    private static void AssertSameBits(float[] expected, float[] actual) =>
        Assert.Equal(expected.Select(BitConverter.SingleToInt32Bits), actual.Select(BitConverter.SingleToInt32Bits));
}
