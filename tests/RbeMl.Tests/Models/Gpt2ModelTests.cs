using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Models;

public class Gpt2ModelTests
{
    private static readonly TransformerConfig s_config = new() { Width = 32, Heads = 2, Layers = 2, Vocabulary = 45, MaxSequenceLength = 24 };
    private static readonly RbeOptions s_options = new() { Tile = 32, Format = RbeFormat.Sparse(128, SupportRule.Runs(8)) };

    /// <summary>
    /// All parameter groups of a whole model, tied and untied, dense and compressed tables, against five-point differences; see the block's
    /// test for the tolerance.
    /// </summary>
    [Theory]
    [InlineData(true, false, 0)]
    [InlineData(false, false, 0.1f)]
    [InlineData(true, true, 0.1f)]
    [InlineData(false, true, 0)]
    [InlineData(true, false, 0.1f, true)]
    public void Gradients_match_central_differences(bool tied, bool compressedTables, float dropout, bool documents = false)
    {
        TransformerConfig config = s_config with { TiedHead = tied, Dropout = dropout };
        TransformerModel<double> model = TransformerModel<double>.Create(config, s_options, 3, compressedTables ? s_options : null);
        Random random = new(4);
        foreach (ParameterSlice slice in model.Parameters.Slices)
        {
            // Away from the flat start. A basis function is as long as a tile has edges, so an alpha weighs that much more than a coefficient.
            double noise = slice.Kind == ParameterKind.Alpha ? 0.1 / 32 : 0.1;
            Span<double> values = model.Parameters.Of(slice);
            for (int i = 0; i < values.Length; i++) values[i] = (values[i] * 5) + ((random.NextDouble() - 0.5) * noise);
        }

        using Workspace<double> workspace = new(2);
        using TransformerContext<double> context = new(model, workspace);
        int[] tokens = [.. Enumerable.Range(0, 3 * 24).Select(_ => random.Next(45))],
            targets = [.. Enumerable.Range(0, 3 * 24).Select(i => i % 7 == 0 ? -1 : random.Next(45))];
        DropoutStep? step = dropout > 0 ? new DropoutStep(3, 9) : null;
        int[] positions = documents ? [.. ((int[])[9, 15, 24, 1, 1, 22]).SelectMany(count => Enumerable.Range(0, count))] : []; // of documents in rows of 24
        ParameterVector<double> gradients = model.Parameters.CreateLike();
        double loss = model.Loss(tokens, targets, 3, 24, context, step, gradients, positions: positions);
        Assert.Equal(loss, model.Loss(tokens, targets, 3, 24, context, step, positions: positions), 1e-12);
        foreach (ParameterSlice slice in model.Parameters.Slices)
        {
            double[] direction = [.. Enumerable.Range(0, slice.Length).Select(_ => (random.NextDouble() * 2) - 1)];
            double h = (slice.Kind == ParameterKind.Alpha ? 2e-4 / 32 : 2e-4) / Math.Sqrt(slice.Length), actual = 0, scale = 0;
            double At(double offset)
            {
                Move(model.Parameters.Of(slice), direction, offset);
                double value = model.Loss(tokens, targets, 3, 24, context, step, positions: positions);
                Move(model.Parameters.Of(slice), direction, -offset);
                return value;
            }

            double expected = ((8 * (At(h) - At(-h))) - (At(2 * h) - At(-2 * h))) / (12 * h);
            Span<double> g = gradients.Of(slice);
            for (int i = 0; i < direction.Length; i++)
            {
                actual += g[i] * direction[i];
                scale += g[i] * direction[i] * g[i] * direction[i];
            }

            double tolerance = (100 * 2.2e-16 / h) + (1e-6 * Math.Max(Math.Abs(expected), Math.Sqrt(scale)));
            Assert.True(Math.Abs(expected - actual) <= tolerance, $"{slice.Name}: difference quotient {expected:R}, gradient {actual:R}");
            Assert.Equal(slice.Name.EndsWith("key.bias", StringComparison.Ordinal), Math.Sqrt(scale) < 1e-12);
        }
    }

