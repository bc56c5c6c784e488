using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using Xunit.Abstractions;

namespace RbeMl.Tests.Layers;

public sealed class KvCacheFormatTests(ITestOutputHelper output)
{
    private const int Prefill = 40, Steps = 10;
    private static readonly TransformerConfig s_config =
        new() { Width = 64, FeedForwardWidth = 96, Heads = 2, Layers = 1, MaxSequenceLength = 200, Dropout = 0.1f };

    public static TheoryData<KvFormat> Formats => [KvFormat.F32, KvFormat.F16, KvFormat.Int8];

    // The largest relative error of a stored number: 2^-11, and 1 / 127 of a number half as large as its head's largest. Attention averages such errors and its
    // output is the smaller part of the stream, so they bound the block's.
    private static double Bound(KvFormat format) => format switch { KvFormat.F16 => 1.0 / 2048, KvFormat.Int8 => 1.0 / 127, _ => 1e-5 };

    [Theory]
    [MemberData(nameof(Formats))]
    public void Steps_with_a_cache_are_the_full_computation_within_the_format_s_error(KvFormat format)
    {
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, Prefill + Steps);
        using LayerKvCache<float> cache = new(2, 2, 32, Prefill + Steps, format);
        float[] full = f.Block.Forward(f.X, 2, Prefill + Steps, null, null, f.Workspace).Output;
        double worst = 0;
        for (int from = 0, count = Prefill; from < Prefill + Steps; from += count, count = 1)
        {
            float[] part = f.Block.Forward(Tokens(f.X, from, count), 2, count, new ForwardOptions<float> { Cache = cache }, null, f.Workspace).Output;
            worst = Math.Max(worst, Numbers.RelativeError(Tokens(full, from, count), part));
        }

        output.WriteLine(
            FormattableString.Invariant($"{format}: worst relative error {worst:E2}, {cache.AllocatedBytes / 2 / (double)cache.Stride} bytes a token"));
        Assert.Equal(Prefill + Steps, cache.Length);
        Assert.InRange(worst, 0, Bound(format));
        if (format != KvFormat.F32) Assert.True(worst > 1e-5, "the format had no effect");
    }

    [Fact]
    public void Bytes_of_a_token_are_the_format_s()
    {
        Assert.Equal(2 * 64 * 4, Bytes(KvFormat.F32));
        Assert.Equal(2 * 64 * 2, Bytes(KvFormat.F16));
        Assert.Equal(2 * (64 + (2 * 4)), Bytes(KvFormat.Int8));

        static double Bytes(KvFormat format)
        {
            using KvCache<float> cache = new(s_config, 3, 160, format);
            Assert.Equal(format, cache.Format);
            Assert.Equal(0, cache.AllocatedBytes);
            for (int l = 0; l < cache.Layers; l++) cache[l].Reserve(160);
            return cache.AllocatedBytes / (3.0 * 160);
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void A_backward_takes_the_stored_past_as_constant_with_every_checkpoint_policy(KvFormat format)
    {
        (float[] Y, float[] Dx, float[] G) exact = Run(KvFormat.F32, CheckpointPolicy.None), first = Run(format, CheckpointPolicy.None);
        Assert.InRange(Numbers.RelativeError(exact.Y, first.Y), 0, Bound(format));
        Assert.InRange(Numbers.RelativeError(exact.Dx, first.Dx), 0, 2 * Bound(format)); // both factors of the chain rule are off
        Assert.InRange(Numbers.RelativeError(exact.G, first.G), 0, 2 * Bound(format));
        foreach (CheckpointPolicy policy in (CheckpointPolicy[])[CheckpointPolicy.Selective, CheckpointPolicy.Full])
        {
            (float[] y, float[] dx, float[] g) = Run(format, policy);
            Assert.Equal(first.Y, y);
            Assert.Equal(first.Dx, dx);
            Assert.Equal(first.G, g);
        }

        static (float[] Y, float[] Dx, float[] G) Run(KvFormat format, CheckpointPolicy policy)
        {
            using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 2, 30);
            (byte[] padding, _) = f.Masks(21);
            using LayerKvCache<float> cache = f.CacheWith(21, format);
            (float[] y, float[] dx, ParameterVector<float> g) =
                f.Run(new ForwardOptions<float> { Cache = cache, PaddingMask = padding, Dropout = new DropoutStep(1, 2) }, policy);
            return (y, dx, [.. g.Slices.SelectMany(s => g.Of(s).ToArray())]);
        }
    }

    [Fact]
    public void A_full_recomputation_after_later_tokens_leaves_the_cache_as_it_was()
    {
        foreach (KvFormat format in Enum.GetValues<KvFormat>())
        {
            float[] early = Gradient(format, false), late = Gradient(format, true);
            Assert.Equal(early, late);
        }

        static float[] Gradient(KvFormat format, bool later)
        {
            using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 1, 5);
            using LayerKvCache<float> cache = f.CacheWith(3, format);
            using BlockContext<float> context = new(CheckpointPolicy.Full);
            f.Block.Forward(f.X, 1, 5, new ForwardOptions<float> { Cache = cache }, context, f.Workspace);
            if (later) f.Block.Forward(f.Dy, 1, 5, new ForwardOptions<float> { Cache = cache }, null, f.Workspace);
            return f.Block.Backward(f.Dy, context, f.Block.Parameters.CreateLike(), f.Workspace);
        }
    }

    [Fact]
    public void What_a_format_cannot_hold_is_refused()
    {
        Assert.Contains("Double", Assert.Throws<InvalidSettingException>(() => new LayerKvCache<double>(1, 2, 32, 8, KvFormat.F16)).Message,
            StringComparison.Ordinal);
        Assert.Throws<InvalidSettingException>(() => new LayerKvCache<float>(1, 2, 32, 8, (KvFormat)7));
        Assert.Throws<InvalidSettingException>(() => new GenerationOptions { KvFormat = (KvFormat)7 }.Validate());
        using BlockFixture<float> f = new(s_config, BlockGradientTests.OptionsOf("runs4"), 1, 5);
        using LayerKvCache<float> cache = new(1, 2, 32, 8, KvFormat.F16);
        foreach (ParameterSlice slice in f.Block.Parameters.Slices.Where(s => s.Name.EndsWith("key.bias", StringComparison.Ordinal)))
        {
            f.Block.Parameters.Of(slice)[40] = 1e5f;
        }

        NonFiniteException error =
            Assert.Throws<NonFiniteException>(() => f.Block.Forward(f.X, 1, 5, new ForwardOptions<float> { Cache = cache }, null, f.Workspace));
        Assert.Contains("key of head 1", error.Message, StringComparison.Ordinal);
        Assert.Contains("65504", error.Message, StringComparison.Ordinal);
        Assert.Equal(0, cache.Length);
    }

    // Tokens from .. from + count - 1 of both sequences, row-major.
    private static float[] Tokens(float[] x, int from, int count)
    {
        int width = s_config.Width, length = x.Length / 2 / width;
        return [.. Enumerable.Range(0, 2).SelectMany(b => x.AsSpan(((b * length) + from) * width, count * width).ToArray())];
    }
}
