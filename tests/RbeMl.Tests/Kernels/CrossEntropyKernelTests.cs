using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class CrossEntropyKernelTests
{
    private const float Scale = 0.125f;

    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Every_width_matches_the_reference(int lanes)
    {
        for (int width = 0; width <= 257; width++) Check(lanes, 7, width, 1);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Vocabularies_and_large_logits_match_the_reference(int lanes)
    {
        foreach (int vocabulary in new[] { 1, 2, 31, 32, 33, 64, 65, 1000, 3001 }) Check(lanes, vocabulary, 64, 3);
        Check(lanes, 500, 64, 300);
        Check(0, 500, 64, 3);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Non_finite_logits_stay_in_their_lane(int lanes)
    {
        const int Vocabulary = 100, Width = 80;
        using GuardedBuffer<float> logits = LaneCases.Guarded(Numbers.Normal(Vocabulary * Width, 1)), losses = new(Width);
        using GuardedBuffer<int> targets = new(Width);
        for (int i = 0; i < Width; i++) targets.Pointer[i] = i;
        targets.Pointer[20] = -1;
        targets.Pointer[60] = 10;
        for (int v = 0; v < Vocabulary; v++) logits.Pointer[v * Width + 20] = float.NaN;
        logits.Pointer[50 * Width + 33] = float.NaN;
        logits.Pointer[10 * Width + 70] = float.PositiveInfinity;
        for (int v = 0; v < 50; v++) logits.Pointer[v * Width + 60] = float.NegativeInfinity;
        Run(lanes, logits.Pointer, Vocabulary, Width, targets.Pointer, losses.Pointer, true);
        for (int i = 0; i < Width; i++)
        {
            // A lane without a target ignores its logits; an infinite logit makes a softmax of NaN; -infinity is a probability of 0, here that of the target.
            bool bad = i is 33 or 70;
            if (i == 60) Assert.Equal(float.PositiveInfinity, losses.Pointer[i]);
            else if (i == 20) Assert.Equal(0, losses.Pointer[i]);
            else Assert.Equal(bad, !float.IsFinite(losses.Pointer[i]));
            for (int v = 0; v < Vocabulary; v++) Assert.Equal(bad, float.IsNaN(logits.Pointer[v * Width + i]));
        }
    }

    [Fact]
    public void The_reference_gradient_matches_differences()
    {
        const int Vocabulary = 6, Width = 4;
        double[] logits = LaneCases.Doubles(Numbers.Normal(Vocabulary * Width, 1)), losses = new double[Width];
        int[] targets = [2, -1, 5, 0];
        double[] Evaluate(bool gradient)
        {
            double[] copy = [.. logits];
            fixed (double* l = copy, s = losses)
            fixed (int* t = targets) CrossEntropyKernel.Loss(l, Vocabulary, Width, t, s, gradient, 0.5);
            return copy;
        }

        double[] result = Evaluate(gradient: true);
        LaneCases.MatchesDifferences(
            logits, result, () =>
            {
                Evaluate(gradient: false);
                return 0.5 * losses.Sum();
            }, "logits");
    }

    private static void Check(int lanes, int vocabulary, int width, double size)
    {
        float[] logits = Numbers.Normal(vocabulary * width, 1, size);
        using GuardedBuffer<int> targets = new(width);
        for (int i = 0; i < width; i++) targets.Pointer[i] = i % 6 == 4 ? -1 : i * 7919 % vocabulary;
        double[] expected = LaneCases.Doubles(logits), expectedLosses = new double[width];
        fixed (double* l = expected, s = expectedLosses) ReferenceCrossEntropy.Loss(l, vocabulary, width, targets.Pointer, s, true, Scale);
        using GuardedBuffer<float> actual = LaneCases.Guarded(logits), losses = new(width);
        Run(lanes, actual.Pointer, vocabulary, width, targets.Pointer, losses.Pointer, false);
        Assert.Equal(logits, actual.Span);
        string what = FormattableString.Invariant($"{lanes} lanes, [{vocabulary}][{width}] of size {size}");

        // logit - maximum rounds once (up to 10 size), exp adds two ulp, sums of 32 and of blocks about their number of roundings.
        double roundings = (10 * size + 40 + vocabulary / 32.0) * LaneCases.Rounding;
        LaneCases.Close(expectedLosses, losses.Span, i => roundings + 2 * LaneCases.Rounding * expectedLosses[i], what);
        losses.Span.Fill(-1);
        Run(lanes, actual.Pointer, vocabulary, width, targets.Pointer, losses.Pointer, true);
        LaneCases.Close(expectedLosses, losses.Span, i => roundings + 2 * LaneCases.Rounding * expectedLosses[i], what);

        // p * scale, and at the target scale once more.
        LaneCases.Close(expected, actual.Span, i => roundings * (Math.Abs(expected[i]) + 1e-30) + (expected[i] < 0 ? roundings * Scale : 0),
            what + " gradient");
    }

    private static void Run(int lanes, float* logits, int vocabulary, int width, int* targets, float* losses, bool gradient)
    {
        if (lanes > 0) Wide.Run(lanes, new CrossEntropyKernelLanes.LossWork(logits, vocabulary, width, targets, losses, gradient, Scale));
        else CrossEntropyKernel.Loss(logits, vocabulary, width, targets, losses, gradient, Scale);
    }
}
