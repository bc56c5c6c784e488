using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Models;

public sealed class DecodeModelTests
{
    private static readonly TransformerConfig s_config = new() { Width = 48, Heads = 3, Layers = 2, Vocabulary = 77, MaxSequenceLength = 24 };
    private static readonly RbeOptions s_options = new() { Tile = 32, Format = RbeFormat.Sparse(256, SupportRule.Runs(16)) };

    // Two layers of five products and the head, sums of at most 192 terms, each a random walk of roundings of 2^-24; the factor 8 allows
    // for LayerNorm, softmax and GELU.
    private static double Tolerance => 8 * Math.Sqrt(192.0 * 11) * Math.Pow(2, -24);

    [Theory]
    [InlineData(1, true, false, 1)]
    [InlineData(4, false, false, 2)]
    [InlineData(3, false, true, 1)]
    [InlineData(2, true, true, 2)]
    public void Steps_give_the_logits_of_the_whole_text(int batch, bool tied, bool compressedTables, int threads)
    {
        const int Length = 12, Prompt = 5;
        using TransformerModel<float> model =
            TransformerModel<float>.Create(s_config with { TiedHead = tied }, s_options, 3, compressedTables ? s_options : null);
        using Workspace<float> workspace = new(threads);
        using KvCache<float> cache = new(model.Config, batch, Length);
        int v = s_config.Vocabulary;
        int[] tokens = [.. Enumerable.Range(0, batch * Length).Select(i => i * 31 % v)];
        float[] whole = model.Logits(tokens, batch, Length, workspace), logits = new float[batch * v];
        for (int end = Prompt, first = 0; end <= Length; first = end, end++)
        {
            int[] part = [.. Enumerable.Range(0, batch).SelectMany(b => tokens[((b * Length) + first)..((b * Length) + end)])];
            model.LastLogits(part, batch, end - first, workspace, cache, logits);
            float[] expected = [.. Enumerable.Range(0, batch).SelectMany(b => whole[(((b * Length) + end - 1) * v)..(((b * Length) + end) * v)])];
            Assert.InRange(Numbers.RelativeError(expected, logits), 0, Tolerance);
        }

        Assert.Equal(Length, cache.Length);
        Assert.Throws<TokenException>(() => model.LastLogits(tokens[..batch], batch, 1, workspace, cache, logits));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    public void A_copy_for_inference_has_the_logits_of_its_model_or_of_rounded_coefficients(int runLength)
    {
        RbeOptions options = s_options with { Format = RbeFormat.Sparse(256, runLength == 1 ? SupportRule.Random(1) : SupportRule.Runs(16)) };
        using TransformerModel<float> model = TransformerModel<float>.Create(s_config, options, 3);
        using TransformerModel<float> same = model.ToInference(), rounded = model.ToInference(WeightPrecision.BFloat16);
        float[] expected = Steps(model);
        Assert.InRange(Numbers.RelativeError(expected, Steps(same)), 0, Tolerance);

        // What a copy adds to its model: coefficients, two bytes of each less where they are rounded (blocks of free places hold some zeros
        // besides), and places.
        long count = model.Parameters.Slices.Where(s => s.Kind == ParameterKind.Coefficient).Sum(s => (long)s.Length);
        Assert.InRange((double)(same.NativeBytes - rounded.NativeBytes) / (sizeof(ushort) * count), 0.98, runLength == 1 ? 1.5 : 1.02);
        Assert.InRange((double)(rounded.NativeBytes - model.NativeBytes) / (sizeof(ushort) * count), 1, 2);
        double difference = Numbers.RelativeError(expected, Steps(rounded));

        // Each coefficient moves by at most 2^-9 of itself, in ten products one after the other.
        Assert.InRange(difference, 1e-5, 10 * Math.Pow(2, -9));
        using Workspace<float> workspace = new(1);
        float[] logits = rounded.Logits([1, 2, 3, 4, 5], 1, 5, workspace)[^s_config.Vocabulary..];
        Assert.InRange(Numbers.RelativeError(logits, Steps(rounded)), 0, Tolerance);

        static float[] Steps(TransformerModel<float> model)
        {
            using Workspace<float> workspace = new(1);
            using KvCache<float> cache = new(model.Config, 1, 8);
            float[] logits = new float[s_config.Vocabulary];
            for (int token = 1; token <= 5; token++) model.LastLogits([token], 1, 1, workspace, cache, logits);
            return logits;
        }
    }

    [Fact]
    public void A_copy_of_eight_bits_has_the_logits_of_its_trellis_but_for_their_steps()
    {
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Trellis(3) };
        BlockWeights weights = BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(s_config, 1), s_config, options);
        using TransformerModel<float> model = new(TransformerWeights.CreateRandom(s_config, s_options, 1) with { Blocks = [weights, weights] });
        using TransformerModel<float> copy = model.ToInference(WeightPrecision.Int8);
        using Workspace<float> workspace = new(1);
        float[] expected = Last(model), panels = Last(copy), steps = new float[s_config.Vocabulary];
        using KvCache<float> cache = new(copy.Config, 1, 8);
        for (int token = 1; token <= 5; token++) copy.LastLogits([token], 1, 1, workspace, cache, steps);
        Assert.Equal(RbeFormat.Trellis(8) with { Outliers = 8 }, copy.GetWeights().Blocks[0].Query.Format);
        Assert.InRange(Numbers.RelativeError(panels, steps), 0, Tolerance);

        // A coefficient moves by at most 1/222 of the largest of its group on average, which is at most 3.7 standard deviations, in ten
        // products one after the other.
        Assert.InRange(Numbers.RelativeError(expected, panels), 1e-5, 10 * 3.7 / 222);

        float[] Last(TransformerModel<float> of) => of.Logits([1, 2, 3, 4, 5], 1, 5, workspace)[^s_config.Vocabulary..];
    }

    [Fact]
    public void A_copy_for_inference_cannot_be_trained()
    {
        using TransformerModel<float> copy = TransformerModel<float>.Create(s_config, s_options, 3).ToInference();
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(copy, workspace);
        using ParameterVector<float> gradients = copy.Parameters.CreateLike();
        Assert.Contains("ToInference",
            Assert.Throws<InvalidOperationException>(() => copy.Loss([1, 2], [2, 3], 1, 2, context, null, gradients)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidSettingException>(() => copy.ToInference((WeightPrecision)7));
    }

    [Fact]
    public void A_truncated_cache_continues_where_it_was_cut()
    {
        using TransformerModel<float> model = TransformerModel<float>.Create(s_config, s_options, 3);
        using Workspace<float> workspace = new(1);
        using LayerKvCache<float> cache = new(1, 3, 16, 8);
        float[] x = Numbers.Normal(48, 1), other = Numbers.Normal(48, 2);
        float[] first = Step(x), second = Step(other);
        cache.Truncate(1);
        Assert.Equal(second, Step(other));
        cache.Truncate(0);
        Assert.Equal(first, Step(x));
        Assert.Throws<InvalidSettingException>(() => cache.Truncate(2));
        Assert.Throws<InvalidSettingException>(() => cache.Truncate(-1));

        float[] Step(float[] input) => model.Blocks[0].Forward(input, 1, 1, new ForwardOptions<float> { Cache = cache }, null, workspace).Output;
    }
}