    [Fact]
    public void Loss_of_an_untrained_model_is_that_of_a_uniform_guess()
    {
        TransformerModel<float> model = TransformerModel<float>.Create(s_config, s_options, 1);
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace);
        int[] tokens = [.. Enumerable.Range(0, 48).Select(i => i * 7 % 45)], targets = [.. Enumerable.Range(0, 48).Select(i => i * 11 % 45)];
        // Logits of a fresh model have deviation 0.02 sqrt(32) = 0.1, so the mean loss is ln V within a few hundredths.
        Assert.Equal(Math.Log(45), model.Loss(tokens, targets, 2, 24, context), 0.08);
    }

    [Theory]
    [InlineData(CheckpointPolicy.Selective, 1)]
    [InlineData(CheckpointPolicy.Full, 2)]
    [InlineData(CheckpointPolicy.None, 3)]
    public void Policies_and_threads_change_no_bit_of_loss_and_gradients(CheckpointPolicy policy, int threads)
    {
        (double loss, float[] gradients) = Run(CheckpointPolicy.None, 1);
        (double loss2, float[] gradients2) = Run(policy, threads);
        Assert.Equal(BitConverter.DoubleToInt64Bits(loss), BitConverter.DoubleToInt64Bits(loss2));
        Assert.Equal(gradients.Select(BitConverter.SingleToInt32Bits), gradients2.Select(BitConverter.SingleToInt32Bits));

        static (double Loss, float[] Gradients) Run(CheckpointPolicy policy, int threads)
        {
            TransformerModel<float> model = TransformerModel<float>.Create(s_config with { Dropout = 0.1f }, s_options, 1, s_options);
            using Workspace<float> workspace = new(threads);
            using TransformerContext<float> context = new(model, workspace, policy);
            ParameterVector<float> g = model.Parameters.CreateLike();
            int[] tokens = [.. Enumerable.Range(0, 168).Select(i => i * 7 % 45)], targets = [.. Enumerable.Range(0, 168).Select(i => i * 11 % 45)];
            double loss = model.Loss(tokens, targets, 7, 24, context, new DropoutStep(1, 2), g);
            return (loss, [.. g.Slices.SelectMany(s => g.Of(s).ToArray())]);
        }
    }

    [Fact]
    public void Cached_logits_equal_those_of_the_whole_sequence()
    {
        TransformerModel<float> model = TransformerModel<float>.Create(s_config, s_options, 1);
        using Workspace<float> workspace = new(1);
        int[] tokens = [.. Enumerable.Range(0, 2 * 20).Select(i => i * 7 % 45)];
        float[] whole = model.Logits(tokens, 2, 20, workspace);
        using KvCache<float> cache = new(s_config, 2, 24);
        float[] last = new float[2 * 45];
        for (int start = 0; start < 20;)
        {
            int count = start == 0 ? 10 : 1;
            int[] part = [.. Enumerable.Range(0, 2).SelectMany(b => tokens.Skip(b * 20 + start).Take(count))];
            model.LastLogits(part, 2, count, workspace, cache, last);
            start += count;
            for (int b = 0; b < 2; b++) Assert.InRange(Numbers.RelativeError(whole.AsSpan((b * 20 + start - 1) * 45, 45), last.AsSpan(b * 45, 45)), 0, 1e-5);
        }
    }

    [Fact]
    public void Weights_survive_the_way_out_and_in()
    {
        TransformerModel<float> model = TransformerModel<float>.Create(s_config with { TiedHead = false }, s_options, 1, s_options);
        TransformerModel<float> again = new(model.GetWeights());
        using Workspace<float> workspace = new(1);
        int[] tokens = [.. Enumerable.Range(0, 20)];
        Assert.Equal(model.Logits(tokens, 1, 20, workspace), again.Logits(tokens, 1, 20, workspace));
    }

    [Fact]
    public void Bad_tokens_and_weights_are_refused()
    {
        TransformerModel<float> model = TransformerModel<float>.Create(s_config, s_options, 1);
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace);
        Assert.Contains("token id 45", Assert.Throws<TokenException>(() => model.Logits([1, 45], 1, 2, workspace)).Message, StringComparison.Ordinal);
        Assert.Throws<TokenException>(() => model.Logits([-1], 1, 1, workspace));
        Assert.Contains("24 positions", Assert.Throws<TokenException>(() => model.Logits(new int[25], 1, 25, workspace)).Message, StringComparison.Ordinal);
        Assert.Throws<ShapeMismatchException>(() => model.Logits([1, 2, 3], 2, 2, workspace));
        Assert.Throws<TokenException>(() => model.Loss([1, 2], [-1, -1], 1, 2, context));
        Assert.Throws<TokenException>(() => model.Loss([1, 2], [1, 45], 1, 2, context));
        using KvCache<float> cache = new(s_config, 1, 4);
        Assert.Throws<TokenException>(() => model.Logits(new int[5], 1, 5, workspace, cache));
        TransformerWeights weights = model.GetWeights();
        Assert.Throws<ShapeMismatchException>(() => new TransformerModel<float>(weights with { PositionEmbedding = new float[3] }));
        Assert.Throws<InvalidSettingException>(() => new TransformerModel<float>(weights with { Config = s_config with { TiedHead = false } }));
    }

    [Fact]
    public void A_layer_that_makes_NaN_is_named()
    {
        TransformerModel<float> model = TransformerModel<float>.Create(s_config, s_options, 1);
        model.Parameters.Of(model.Parameters.Find("blocks.1.feedforward.contract.coefficients"))[3] = float.NaN;
        using Workspace<float> workspace = new(1);
        using TransformerContext<float> context = new(model, workspace);
        Assert.Equal("blocks.1", Assert.Throws<NonFiniteException>(() => model.Loss(new int[8], new int[8], 1, 8, context)).Where);
    }

    private static void Move(Span<double> values, double[] direction, double h)
    {
        for (int i = 0; i < direction.Length; i++) values[i] += h * direction[i];
    }
}
