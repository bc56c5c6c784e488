using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class OptimizerKernelTests
{
    private const float Rate = 1e-2f, Decay = 0.1f, Beta1 = 0.9f, Beta2 = 0.95f, Eps = 1e-8f, GradientScale = 0.5f;
    private static readonly float Correction1 = 1 - MathF.Pow(Beta1, 3), Correction2 = 1 - MathF.Pow(Beta2, 3);

    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void AdamW_matches_the_reference_at_every_length(int lanes)
    {
        for (int count = 0; count <= 257; count++) Check(lanes, count);
        Check(0, 1000);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Sgd_matches_the_reference_at_every_length(int lanes)
    {
        for (int count = 0; count <= 130; count++)
        {
            foreach (bool momentum in (bool[])[true, false])
            {
                float[] w = Numbers.Normal(count, 1), g = Numbers.Normal(count, 2), m = Numbers.Normal(count, 3);
                double[] ew = LaneCases.Doubles(w), em = LaneCases.Doubles(m);
                fixed (double* pw = ew, pg = LaneCases.Doubles(g), pm = em)
                {
                    ReferenceOptimizer.Sgd(pw, pg, momentum ? pm : null, count, Rate, Decay, Beta1, GradientScale);
                }

                using GuardedBuffer<float> fw = LaneCases.Guarded(w), fg = LaneCases.Guarded(g), fm = LaneCases.Guarded(m);
                float* state = momentum ? fm.Pointer : null;
                if (lanes > 0) Wide.Run(lanes, new SgdKernel.Work(fw.Pointer, fg.Pointer, state, count, Rate, Decay, Beta1, GradientScale));
                else SgdKernel.Sgd(fw.Pointer, fg.Pointer, state, count, Rate, Decay, Beta1, GradientScale);
                string what = FormattableString.Invariant($"{lanes} lanes, {count}, momentum {momentum}");
                Assert.True(fg.Span.IndexOfAnyExcept(0f) < 0, what + " g");
                LaneCases.Close(em, fm.Span, i => 4 * LaneCases.Rounding * (Math.Abs(m[i]) + Math.Abs(g[i]) + Math.Abs(w[i])), what + " m");
                LaneCases.Close(ew, fw.Span, i => 4 * LaneCases.Rounding * (Math.Abs(m[i]) + Math.Abs(g[i]) + Math.Abs(w[i])), what + " w");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Nesterov_matches_the_reference_at_every_length(int lanes)
    {
        for (int count = 0; count <= 130; count++)
        {
            float[] g = Numbers.Normal(count, 2), m = Numbers.Normal(count, 3);
            double[] eg = LaneCases.Doubles(g), em = LaneCases.Doubles(m);
            fixed (double* pg = eg, pm = em) ReferenceOptimizer.Nesterov(pg, pm, count, Beta1, GradientScale);
            using GuardedBuffer<float> fg = LaneCases.Guarded(g), fm = LaneCases.Guarded(m);
            if (lanes > 0) Wide.Run(lanes, new MomentumKernel.Work(fg.Pointer, fm.Pointer, count, Beta1, GradientScale));
            else MomentumKernel.Nesterov(fg.Pointer, fm.Pointer, count, Beta1, GradientScale);
            string what = FormattableString.Invariant($"{lanes} lanes, {count}");
            LaneCases.Close(em, fm.Span, i => 4 * LaneCases.Rounding * (Math.Abs(m[i]) + Math.Abs(g[i])), what + " m");
            LaneCases.Close(eg, fg.Span, i => 6 * LaneCases.Rounding * (Math.Abs(m[i]) + Math.Abs(g[i])), what + " g");
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Average_matches_the_reference_at_every_length_and_keeps_what_is_equal(int lanes)
    {
        const float rate = 0.3f;
        for (int count = 0; count <= 130; count++)
        {
            float[] w = Numbers.Normal(count, 2), a = Numbers.Normal(count, 3);
            for (int i = 0; i < count; i += 5) a[i] = w[i];
            double[] ea = LaneCases.Doubles(a);
            fixed (double* pw = LaneCases.Doubles(w), pa = ea) ReferenceOptimizer.Average(pw, pa, count, rate);
            using GuardedBuffer<float> fw = LaneCases.Guarded(w), fa = LaneCases.Guarded(a);
            if (lanes > 0) Wide.Run(lanes, new AverageKernel.Work(fw.Pointer, fa.Pointer, count, rate));
            else AverageKernel.Average(fw.Pointer, fa.Pointer, count, rate);
            string what = FormattableString.Invariant($"{lanes} lanes, {count}");
            LaneCases.Close(ea, fa.Span, i => 4 * LaneCases.Rounding * (Math.Abs(w[i]) + Math.Abs(a[i])), what);
            for (int i = 0; i < count; i += 5) Assert.Equal(w[i], fa.Span[i]);
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Lion_matches_the_reference_at_every_length(int lanes)
    {
        for (int count = 0; count <= 130; count++)
        {
            float[] w = Numbers.Normal(count, 1), g = Numbers.Normal(count, 2), m = Numbers.Normal(count, 3);
            for (int i = 0; i < count; i += 5) (g[i], m[i]) = (0, 0); // whose sign is 0
            double[] ew = LaneCases.Doubles(w), em = LaneCases.Doubles(m);
            fixed (double* pw = ew, pg = LaneCases.Doubles(g), pm = em)
            {
                ReferenceOptimizer.Lion(pw, pg, pm, count, Rate, Decay, Beta1, Beta2, GradientScale);
            }

            using GuardedBuffer<float> fw = LaneCases.Guarded(w), fg = LaneCases.Guarded(g), fm = LaneCases.Guarded(m);
            if (lanes > 0) Wide.Run(lanes, new LionKernel.Work(fw.Pointer, fg.Pointer, fm.Pointer, count, Rate, Decay, Beta1, Beta2, GradientScale));
            else LionKernel.Lion(fw.Pointer, fg.Pointer, fm.Pointer, count, Rate, Decay, Beta1, Beta2, GradientScale);
            string what = FormattableString.Invariant($"{lanes} lanes, {count}");
            Assert.True(fg.Span.IndexOfAnyExcept(0f) < 0, what + " g");
            LaneCases.Close(em, fm.Span, i => 4 * LaneCases.Rounding * (Math.Abs(m[i]) + Math.Abs(g[i])), what + " m");
            LaneCases.Close(ew, fw.Span, i => 4 * LaneCases.Rounding * (Math.Abs(w[i]) + Rate), what + " w");
        }
    }

    /// <summary>The sums of an element have one order, so that the width changes no bit.</summary>
    [Theory]
    [MemberData(nameof(Lanes))]
    public void Every_width_gives_the_same_bits(int lanes)
    {
        const int Count = 203;
        Assert.Equal(Bits(1), Bits(lanes > 0 ? lanes : Wide.Lanes));

        float[] Bits(int width)
        {
            List<float> all = [];
            foreach (string kernel in (string[])["adamw", "sgd", "plain", "lion"])
            {
                using GuardedBuffer<float> w = LaneCases.Guarded(Numbers.Normal(Count, 1)), g = LaneCases.Guarded(Numbers.Normal(Count, 2)),
                    m = LaneCases.Guarded(Numbers.Normal(Count, 3));
                using GuardedBuffer<float> v = LaneCases.Guarded(Array.ConvertAll(Numbers.Normal(Count, 4), Math.Abs));
                if (kernel == "adamw") Wide.Run(width,
                    new OptimizerKernelLanes.AdamWWork(w.Pointer, g.Pointer, m.Pointer, v.Pointer, Count,
                    new(Rate, Decay, Beta1, Beta2, Eps, Correction1, Correction2, GradientScale)));
                else if (kernel == "lion") Wide.Run(width,
                    new LionKernel.Work(w.Pointer, g.Pointer, m.Pointer, Count, Rate, Decay, Beta1, Beta2, GradientScale));
                else Wide.Run(width, new SgdKernel.Work(w.Pointer, g.Pointer, kernel == "sgd" ? m.Pointer : null, Count, Rate, Decay, Beta1, GradientScale));
                all.AddRange([.. w.Span, .. m.Span, .. v.Span]);
            }

            return [.. all];
        }
    }

    [Fact]
    public void Sum_of_squares_matches_the_reference()
    {
        foreach (int count in Enumerable.Range(0, 258).Concat([4095, 4096, 4097, 8192, 8201, 20000]))
        {
            using GuardedBuffer<float> x = LaneCases.Guarded(Numbers.Normal(count, count));
            double expected = ReferenceOptimizer.SumOfSquares(x.Pointer, count), actual = OptimizerKernel.SumOfSquares(x.Pointer, count);

            // Squares of floats are exact in double; each sum rounds count times at most.
            Assert.Equal(expected, actual, count * Math.ScaleB(1, -53) * expected);
        }
    }

    [Fact]
    public void Sum_of_squares_adds_whole_blocks_in_order()
    {
        // So that a pass cut at multiples of 4096 gives the same bits.
        using GuardedBuffer<float> x = LaneCases.Guarded(Numbers.Normal(10000, 1));
        double total = 0;
        for (int start = 0; start < 10000; start += 4096) total += OptimizerKernel.SumOfSquares(x.Pointer + start, Math.Min(4096, 10000 - start));
        Assert.Equal(total, OptimizerKernel.SumOfSquares(x.Pointer, 10000));
        x.Pointer[5000] = float.NaN;
        Assert.Equal(double.NaN, OptimizerKernel.SumOfSquares(x.Pointer, 10000));
    }

    private static void Check(int lanes, int count)
    {
        float[] w = Numbers.Normal(count, 1), g = Numbers.Normal(count, 2), m = Numbers.Normal(count, 3, 0.1),
            v = Array.ConvertAll(Numbers.Normal(count, 4, 0.1), Math.Abs);
        double[] ew = LaneCases.Doubles(w), em = LaneCases.Doubles(m), ev = LaneCases.Doubles(v);
        fixed (double* pw = ew, pg = LaneCases.Doubles(g), pm = em, pv = ev)
        {
            ReferenceOptimizer.AdamW(pw, pg, pm, pv, count, Rate, Decay, Beta1, Beta2, Eps, Correction1, Correction2, GradientScale);
        }

        using GuardedBuffer<float> fw = LaneCases.Guarded(w), fg = LaneCases.Guarded(g), fm = LaneCases.Guarded(m), fv = LaneCases.Guarded(v);
        AdamWFactors factors = new(Rate, Decay, Beta1, Beta2, Eps, Correction1, Correction2, GradientScale);
        if (lanes > 0) Wide.Run(lanes, new OptimizerKernelLanes.AdamWWork(fw.Pointer, fg.Pointer, fm.Pointer, fv.Pointer, count, factors));
        else OptimizerKernel.AdamW(fw.Pointer, fg.Pointer, fm.Pointer, fv.Pointer, count, Rate, Decay, Beta1, Beta2, Eps, Correction1,
            Correction2, GradientScale);

        // At most four roundings for a moment, of terms no larger than |m| + |g| (v + g²); the step adds six of a number of the size |m| / sqrt v.
        string what = FormattableString.Invariant($"{lanes} lanes, {count}");
        Assert.True(fg.Span.IndexOfAnyExcept(0f) < 0, what + " g");
        LaneCases.Close(em, fm.Span, i => 4 * LaneCases.Rounding * (Math.Abs(m[i]) + Math.Abs(g[i])), what + " m");
        LaneCases.Close(ev, fv.Span, i => 4 * LaneCases.Rounding * (v[i] + g[i] * g[i]), what + " v");
        LaneCases.Close(
            ew, fw.Span, i => 4 * LaneCases.Rounding * Math.Abs(w[i])
            + 12 * LaneCases.Rounding * Rate / Correction1 * (Math.Abs(m[i]) + Math.Abs(g[i])) / Math.Sqrt(ev[i] / Correction2), what + " w");
    }
}
