using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

public class SimilarityGradientTests
{
    private static readonly TransformerConfig s_config = new()
    {
        Width = 32,
        FeedForwardWidth = 64,
        Heads = 2,
        Layers = 2,
        Vocabulary = 19,
        MaxSequenceLength = 24,
    };
    private static readonly RbeOptions s_options = new() { Tile = 32, Format = RbeFormat.Sparse(128, SupportRule.Runs(8)) };
    private static readonly int[] s_lengths = [5, 24, 1, 17, 9, 16, 3, 8];
    private static readonly int[] s_groups = [0, 0, 1, 1, 0, 2, 3, 1]; // 2 and 3 have no partner
    private static readonly float[] s_targets = [1, -0.5f, 0, 0.25f];

    /// <summary>
    /// Every group of the model, ragged lengths, against five-point differences: error of the quotient from rounding 100 eps / h, from the step h^4 times a
    /// fifth derivative, below 1e-6 of the gradient.
    /// </summary>
    [Theory]
    [InlineData(SimilarityLoss.Cosine, Pooling.Mean, 0, false)]
    [InlineData(SimilarityLoss.Cosine, Pooling.Last, 0.2f, false)]
    [InlineData(SimilarityLoss.Contrastive, Pooling.Mean, 0.2f, false)]
    [InlineData(SimilarityLoss.Contrastive, Pooling.Max, 0, false)]
    [InlineData(SimilarityLoss.Cosine, Pooling.First, 0.2f, true)]
    [InlineData(SimilarityLoss.Contrastive, Pooling.Mean, 0, true)]
    public void Gradients_match_central_differences(SimilarityLoss kind, Pooling pooling, float dropout, bool encoder)
    {
        TransformerConfig config = s_config with { Dropout = dropout };
        if (encoder) config = config with { Order = BlockOrder.PostNorm, Causal = false };
        using TransformerModel<double> model = TransformerModel<double>.Create(config, s_options, 3);
        Random random = new(4);
        foreach (ParameterSlice slice in model.Parameters.Slices)
        {
            double noise = slice.Kind == ParameterKind.Alpha ? 0.1 / 32 : 0.1;
            Span<double> values = model.Parameters.Of(slice);
            for (int i = 0; i < values.Length; i++) values[i] = (values[i] * 5) + ((random.NextDouble() - 0.5) * noise);
        }

        using Workspace<double> workspace = new(2);
        using SimilarityStep<double> step = new(model, pooling, kind, 0.3, workspace);
        int[] tokens = [.. Enumerable.Range(0, s_lengths.Sum()).Select(_ => random.Next(19))];
        DropoutStep? stream = dropout > 0 ? new DropoutStep(3, 9) : null;
        using ParameterVector<double> gradients = model.Parameters.CreateLike();
        double Loss() => step.Loss(tokens, s_lengths, s_groups, s_targets, 0, stream);
        Assert.Equal(step.Loss(tokens, s_lengths, s_groups, s_targets, 0, stream, gradients), Loss(), 1e-12);
        foreach (ParameterSlice slice in model.Parameters.Slices)
        {
            double[] direction = [.. Enumerable.Range(0, slice.Length).Select(_ => (random.NextDouble() * 2) - 1)];
            double h = (slice.Kind == ParameterKind.Alpha ? 1e-4 / 32 : 1e-4) / Math.Sqrt(slice.Length), actual = 0, scale = 0;
            double At(double offset)
            {
                Move(model.Parameters.Of(slice), direction, offset);
                double value = Loss();
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

            // A key's bias moves all scores of a query alike.
            Assert.Equal(slice.Name.EndsWith("key.bias", StringComparison.Ordinal), Math.Sqrt(scale) < 1e-12);
        }
    }

    /// <summary>A batch in parts runs twice, so that every row sees all others: the same bits.</summary>
    [Theory]
    [InlineData(SimilarityLoss.Cosine)]
    [InlineData(SimilarityLoss.Contrastive)]
    public void Parts_of_a_batch_change_no_bit(SimilarityLoss kind)
    {
        using TransformerModel<float> model =
            TransformerModel<float>.Create(s_config with { MaxSequenceLength = 64, Dropout = 0.1f }, s_options, 3);
        int[] lengths = [64, 64, 64, 64], tokens = [.. Enumerable.Range(0, 256).Select(i => i * 7 % 19)];
        Assert.Equal(Run(1, null), Run(3, new ActivationSettings { PartSequences = 1 }));

        float[] Run(int threads, ActivationSettings? settings)
        {
            using Workspace<float> workspace = new(threads);
            using SimilarityStep<float> step = new(model, Pooling.Mean, kind, 0.1, workspace, settings);
            using ParameterVector<float> gradients = model.Parameters.CreateLike();
            double loss = step.Loss(tokens, lengths, [0, 0, 1, 0], [1, 0], 0, new DropoutStep(5, 2), gradients);
            double forward = step.Loss(tokens, lengths, [0, 0, 1, 0], [1, 0], 0, new DropoutStep(5, 2));
            Assert.Equal(loss, forward);
            return [.. gradients.Slices.SelectMany(gradients.ToFloats), (float)loss];
        }
    }

    private static void Move(Span<double> values, double[] direction, double h)
    {
        for (int i = 0; i < direction.Length; i++) values[i] += h * direction[i];
    }
}
