using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Layers;

/// <summary>Blocks whose LayerNorms stand after the residual connections.</summary>
public sealed class BlockOrderTests
{
    private static readonly TransformerConfig s_config =
        new() { Width = 72, FeedForwardWidth = 136, Heads = 3, Layers = 1, Vocabulary = 20, MaxSequenceLength = 128, Order = BlockOrder.PostNorm };

    [Theory]
    [InlineData(true, 3, 70)]
    [InlineData(false, 3, 70)]
    [InlineData(false, 1, 20)]
    public void Every_policy_and_number_of_threads_has_the_same_bits(bool causal, int batch, int length)
    {
        int[]? expected = null;
        foreach (int threads in (int[])[1, 2, 5])
        {
            using BlockFixture<float> f = new(s_config with { Causal = causal, Dropout = 0.1f }, Options("seed"), batch, length, threads);
            ForwardOptions<float> options = new() { Dropout = new DropoutStep(7, 11) };
            foreach (CheckpointPolicy policy in Enum.GetValues<CheckpointPolicy>())
            {
                (float[] y, float[] dx, ParameterVector<float> gradients) = f.Run(options, policy);
                using (gradients)
                {
                    int[] bits = [.. ((float[])[.. y, .. dx, .. gradients.Slices.SelectMany(s => gradients.Of(s).ToArray())]).Select(
                        BitConverter.SingleToInt32Bits)];
                    expected ??= bits;
                    Assert.Equal(expected, bits);
                }
            }

            Assert.Equal(expected!.Take(f.X.Length),
                f.Block.Forward(f.X, batch, length, options, null, f.Workspace).Output.Select(BitConverter.SingleToInt32Bits));
        }
    }

    [Fact]
    public void The_residual_begins_after_the_norm()
    {
        // Without outputs of the halves but their biases, m = LN1(x) + b and y = LN2(m) + c.
        using BlockFixture<double> f = new(s_config, Options("runs4"), 1, 5);
        foreach (RbeLinear<double> linear in (RbeLinear<double>[])[f.Block.Attention.Output, f.Block.FeedForward.DownProjection])
        {
            f.Block.Parameters.Of(linear.Coefficients!).Clear();
            if (linear.Alphas is { } alphas) f.Block.Parameters.Of(alphas).Clear();
        }

        double[] y = f.Block.Forward(f.X, 1, 5, null, null, f.Workspace).Output;
        BlockVectors v = f.Block.GetCompressedWeights().Vectors;
        for (int t = 0; t < 5; t++)
        {
            double[] m = [.. Normalized(f.X.AsSpan(t * 72, 72), v.Gamma1, v.Beta1).Zip(v.OutputBias, (a, b) => a + b)];
            double[] expected = [.. Normalized(m, v.Gamma2, v.Beta2).Zip(v.DownProjectionBias, (a, b) => a + b)];
            for (int i = 0; i < 72; i++) Assert.Equal(expected[i], y[(t * 72) + i], 1e-12);
        }
    }

    [Theory]
    [InlineData("runs4")]
    [InlineData("quantized4")]
    public void Vectors_give_what_panels_give(string format)
    {
        RbeOptions options = Options(format);
        using BlockFixture<float> f = new(s_config, options, 2, 1);
        using LayerKvCache<float> vectors = f.CacheWith(21), panels = f.CacheWith(21);
        Assert.True(f.Block.DecodesVectors(2, 1, new() { Cache = vectors }));
        float[] fast = f.Block.Forward(f.X, 2, 1, new() { Cache = vectors }, null, f.Workspace).Output;
        float[] slow = f.Block.Forward(f.X, 2, 1, new() { Cache = panels, AllowNonFinite = true }, null, f.Workspace).Output;
        Assert.InRange(Numbers.RelativeError(slow, fast), 0, 1e-5 + VectorRounding.Of(options.Format));
    }

    [Fact]
    public void A_cache_and_a_model_that_sees_what_follows_are_refused_together()
    {
        TransformerConfig config = s_config with { Causal = false };
        using BlockFixture<float> f = new(config, Options("runs4"), 1, 4);
        using LayerKvCache<float> cache = new(1, 3, 24, 8);
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(() => f.Block.Forward(f.X, 1, 4, new() { Cache = cache }, null, f.Workspace));
        Assert.Contains("KV cache", error.Message, StringComparison.Ordinal);
        Assert.Contains("causal", error.Message, StringComparison.OrdinalIgnoreCase);
        Assert.Equal(0, cache.Length);
        Assert.Contains("KV cache", Assert.Throws<InvalidSettingException>(() => new KvCache<float>(config, 1, 8)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidSettingException>(() => (s_config with { Order = (BlockOrder)7 }).Validate());
    }

    [Fact]
    public void Files_say_it_in_a_way_that_older_readers_refuse()
    {
        foreach (BlockOrder order in Enum.GetValues<BlockOrder>())
        {
            TransformerConfig config = s_config with { Order = order, Causal = order == BlockOrder.PreNorm };
            using BlockFixture<float> f = new(config, Options("runs4"), 1, 4);
            using MemoryStream stream = new();
            BlockFile.Save(stream, config, f.Weights);
            byte[] bytes = stream.ToArray();
            Assert.Equal(order == BlockOrder.PostNorm ? 2u : 0u, BitConverter.ToUInt32(bytes, 12));
            Assert.Equal(order == BlockOrder.PostNorm, System.Text.Encoding.UTF8.GetString(bytes).Contains("\"order\"", StringComparison.Ordinal));
            (TransformerConfig read, BlockWeights weights) = BlockFile.Load(new MemoryStream(bytes));
            Assert.Equal(config, read);
            using RbeTransformerBlock<float> again = new(read, weights, layer: 3);
            Assert.Equal(f.Block.Forward(f.X, 1, 4).Output, again.Forward(f.X, 1, 4).Output);
        }
    }

    [Fact]
    public void It_cannot_be_written_as_a_gpt2()
    {
        using TransformerModel<float> model =
            new(TransformerWeights.CreateRandom(s_config with { Width = 32, FeedForwardWidth = 64, Heads = 2 }, Options("runs4"), 1));
        string folder = Path.Combine(Path.GetTempPath(), Guid.NewGuid().ToString("N"));
        Assert.Contains("LayerNorms", Assert.Throws<InvalidSettingException>(() => Gpt2Directory.Save(folder, model)).Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(folder));
    }

    private static double[] Normalized(ReadOnlySpan<double> x, float[] gamma, float[] beta)
    {
        double[] values = x.ToArray();
        double mean = values.Average(), scale = 1 / Math.Sqrt(values.Average(value => (value - mean) * (value - mean)) + s_config.LayerNormEpsilon);
        return [.. values.Select((value, i) => ((value - mean) * scale * gamma[i]) + beta[i])];
    }

    private static RbeOptions Options(string format) => new()
    {
        Tile = 32,
        Format = format switch { "seed" => RbeFormat.Seed(64), "quantized4" => RbeFormat.Quantized(4), _ => RbeFormat.Sparse(100, SupportRule.Runs(4)) },
    };
}
