using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class DivergenceKernelTests
{
    [Theory]
    [MemberData(nameof(LaneCases.All), MemberType = typeof(LaneCases))]
    public void It_matches_the_reference_in_double(int lanes)
    {
        foreach ((int vocabulary, int width) in ((int, int)[])[(1, 16), (7, 48), (300, 64), (33, 5)]) Matches(vocabulary, width, lanes);
    }

    private static void Matches(int vocabulary, int width, int lanes)
    {
        float[] logits = Numbers.Normal(vocabulary * width, 1, 3), expected = Numbers.Normal(vocabulary * width, 2, 3);
        double[] own = LaneCases.Doubles(logits), other = LaneCases.Doubles(expected), sums = new double[width];
        int[] targets = [.. Enumerable.Range(0, width).Select(i => i % 5 == 3 ? -1 : 0)];
        if (width > 8) expected[3] = logits[(vocabulary - 1) * width + 8] = float.NaN; // of lanes that do not count
        fixed (int* t = targets)
        {
            fixed (double* l = own, e = other, s = sums) ReferenceDivergence.Loss(l, e, vocabulary, width, t, s, gradient: true, 0.5);
            using GuardedBuffer<float> l1 = LaneCases.Guarded(logits), e1 = LaneCases.Guarded(expected), s1 = LaneCases.Guarded(new float[width]);
            if (lanes == 0) DivergenceKernel.Loss(l1.Pointer, e1.Pointer, vocabulary, width, t, s1.Pointer, gradient: true, 0.5f);
            else Wide.Run(lanes, new DivergenceKernel.LossWork(l1.Pointer, e1.Pointer, vocabulary, width, t, s1.Pointer, true, 0.5f));

            // Logarithms of probabilities of down to e^-25 are rounded to 2e-6, exponentials of them likewise.
            LaneCases.Close(sums, s1.Span, i => 4e-6 * (1 + sums[i]), "losses");
            LaneCases.Close(own, l1.Span, _ => 1e-6, "gradients");
        }

        Assert.Contains(sums, s => s > 0.1 || vocabulary == 1);
    }

    [Fact]
    public void The_reference_gradient_matches_differences()
    {
        const int Vocabulary = 6, Width = 4;
        double[] logits = LaneCases.Doubles(Numbers.Normal(Vocabulary * Width, 1)), expected = LaneCases.Doubles(Numbers.Normal(Vocabulary * Width, 2));
        int[] targets = [2, -1, 5, 0];
        (double[] Gradient, double Loss) Evaluate(double[] at, bool gradient)
        {
            double[] copy = [.. at], losses = new double[Width];
            fixed (double* l = copy, e = expected, s = losses)
            fixed (int* t = targets) DivergenceKernel.Loss(l, e, Vocabulary, Width, t, s, gradient, 1.0);
            return (copy, losses.Sum());
        }

        double[] result = Evaluate(logits, gradient: true).Gradient;
        for (int i = 0; i < logits.Length; i++)
        {
            double[] up = [.. logits], down = [.. logits];
            up[i] += 1e-5;
            down[i] -= 1e-5;
            Assert.Equal((Evaluate(up, false).Loss - Evaluate(down, false).Loss) / 2e-5, result[i], 1e-9);
        }
    }
}
