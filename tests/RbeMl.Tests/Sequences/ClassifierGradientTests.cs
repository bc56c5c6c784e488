using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.Tests.Sequences;

public class ClassifierGradientTests
{
    private static readonly TransformerConfig s_config = new() { Width = 32, Heads = 2, Layers = 2, Vocabulary = 19, MaxSequenceLength = 24 };
    private static readonly RbeOptions s_options = new() { Tile = 32, Format = RbeFormat.Sparse(128, SupportRule.Runs(8)) };
    private static readonly int[] s_lengths = [5, 24, 1, 17, 9, 16];
    private static readonly int[] s_labels = [0, 2, 1, 1, 0, 2];

    /// <summary>
    /// Every group of the head and of the model, ragged lengths, against five-point differences: error of the quotient from rounding 100 eps / h, from the
    /// step h^4 times a fifth derivative, below 1e-6 of the gradient.
    /// </summary>
    [Theory]
    [InlineData(Pooling.Mean, 0, true, false)]
    [InlineData(Pooling.Last, 0.2f, true, false)]
    [InlineData(Pooling.Max, 0, false, false)]
    [InlineData(Pooling.Max, 0.2f, true, false)]
    [InlineData(Pooling.First, 0, true, true)]
    [InlineData(Pooling.Mean, 0.2f, true, true)]
    [InlineData(Pooling.Mean, 0, true, true, true)]
    [InlineData(Pooling.Max, 0.2f, true, false, true)]
    public void Gradients_match_central_differences(Pooling pooling, float dropout, bool tied, bool encoder, bool normalize = false)
    {
        TransformerConfig config = s_config with { Dropout = dropout, TiedHead = tied };
        if (encoder) config = config with { Order = BlockOrder.PostNorm, Causal = false };
        TransformerModel<double> model = TransformerModel<double>.Create(config, s_options, 3);
        ClassifierConfig classes = new() { Classes = 3, Pooling = pooling, Normalize = normalize, Dropout = dropout };
        using SequenceClassifier<double> classifier = new(model, classes, 5);
        Random random = new(4);
        foreach (ParameterVector<double> vector in (ParameterVector<double>[])[model.Parameters, classifier.Head])
        {
            foreach (ParameterSlice slice in vector.Slices)
            {
                double noise = slice.Kind == ParameterKind.Alpha ? 0.1 / 32 : 0.1;
                Span<double> values = vector.Of(slice);
                for (int i = 0; i < values.Length; i++) values[i] = (values[i] * 5) + ((random.NextDouble() - 0.5) * noise);
            }
        }

        using Workspace<double> workspace = new(2);
        using ClassifierContext<double> context = new(classifier, workspace);
        int[] tokens = [.. Enumerable.Range(0, s_lengths.Sum()).Select(_ => random.Next(19))];
        DropoutStep? step = dropout > 0 ? new DropoutStep(3, 9) : null;
        using ParameterVector<double> modelGradients = model.Parameters.CreateLike(), headGradients = classifier.Head.CreateLike();
        double Loss() => classifier.Loss(tokens, s_lengths, s_labels, context, step);
        double loss = classifier.Loss(tokens, s_lengths, s_labels, context, step, modelGradients, headGradients);
        Assert.Equal(loss, Loss(), 1e-12);
        if (dropout == 0) RequireMeanOfThoseAlone(classifier, context, tokens, loss);
        foreach ((ParameterVector<double> vector,
            ParameterVector<double> gradients) in ((ParameterVector<double>, ParameterVector<double>)[])[(classifier.Head, headGradients),
                (model.Parameters, modelGradients)])
        {
            foreach (ParameterSlice slice in vector.Slices)
            {
                double[] direction = [.. Enumerable.Range(0, slice.Length).Select(_ => (random.NextDouble() * 2) - 1)];
                double h = (slice.Kind == ParameterKind.Alpha ? 1e-4 / 32 : 1e-4) / Math.Sqrt(slice.Length), actual = 0, scale = 0;
                double At(double offset)
                {
                    Move(vector.Of(slice), direction, offset);
                    double value = Loss();
                    Move(vector.Of(slice), direction, -offset);
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

                // A key's bias moves all scores of a query alike; a head of the language model is not used.
                Assert.Equal(slice.Name.EndsWith("key.bias", StringComparison.Ordinal) || slice.Name == "head", Math.Sqrt(scale) < 1e-12);
            }
        }
    }

    // No text notices what the others of its batch are padded with.
    private static void RequireMeanOfThoseAlone(SequenceClassifier<double> classifier, ClassifierContext<double> context, int[] tokens, double loss)
    {
        double sum = 0;
        for (int b = 0, start = 0; b < s_lengths.Length; start += s_lengths[b++])
        {
            sum += classifier.Loss(tokens.AsSpan(start, s_lengths[b]), s_lengths.AsSpan(b, 1), s_labels.AsSpan(b, 1), context);
        }

        Assert.Equal(sum / s_lengths.Length, loss, 1e-10);
    }

    private static void Move(Span<double> values, double[] direction, double h)
    {
        for (int i = 0; i < direction.Length; i++) values[i] += h * direction[i];
    }
}
