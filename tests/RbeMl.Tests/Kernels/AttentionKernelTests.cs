using RbeMl.Kernels;
using RbeMl.Numerics;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class AttentionKernelTests
{
    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Lengths_match_the_reference(int lanes)
    {
        foreach (int queries in new[] { 1, 2, 5, 15, 16, 17, 33, 63, 64, 65, 100, 130 })
        {
            Check(lanes, new(13, queries, queries, Causal: true));
            Check(lanes, new(8, queries, queries + 7, Causal: true, ExtraStride: 16));
            Check(lanes, new(8, queries, 70, Causal: false));
        }

        Check(lanes, new(16, 300, 300, Causal: true, Weights: true));
        Check(lanes, new(64, 1, 257, Causal: true, Weights: true));
        Check(lanes, new(16, 100, 40, Causal: true, Weights: true)); // the first queries come before every key
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void A_single_query_matches_the_reference(int lanes)
    {
        for (int keys = 1; keys <= 70; keys++) Check(lanes, new(13, 1, keys, Causal: true, Padding: keys % 2 == 0, Additive: keys % 3 == 0));
        Check(lanes, new(64, 1, 1500, Causal: true));
        Check(lanes, new(6, 1, 2100, Causal: false, Padding: true, Additive: true, ExtraStride: 48, HiddenKeys: 1100));
        Check(lanes, new(6, 1, 40, Causal: true, Padding: true, HiddenKeys: 40));
        Check(lanes, new(6, 1, 40, Causal: true, Dropout: 0.5f));
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Head_widths_match_the_reference(int lanes)
    {
        foreach (int width in new[] { 1, 8, 13, 32, 64, 80, 128 }) Check(lanes, new(width, 70, 75, Causal: true, Dropout: 0.2f, Weights: true));
        Check(0, new(64, 64, 64, Causal: true));
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Masks_and_dropout_match_the_reference(int lanes)
    {
        for (int options = 0; options < 64; options++)
        {
            int past = (options & 8) != 0 ? 66 : 0;
            Check(lanes, new(
                8, 67, 67 + past, Causal: (options & 1) != 0, Padding: (options & 2) != 0, Additive: (options & 4) != 0,
                Dropout: (options & 16) != 0 ? 0.25f : 0,
                Weights: (options & 32) != 0, ExtraStride: 32, HiddenKeys: past));
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Queries_that_see_nothing_give_zeros(int lanes)
    {
        // All keys hidden; and, causal, only those the first 70 queries could see.
        foreach (int hidden in new[] { 150, 70 })
        {
            AttentionShape shape = new(8, 150, 150, Causal: true, Padding: true, Dropout: 0.1f, HiddenKeys: hidden);
            using AttentionCase<float> actual = new(shape);
            Forward(lanes, actual.Problem);
            Backward(lanes, actual.Problem);
            AttentionProblem<float> p = actual.Problem;
            for (int t = 0; t < hidden; t++)
            {
                Assert.Equal(float.NegativeInfinity, p.RowStatistics[t]);
                Assert.Equal(0f, p.RowStatistics[p.QueryStride + t]);
                for (int d = 0; d < 8; d++)
                {
                    Assert.Equal(0f, p.Output[d * p.QueryStride + t]);
                    Assert.Equal(0f, p.QGradient[d * p.QueryStride + t]);
                    Assert.Equal(0f, p.KGradient[d * p.KeyStride + t]);
                    Assert.Equal(0f, p.VGradient[d * p.KeyStride + t]);
                }
            }

            Check(lanes, shape);
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void A_nan_query_spoils_only_its_own_output(int lanes)
    {
        using AttentionCase<float> actual = new(new(8, 40, 90, Causal: false, Weights: true));
        AttentionProblem<float> p = actual.Problem;
        p.Q[3 * p.QueryStride + 21] = float.NaN;
        Forward(lanes, p);
        for (int t = 0; t < 40; t++)
        {
            for (int d = 0; d < 8; d++) Assert.Equal(t == 21, float.IsNaN(p.Output[d * p.QueryStride + t]));
            for (int s = 0; s < 90; s++) Assert.Equal(t == 21, float.IsNaN(p.Weights[t * 90 + s]));
        }
    }

    [Fact]
    public void Large_scores_do_not_overflow()
    {
        AttentionShape shape = new(16, 20, 90, Causal: true);
        using AttentionCase<float> actual = new(shape);
        AttentionProblem<float> p = actual.Problem;
        for (int i = 0; i < actual.Q.Length; i++) actual.Q.Pointer[i] *= 1000;
        AttentionKernel.Forward(in p);
        for (int d = 0; d < 16; d++)
        {
            for (int t = 0; t < 20; t++) Assert.True(float.IsFinite(p.Output[d * p.QueryStride + t]));
        }
    }

    [Theory]
    [InlineData(false, false, false, 0f, 0)]
    [InlineData(true, false, false, 0f, 0)]
    [InlineData(true, true, false, 0f, 0)]
    [InlineData(false, false, true, 0f, 0)]
    [InlineData(true, true, true, 0.3f, 4)]
    [InlineData(true, false, false, 0.3f, 0)]
    [InlineData(true, false, false, 0f, 4)]
    [InlineData(false, true, true, 0.3f, 2)]
    public void The_reference_gradient_matches_differences(bool causal, bool padding, bool additive, float dropout, int past)
    {
        using AttentionCase<double> c = new(new(3, 6, 6 + past, causal, padding, additive, dropout));
        AttentionProblem<double> p = c.Problem;
        AttentionKernel.Forward(in p);
        AttentionKernel.Backward(in p);
        foreach ((string what, bool keys, nint data, nint gradient) in new[]
        {
            ("q", false, (nint)p.Q, (nint)p.QGradient), ("k", true, (nint)p.K, (nint)p.KGradient), ("v", true, (nint)p.V, (nint)p.VGradient),
        })
        {
            int columns = keys ? p.Keys : p.Queries, stride = keys ? p.KeyStride : p.QueryStride;
            double[] point = Pack((double*)data, columns, stride), expected = Pack((double*)gradient, columns, stride);
            LaneCases.MatchesDifferences(point, expected, () =>
            {
                for (int i = 0; i < point.Length; i++) ((double*)data)[i / columns * stride + i % columns] = point[i];
                AttentionProblem<double> q = c.Problem;
                AttentionKernel.Forward(in q);
                double loss = 0;
                for (int i = 0; i < 3 * q.QueryStride; i++) loss += q.Output[i] * q.OutputGradient[i];
                return loss;
            }, what);
            for (int i = 0; i < point.Length; i++) ((double*)data)[i / columns * stride + i % columns] = point[i];
        }
    }

    private static double[] Pack(double* x, int columns, int stride)
    {
        double[] packed = new double[3 * columns];
        for (int i = 0; i < packed.Length; i++) packed[i] = x[i / columns * stride + i % columns];
        return packed;
    }

    private static void Check(int lanes, AttentionShape shape)
    {
        using AttentionCase<double> expected = new(shape);
        using AttentionCase<float> actual = new(shape);
        Forward(lanes, actual.Problem);
        Backward(lanes, actual.Problem);
        MatchesReference(expected, actual, shape, FormattableString.Invariant($"{lanes} lanes, {shape}"));
    }

    /// <summary>Fails unless the results of <paramref name="actual"/> are those that the reference gives for <paramref name="expected"/>.</summary>
    internal static void MatchesReference(AttentionCase<double> expected, AttentionCase<float> actual, AttentionShape shape, string what)
    {
        AttentionProblem<double> e = expected.Problem;
        AttentionProblem<float> p = actual.Problem;
        ReferenceAttention.Forward(in e);
        ReferenceAttention.Backward(in e);

        // A score is a sum of headWidth products of normal numbers, scaled to unit size: it is off by about (4 + sqrt headWidth) roundings of a few units, and
        // so, relatively, is every probability. The sums over keys add sqrt(keys). Eight times that covers the largest of thousands of elements.
        double roundings = 8 * (8 + Math.Sqrt(shape.HeadWidth) + Math.Sqrt(shape.Keys)) * LaneCases.Rounding;
        double keep = 1 / (1 - (double)shape.Dropout);
        LaneCases.Close(expected.Output.Span, actual.Output.Span, _ => roundings * 4 * keep, what + " output");
        LaneCases.Close(expected.QGradient.Span, actual.QGradient.Span, _ => roundings * 8 * keep, what + " dq");

        // A key's gradient sums over the queries, of which there may be many with large probabilities (near the diagonal's start).
        LaneCases.Close(expected.KGradient.Span, actual.KGradient.Span,
            i => roundings * (16 * keep + 4 * Math.Abs(expected.KGradient.Pointer[i])), what + " dk");
        LaneCases.Close(expected.VGradient.Span, actual.VGradient.Span,
            i => roundings * (16 * keep + 4 * Math.Abs(expected.VGradient.Pointer[i])), what + " dv");
        for (int t = 0; t < shape.Queries; t++)
        {
            double max = e.RowStatistics[t], inverse = e.RowStatistics[e.QueryStride + t];
            if (double.IsNegativeInfinity(max)) Assert.Equal(float.NegativeInfinity, p.RowStatistics[t]);
            else Assert.Equal(max, p.RowStatistics[t], roundings * 4);
            Assert.Equal(inverse, p.RowStatistics[p.QueryStride + t], roundings * 4 * inverse);
        }

        if (shape.Weights)
        {
            LaneCases.Close(expected.Weights.Span, actual.Weights.Span, i => roundings * (1e-3 + 4 * expected.Weights.Pointer[i]), what + " weights");
        }
    }

    internal static void Forward(int lanes, AttentionProblem<float> p)
    {
        if (lanes > 0) Wide.Run(lanes, new AttentionKernelForward.RunWork(p));
        else AttentionKernel.Forward(p);
    }

    internal static void Backward(int lanes, AttentionProblem<float> p)
    {
        if (lanes > 0) Wide.Run(lanes, new AttentionKernelBackward.RunWork(p));
        else AttentionKernel.Backward(p);
    }
}
