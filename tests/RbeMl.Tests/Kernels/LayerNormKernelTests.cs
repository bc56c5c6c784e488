using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class LayerNormKernelTests
{
    private const float Eps = 1e-5f;

    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Every_width_matches_the_reference(int lanes)
    {
        for (int width = 0; width <= 257; width++) Check(lanes, 5, width, Numbers.Normal(5 * width, width + 1));
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Feature_counts_match_the_reference(int lanes)
    {
        foreach (int features in new[] { 1, 2, 31, 32, 33, 64, 100, 768 }) Check(lanes, features, 16, Numbers.Normal(features * 16, features));
        Check(lanes, 768, 64, Numbers.Normal(768 * 64, 5));
        Check(0, 768, 64, Numbers.Normal(768 * 64, 6));
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void A_large_mean_or_an_outlying_feature_costs_no_precision(int lanes)
    {
        const int Features = 768, Width = 64;
        float[] shifted = Numbers.Normal(Features * Width, 7);
        for (int i = 0; i < shifted.Length; i++) shifted[i] += 1000;
        Check(lanes, Features, Width, shifted);
        float[] outlier = Numbers.Normal(Features * Width, 8);
        for (int lane = 0; lane < Width; lane++) outlier[lane] = 300;
        Check(lanes, Features, Width, outlier);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void A_nan_or_an_infinity_stays_in_its_lane(int lanes)
    {
        const int Features = 40, Width = 80;
        using GuardedBuffer<float> x = LaneCases.Guarded(Numbers.Normal(Features * Width, 1)), mean = new(Width), rstd = new(Width), y = new(Features * Width);
        using GuardedBuffer<float> gamma = LaneCases.Guarded(Numbers.Normal(Features, 2)), beta = LaneCases.Guarded(Numbers.Normal(Features, 3));
        x.Pointer[35 * Width + 17] = float.NaN;
        x.Pointer[3 * Width + 70] = float.PositiveInfinity;
        Statistics(lanes, x.Pointer, mean.Pointer, rstd.Pointer, Features, Width);
        Apply(lanes, x.Pointer, mean.Pointer, rstd.Pointer, gamma.Pointer, beta.Pointer, y.Pointer, Features, Width);
        for (int i = 0; i < Features * Width; i++) Assert.Equal(i % Width is 17 or 70, !float.IsFinite(y.Pointer[i]));
    }

    [Fact]
    public void The_reference_gradient_matches_differences()
    {
        const int Features = 7, Width = 3;
        double[] x = LaneCases.Doubles(Numbers.Normal(Features * Width, 1)), gamma = LaneCases.Doubles(Numbers.Normal(Features, 2)),
            beta = LaneCases.Doubles(Numbers.Normal(Features, 3));
        double[] dy = LaneCases.Doubles(Numbers.Normal(Features * Width, 4)), dx = LaneCases.Doubles(Numbers.Normal(Features * Width, 5)), before = [.. dx];
        double[] dgamma = new double[Features], dbeta = new double[Features], mean = new double[Width], rstd = new double[Width],
            y = new double[Features * Width];
        double Loss()
        {
            fixed (double* px = x, pm = mean, pr = rstd, pg = gamma, pb = beta, py = y)
            {
                LayerNormKernel.Statistics(px, pm, pr, Features, Width, 1e-5);
                LayerNormKernel.Apply(px, pm, pr, pg, pb, py, Features, Width);
            }

            return y.Zip(dy, (a, b) => a * b).Sum();
        }

        Loss();
        fixed (double* px = x, pm = mean, pr = rstd, pg = gamma, pdy = dy, pdx = dx, pdg = dgamma, pdb = dbeta)
        {
            LayerNormKernel.Backward(px, pm, pr, pg, pdy, pdx, pdg, pdb, Features, Width);
        }

        LaneCases.MatchesDifferences(x, [.. dx.Zip(before, (a, b) => a - b)], Loss, "x");
        LaneCases.MatchesDifferences(gamma, dgamma, Loss, "gamma");
        LaneCases.MatchesDifferences(beta, dbeta, Loss, "beta");
    }

    private static void Check(int lanes, int features, int width, float[] x)
    {
        float[] gamma = Numbers.Normal(features, 2), beta = Numbers.Normal(features, 3), dy = Numbers.Normal(features * width, 4),
            dx = Numbers.Normal(features * width, 5);
        double[] mean = new double[width], rstd = new double[width], y = new double[x.Length], expectedDx = LaneCases.Doubles(dx);
        double[] dgamma = new double[features], dbeta = new double[features];
        fixed (double* px = LaneCases.Doubles(x), pm = mean, pr = rstd, pg = LaneCases.Doubles(gamma), pb = LaneCases.Doubles(beta), py = y,
            pdy = LaneCases.Doubles(dy), pdx = expectedDx, pdg = dgamma, pdb = dbeta)
        {
            ReferenceLayerNorm.Statistics(px, pm, pr, features, width, Eps);
            ReferenceLayerNorm.Apply(px, pm, pr, pg, pb, py, features, width);
            ReferenceLayerNorm.Backward(px, pm, pr, pg, pdy, pdx, pdg, pdb, features, width);
        }

        using GuardedBuffer<float> fx = LaneCases.Guarded(x), fm = new(width), fr = new(width), fg = LaneCases.Guarded(gamma),
            fb = LaneCases.Guarded(beta), fy = new(x.Length);
        using GuardedBuffer<float> fdy = LaneCases.Guarded(dy), fdx = LaneCases.Guarded(dx), fdg = new(features), fdb = new(features);
        fdg.Span.Fill(float.NaN);
        fdb.Span.Fill(float.NaN);
        Statistics(lanes, fx.Pointer, fm.Pointer, fr.Pointer, features, width);
        Apply(lanes, fx.Pointer, fm.Pointer, fr.Pointer, fg.Pointer, fb.Pointer, fy.Pointer, features, width);
        Backward(lanes, fx.Pointer, fm.Pointer, fr.Pointer, fg.Pointer, fdy.Pointer, fdx.Pointer, fdg.Pointer, fdb.Pointer, features, width);

        // Sums of `features` terms lose up to that many roundings, random ones about the square root: a quarter of the worst case, and never less than 16.
        // One rounding of the mean moves every normalised value by |x| max * rstd roundings.
        double roundings = Math.Max(16, features / 4.0) * LaneCases.Rounding;
        string what = FormattableString.Invariant($"{lanes} lanes, [{features}][{width}]");
        double largest = x.Length == 0 ? 0 : x.Max(Math.Abs);
        LaneCases.Close(mean, fm.Span, i => roundings * largest, what + " mean");
        LaneCases.Close(rstd, fr.Span, i => roundings * rstd[i] * (1 + largest * rstd[i]), what + " rstd");
        double Hat(int i) => 4 + largest * rstd[i % width] * (1 + Math.Abs(y[i]));
        LaneCases.Close(y, fy.Span, i => roundings * Hat(i) * 4, what + " y");
        LaneCases.Close(expectedDx, fdx.Span, i => roundings * Hat(i) * 16 * (1 + rstd[i % width]), what + " dx");
        double worst = width == 0 ? 0 : Enumerable.Range(0, x.Length).Max(Hat);
        double lanesRounding = Math.Max(16, width) * LaneCases.Rounding;
        LaneCases.Close(dgamma, fdg.Span, i => (roundings + lanesRounding) * worst * 4 * width, what + " dgamma");
        LaneCases.Close(dbeta, fdb.Span, i => lanesRounding * 4 * width, what + " dbeta");
    }

    private static void Statistics(int lanes, float* x, float* mean, float* rstd, int features, int width)
    {
        if (lanes > 0) Wide.Run(lanes, new LayerNormKernelLanes.StatisticsWork(x, mean, rstd, features, width, Eps));
        else LayerNormKernel.Statistics(x, mean, rstd, features, width, Eps);
    }

    private static void Apply(int lanes, float* x, float* mean, float* rstd, float* gamma, float* beta, float* y, int rows, int width)
    {
        if (lanes > 0) Wide.Run(lanes, new LayerNormKernelLanes.ApplyWork(x, mean, rstd, gamma, beta, y, rows, width));
        else LayerNormKernel.Apply(x, mean, rstd, gamma, beta, y, rows, width);
    }

    private static void Backward(int lanes, float* x, float* mean, float* rstd, float* gamma, float* dy, float* dx, float* dgamma, float* dbeta,
        int features, int width)
    {
        if (lanes > 0) Wide.Run(lanes, new LayerNormKernelLanes.BackwardWork(x, mean, rstd, gamma, dy, dx, dgamma, dbeta, features, width));
        else LayerNormKernel.Backward(x, mean, rstd, gamma, dy, dx, dgamma, dbeta, features, width);
    }
}
