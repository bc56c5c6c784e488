using System.Numerics;
using RbeMl.Kernels;

namespace RbeMl.Tests.Kernels;

/// <summary>
/// Large finite masks. Queries and keys are small whole numbers and the scale is a power of two, so scores are exact and float rounds score + mask once,
/// whatever the order of the sum; the double reference gets the scores as rounded.
/// </summary>
public sealed unsafe class AttentionMaskTests
{
    private const int HeadWidth = 16;

    private static readonly float[] Shifts = [0f, 1e4f, -1e4f, -1e5f, -1e9f, 3e38f, float.MinValue / 2, float.MinValue];

    public static TheoryData<int> Lanes => LaneCases.All;

    private static AttentionShape[] Shapes =>
    [
        new(HeadWidth, 20, 20, Causal: true, Additive: true, Weights: true),
        new(HeadWidth, 70, 135, Causal: true, Additive: true, Weights: true, ExtraStride: 16),
        new(HeadWidth, 70, 75, Causal: false, Padding: true, Additive: true, Weights: true),
        new(HeadWidth, 70, 75, Causal: true, Additive: true, Dropout: 0.25f, Weights: true),
        new(HeadWidth, 1, 40, Causal: true, Additive: true, Weights: true),
        new(HeadWidth, 1, 40, Causal: true, Additive: true),
        new(HeadWidth, 1, 1100, Causal: true, Padding: true, Additive: true),
    ];

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Shifted_scores_match_the_reference(int lanes)
    {
        foreach (AttentionShape shape in Shapes)
        {
            foreach (float shift in Shifts)
            {
                // The mask on all keys, then as for padding on the left: with causal attention the first queries see masked keys only.
                foreach (int masked in new[] { shape.Keys, shape.Keys - shape.Queries + 7 })
                {
                    using AttentionCase<float> actual = Whole<float>(shape);
                    using AttentionCase<double> expected = Whole<double>(shape);
                    Mask(actual, shift, masked);
                    RoundedMask(expected, shift, masked);
                    Run(lanes, actual);
                    string what = FormattableString.Invariant($"{lanes} lanes, {shift} on {masked} keys, {shape}");
                    AttentionKernelTests.MatchesReference(expected, actual, shape, what);
                    if (shape.Weights && shape.Dropout == 0) RowsSumToOne(actual.Weights.Span, shape.Keys, what);
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void A_shift_that_rounds_no_score_changes_no_bit(int lanes)
    {
        foreach (AttentionShape shape in Shapes)
        {
            using AttentionCase<float> plain = Whole<float>(shape);
            Mask(plain, 0, shape.Keys);
            Run(lanes, plain);

            // Scores are multiples of 1/4, floats of this size are spaced more closely.
            foreach (float shift in new[] { 1e4f, -1e4f, -1e5f })
            {
                using AttentionCase<float> shifted = Whole<float>(shape);
                Mask(shifted, shift, shape.Keys);
                Run(lanes, shifted);
                Same(plain, shifted);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Large_masks_hide_keys_next_to_unmasked_ones(int lanes)
    {
        foreach (AttentionShape shape in new AttentionShape[]
        {
            new(HeadWidth, 70, 150, Causal: false, Additive: true, Weights: true),
            new(HeadWidth, 70, 150, Causal: true, Additive: true, Dropout: 0.25f, Weights: true),
            new(HeadWidth, 1, 40, Causal: true, Additive: true),
            new(HeadWidth, 1, 2100, Causal: true, Additive: true),
        })
        {
            // Whole blocks of keys before the first that a query sees.
            int masked = shape.Keys - shape.Queries;
            using AttentionCase<float> hidden = Whole<float>(shape);
            Mask(hidden, float.NegativeInfinity, masked);
            Run(lanes, hidden);
            foreach (float large in new[] { -1e9f, float.MinValue })
            {
                using AttentionCase<float> actual = Whole<float>(shape);
                Mask(actual, large, masked);
                Run(lanes, actual);
                Same(hidden, actual);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void A_single_query_has_the_scores_that_the_backward_computes(int lanes)
    {
        // Numbers that round, and head widths around those at which sums are made in parts. With one key shown the maximum is its score.
        const int Keys = 40;
        foreach (int width in new[] { 1, 3, 13, 64, 128, 255, 256, 257, 300 })
        {
            using AttentionCase<float> c = new(new(width, 1, Keys, Causal: true, Padding: true, Additive: true, Weights: true));
            c.Mask.Span.Fill(0.3f);
            for (int shown = 0; shown < Keys; shown++)
            {
                AttentionProblem<float> p = c.Problem;
                for (int s = 0; s < Keys; s++) p.KeyPadding[s] = (byte)(s == shown ? 1 : 0);
                AttentionKernelTests.Forward(lanes, p);
                float blocks = p.RowStatistics[0];
                p.Weights = null;
                AttentionKernelTests.Forward(lanes, p);
                Assert.Equal(blocks, p.RowStatistics[0]);
                Assert.Equal(1f, p.RowStatistics[p.QueryStride]);
            }
        }
    }

    // A case whose queries and keys are whole numbers of at most 3.
    private static AttentionCase<T> Whole<T>(AttentionShape shape)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        AttentionCase<T> c = new(shape);
        T most = T.CreateTruncating(3);
        foreach (ref T value in c.Q.Span) value = T.Clamp(T.Round(value), -most, most);
        foreach (ref T value in c.K.Span) value = T.Clamp(T.Round(value), -most, most);
        return c;
    }

    private static void Mask(AttentionCase<float> c, float shift, int masked)
    {
        for (int i = 0; i < c.Mask.Length; i++) c.Mask.Pointer[i] = i % c.Problem.Keys < masked ? shift : 0;
    }

    // The mask that turns the exact score into that of float.
    private static void RoundedMask(AttentionCase<double> c, float shift, int masked)
    {
        AttentionProblem<double> p = c.Problem;
        for (int t = 0; t < p.Queries; t++)
        {
            for (int s = 0; s < p.Keys; s++)
            {
                double score = 0;
                for (int d = 0; d < HeadWidth; d++) score += p.Q[d * p.QueryStride + t] * p.K[d * p.KeyStride + s] * p.Scale;
                float rounded = (float)score + (s < masked ? shift : 0f);
                c.Mask.Pointer[t * p.Keys + s] = rounded - score;
            }
        }
    }

    private static void Run(int lanes, AttentionCase<float> c)
    {
        AttentionKernelTests.Forward(lanes, c.Problem);
        AttentionKernelTests.Backward(lanes, c.Problem);
    }

    // Each of the keys adds a rounding to the sum and has a few of its own.
    private static void RowsSumToOne(Span<float> weights, int keys, string what)
    {
        for (int t = 0; t < weights.Length / keys; t++)
        {
            double sum = 0;
            foreach (float weight in weights.Slice(t * keys, keys)) sum += weight;
            Assert.True(Math.Abs(sum - 1) <= (keys + 8) * LaneCases.Rounding, FormattableString.Invariant($"{what}: weights of query {t} sum to {sum}"));
        }
    }

    private static void Same(AttentionCase<float> expected, AttentionCase<float> actual)
    {
        Assert.Equal(expected.Output.Span, actual.Output.Span);
        Assert.Equal(expected.QGradient.Span, actual.QGradient.Span);
        Assert.Equal(expected.KGradient.Span, actual.KGradient.Span);
        Assert.Equal(expected.VGradient.Span, actual.VGradient.Span);
        Assert.Equal(expected.Weights.Span, actual.Weights.Span);
    }
}
