using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

/// <summary>Rate curves and the allocation of rates.</summary>
public sealed class RateTests
{
    [Fact]
    public void TheAllocationIsTheBestOfAll()
    {
        Random random = new(1);
        for (int trial = 0; trial < 20; trial++)
        {
            RateCurve[] curves = [.. Enumerable.Range(0, 4).Select(_ => Curve(random, 5))];
            double[] sensitivities = [.. curves.Select(_ => random.NextDouble() * 3)];
            (double Bits, double Error)[] all =
                [.. Enumerable.Range(0, 625).Select(e => Total(curves, sensitivities, [e % 5, e / 5 % 5, e / 25 % 5, e / 125]))];
            double least = all.Min(a => a.Bits), most = all.Max(a => a.Bits), finest = all.Min(a => a.Error), coarsest = all.Max(a => a.Error);
            for (int step = 0; step <= 4; step++)
            {
                double budget = least + (step / 4.0 * (most - least)), error = finest + (step / 4.0 * (coarsest - finest));
                RateAllocation byBits = RateAllocator.MinimizeError(curves, sensitivities, budget),
                    byError = RateAllocator.MinimizeBits(curves, sensitivities, error * (1 + 1e-12));
                Assert.Equal(all.Where(a => a.Bits <= budget).Min(a => a.Error), byBits.Error, 1e-12); // sums of four terms in another order
                Assert.Equal(all.Where(a => a.Error <= error * (1 + 1e-12)).Min(a => a.Bits), byError.Bits, 1e-9);
                Assert.Equal(Total(curves, sensitivities, byBits.Choices).Bits, byBits.Bits, 1e-9);
                Assert.True(byBits.Bits <= budget);
            }
        }
    }

    [Fact]
    public void ManyMatricesStayWithinTheBudgetAndNearTheBest()
    {
        Random random = new(2);
        RateCurve[] curves = [.. Enumerable.Range(0, 40).Select(_ => Curve(random, 8))];
        double[] sensitivities = [.. curves.Select(_ => random.NextDouble())];
        double least = curves.Sum(c => c.Points.Min(p => p.Bits)), most = curves.Sum(c => c.Points.Max(p => p.Bits)), budget = (least + most) / 2;
        RateAllocation allocation = RateAllocator.MinimizeError(curves, sensitivities, budget);
        Assert.InRange(allocation.Bits, 0.97 * budget, budget); // each of 40 matrices may leave 1/4096 of the range unused

        // Lagrange's bound: no choice within the budget has a cost below min(cost + l bits) - l budget, for any l.
        double bound = 0;
        for (double l = 1e-9; l < 1; l *= 1.1)
        {
            double dual = -l * budget;
            for (int m = 0; m < curves.Length; m++) dual += curves[m].Points.Min(p => Math.Pow(sensitivities[m] * p.Error, 2) + (l * p.Bits));
            bound = Math.Max(bound, dual);
        }

        Assert.InRange(allocation.Error, Math.Sqrt(bound), 1.1 * Math.Sqrt(bound));
    }

    [Fact]
    public void WhatCannotBeReachedIsSaid()
    {
        RateCurve[] curves = [new(100, [new RatePoint(new RbeOptions(), 300, 0.5), new RatePoint(new RbeOptions(), 500, 0.1)])];
        UnreachableTargetException size = Assert.Throws<UnreachableTargetException>(() => RateAllocator.MinimizeError(curves, [1], 299));
        Assert.Equal(3, size.Best); // bits a weight
        Assert.Contains("2.99 bits a weight", size.Message);
        Assert.Equal(0.2, Assert.Throws<UnreachableTargetException>(() => RateAllocator.MinimizeBits(curves, [2], 0.19)).Best, 1e-12);
        Assert.Throws<InvalidSettingException>(() => RateAllocator.MinimizeBits(curves, [double.NaN], 1));
        Assert.Throws<ShapeMismatchException>(() => RateAllocator.MinimizeBits(curves, [1, 1], 1));
    }

    [Fact]
    public void ASampleShowsWhatTheMatrixShows()
    {
        const int rows = 320, columns = 384;
        float[] weights = Numbers.Normal(rows * columns, 3);
        RbeOptions[] candidates =
            [new() { Format = RbeFormat.Quantized(3), Alphas = false }, new() { Format = RbeFormat.Quantized(5) },
                new() { Format = RbeFormat.Sparse(64, SupportRule.TopK) }];
        RateCurve sample = RateCurve.Measure(weights, rows, columns, candidates, seed: 1, tiles: 6),
            again = RateCurve.Measure(weights, rows, columns, candidates, seed: 1, tiles: 6);
        for (int c = 0; c < candidates.Length; c++)
        {
            RbeCompressor.Compress(weights, rows, columns, candidates[c], out CompressionReport report);
            Assert.Equal(report.Bits, sample.Points[c].Bits, 1e-6);
            Assert.InRange(sample.Points[c].Error / report.RelativeError, 0.97, 1.03); // 24,576 errors: their energy is certain to about 1 %
            Assert.Equal(sample.Points[c].Error, again.Points[c].Error);
        }

        Assert.Throws<InvalidSettingException>(() => RateCurve.Measure(weights, rows, columns, [.. candidates, new RbeOptions { Tile = 32 }]));
        Assert.Throws<InvalidSettingException>(() => RateCurve.Measure(weights, rows, columns, []));
    }

    private static RateCurve Curve(Random random, int points) =>
        new(100, [.. Enumerable.Range(1, points)
            .Select(p => new RatePoint(new RbeOptions(), 100 * (p + random.NextDouble()), Math.Pow(2, -p) * (0.5 + random.NextDouble())))]);

    private static (double Bits, double Error) Total(RateCurve[] curves, double[] sensitivities, IReadOnlyList<int> choices)
    {
        double bits = 0, cost = 0;
        for (int m = 0; m < curves.Length; m++)
        {
            bits += curves[m].Points[choices[m]].Bits;
            cost += Math.Pow(sensitivities[m] * curves[m].Points[choices[m]].Error, 2);
        }

        return (bits, Math.Sqrt(cost));
    }
}
