using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class GeluKernelTests
{
    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Every_length_matches_the_reference(int lanes)
    {
        for (int count = 0; count <= 257; count++) Check(lanes, Numbers.Normal(count, count, 3));
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void A_sweep_matches_the_reference(int lanes)
    {
        float[] x = new float[8001];
        for (int i = 0; i < x.Length; i++) x[i] = (i - 4000) * 0.005f;
        Check(lanes, x);
        Check(0, x);
        Check(lanes, [0f, -0f, 1e-30f, -1e-30f, 100f, -100f, 1e19f, -1e19f, 1e30f, -1e30f, 12.9f, -12.9f, 9.4f, -9.4f, 13.1f, -13.1f]);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Nan_stays_in_its_lane_and_infinities_have_their_limits(int lanes)
    {
        foreach (GeluKind kind in Enum.GetValues<GeluKind>())
        {
            using GuardedBuffer<float> x = LaneCases.Guarded(Numbers.Normal(35, 1)), y = new(35), dy = new(35), dx = new(35);
            dy.Span.Fill(1);
            x.Pointer[6] = x.Pointer[33] = float.NaN;
            x.Pointer[8] = float.PositiveInfinity;
            x.Pointer[9] = float.NegativeInfinity;
            Forward(lanes, kind, x.Pointer, y.Pointer, 35);
            Backward(lanes, kind, x.Pointer, dy.Pointer, dx.Pointer, 35);
            for (int i = 0; i < 35; i++)
            {
                Assert.Equal(i is 6 or 33, float.IsNaN(y.Pointer[i]));
                Assert.Equal(i is 6 or 33, float.IsNaN(dx.Pointer[i]));
            }

            // The limits: x, 0 for the value and 1, 0 for the derivative.
            Assert.Equal(float.PositiveInfinity, y.Pointer[8]);
            Assert.Equal(0, y.Pointer[9], 1e-20);
            Assert.Equal(1, dx.Pointer[8], 1e-6);
            Assert.Equal(0, dx.Pointer[9], 1e-20);
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void The_coarse_one_has_the_bits_of_its_definition_and_is_near_the_exact_one(int lanes)
    {
        float[] x = [.. Enumerable.Range(0, 5003).Select(i => (i - 2500) * 0.003f), 1e-30f, -0f, 40f, -40f, 1e30f, -1e30f, float.NegativeInfinity,
            float.PositiveInfinity, float.NaN];
        foreach (GeluKind kind in Enum.GetValues<GeluKind>())
        {
            using GuardedBuffer<float> from = LaneCases.Guarded(x), to = new(x.Length);
            Wide.Run(lanes, new GeluKernelLanes.CoarseWork(kind, from.Pointer, to.Pointer, x.Length));
            for (int i = 0; i < x.Length; i++)
            {
                float y = to.Pointer[i];
                Assert.Equal(BitConverter.SingleToInt32Bits(CoarseGelu.Of(kind).Value(x[i])), BitConverter.SingleToInt32Bits(y));
                if (!float.IsFinite(x[i])) continue;
                Assert.InRange(Math.Abs(y - ReferenceGelu.Value(kind, x[i])), 0, Math.Max(4e-5, 1e-6 * x[i]));
            }

            Assert.Equal(float.PositiveInfinity, to.Pointer[x.Length - 2]);
            Assert.Equal(0, to.Pointer[x.Length - 3], 4e-5);
        }
    }

    [Theory]
    [InlineData(GeluKind.Tanh)]
    [InlineData(GeluKind.Erf)]
    public void The_reference_gradient_matches_differences(GeluKind kind)
    {
        double[] x = LaneCases.Doubles(Numbers.Normal(60, 1, 2.5)), dy = LaneCases.Doubles(Numbers.Normal(60, 2)), y = new double[60], dx = new double[60];
        double Loss()
        {
            fixed (double* px = x, py = y) GeluKernel.Forward(kind, px, py, 60);
            return y.Zip(dy, (a, b) => a * b).Sum();
        }

        fixed (double* px = x, pdy = dy, pdx = dx) GeluKernel.Backward(kind, px, pdy, pdx, 60);
        LaneCases.MatchesDifferences(x, dx, Loss, "x");
    }

    private static void Check(int lanes, float[] x)
    {
        int count = x.Length;
        float[] dy = Numbers.Normal(count, 9);
        foreach (GeluKind kind in Enum.GetValues<GeluKind>())
        {
            double[] y = new double[count], dx = new double[count];
            fixed (double* px = LaneCases.Doubles(x), py = y, pdy = LaneCases.Doubles(dy), pdx = dx)
            {
                ReferenceGelu.Forward(kind, px, py, count);
                ReferenceGelu.Backward(kind, px, pdy, pdx, count);
            }

            using GuardedBuffer<float> fx = LaneCases.Guarded(x), fy = new(count), fdx = LaneCases.Guarded(dy);
            Forward(lanes, kind, fx.Pointer, fy.Pointer, count);
            Backward(lanes, kind, fx.Pointer, fdx.Pointer, fdx.Pointer, count);

            // gelu = x * factor: the factor is within 1.5e-7 (about 3 roundings of 1), the product rounds once more. The derivative has two such terms,
            // the second up to |x u'| = 4 times as steep where it is not negligible.
            string what = FormattableString.Invariant($"{lanes} lanes, {kind}, {count}");
            LaneCases.Close(y, fy.Span, i => 2.5e-7 * (x[i] < 0 ? Math.Min(13, -(double)x[i]) : x[i]), what);
            LaneCases.Close(dx, fdx.Span, i => 1e-6 * Math.Abs(dy[i]), what + " backward");
        }
    }

    private static void Forward(int lanes, GeluKind kind, float* x, float* y, long count)
    {
        if (lanes > 0) Wide.Run(lanes, new GeluKernelLanes.ForwardWork(kind, x, y, count));
        else GeluKernel.Forward(kind, x, y, count);
    }

    private static void Backward(int lanes, GeluKind kind, float* x, float* dy, float* dx, long count)
    {
        if (lanes > 0) Wide.Run(lanes, new GeluKernelLanes.BackwardWork(kind, x, dy, dx, count));
        else GeluKernel.Backward(kind, x, dy, dx, count);
    }
}
