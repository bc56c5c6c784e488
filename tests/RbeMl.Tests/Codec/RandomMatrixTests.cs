using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Tests.Codec;

public class RandomMatrixTests
{
    [Fact]
    public void SameSeedSameBits()
    {
        RbeOptions options = new() { Format = RbeFormat.Sparse(300) };
        RbeMatrix a = RbeCompressor.CreateRandom(130, 70, options, 0.5, 7), b = RbeCompressor.CreateRandom(130, 70, options, 0.5, 7),
            c = RbeCompressor.CreateRandom(130, 70, options, 0.5, 8);
        Assert.Equal(a.Coefficients, b.Coefficients);
        Assert.Equal(a.Support!.Starts.ToArray(), b.Support!.Starts.ToArray());
        Assert.NotEqual(a.Coefficients, c.Coefficients);
        Assert.Equal(a.Support.Starts.ToArray(), c.Support!.Starts.ToArray()); // places follow the rule's seed
        RbeMatrix d = RbeCompressor.CreateRandom(130, 70, options with { Format = RbeFormat.Sparse(300, SupportRule.Runs(16, seed: 1)) }, 0.5, 7);
        Assert.NotEqual(a.Support.Starts.ToArray(), d.Support!.Starts.ToArray());
        Assert.NotEqual(a.Support.StartsOf(0).ToArray(), a.Support.StartsOf(1).ToArray());
        Assert.All(a.Alphas, alpha => Assert.Equal(0, alpha));
        Assert.Equal(6 * 8, a.Alphas.Length);
    }

    // SplitMix64 from state 0, as published with the generator; then the normal numbers that must be the same on every machine.
    [Fact]
    public void GeneratorIsGolden()
    {
        DeterministicRandom random = default;
        Assert.Equal([0xE220A8397B1DCDAFUL, 0x6E789E6AA1B965F4UL, 0x06C45D188009454FUL], new[] { random.NextBits(), random.NextBits(), random.NextBits() });

        // From an independent implementation of the documented algorithms; the sum passes through every branch of the normal generator many times.
        random = new DeterministicRandom(1, 2);
        Assert.Equal([-2.0564657615786093, -1.0690534246531396, 1.1971730043981952, 0.591839609280182],
            Enumerable.Range(0, 4).Select(_ => random.NextNormal()).ToArray());
        random = new DeterministicRandom(1, 2);
        double sum = 0;
        for (int i = 0; i < 100_000; i++) sum += random.NextNormal();
        Assert.Equal(65.56470390381017, sum);
    }

    [Fact]
    public void NormalNumbersHaveTheRightMoments()
    {
        const int count = 200_000;
        DeterministicRandom random = new(1, 2);
        double[] x = [.. Enumerable.Range(0, count).Select(_ => random.NextNormal())];
        double deviation = 1 / Math.Sqrt(count);
        // Five standard deviations of the mean of x, x², x³, x⁴: variances 1, 2, 15, 96.
        Assert.Equal(0, x.Average(), 5 * deviation);
        Assert.Equal(1, x.Average(v => v * v), 5 * Math.Sqrt(2) * deviation);
        Assert.Equal(0, x.Average(v => v * v * v), 5 * Math.Sqrt(15) * deviation);
        Assert.Equal(3, x.Average(v => v * v * v * v), 5 * Math.Sqrt(96) * deviation);
        Assert.Equal(0.0027, x.Count(v => Math.Abs(v) > 3) / (double)count, 5 * Math.Sqrt(0.0027) * deviation);
        Assert.InRange(x.Zip(x.Skip(1), (a, b) => a * b).Average(), -5 * deviation, 5 * deviation);
    }

    [Fact]
    public void CoefficientsHaveTheStandardDeviationAskedFor()
    {
        RbeMatrix matrix = RbeCompressor.CreateRandom(256, 256, new RbeOptions { Format = RbeFormat.Sparse(304) }, 0.07, 3);
        double std = Math.Sqrt(matrix.Coefficients.Average(v => (double)v * v));
        Assert.InRange(std / 0.07, 1 - 5 / Math.Sqrt(2.0 * matrix.Coefficients.Length), 1 + 5 / Math.Sqrt(2.0 * matrix.Coefficients.Length));
    }

    [Fact]
    public void PlacesOfManyTilesCoverAllAllowedRuns()
    {
        RbeMatrix matrix = RbeCompressor.CreateRandom(64 * 40, 64, new RbeOptions { Format = RbeFormat.Sparse(304) }, 1, 0);
        ushort[] allowed = SupportSelector.AllowedStarts(64, 16, reserveBasisPlaces: true);
        Dictionary<ushort, int> counts = matrix.Support!.Starts.GroupBy(s => s).ToDictionary(g => g.Key, g => g.Count());
        Assert.Superset(counts.Keys.ToHashSet(), allowed.ToHashSet());
        // 40 tiles x 19 of 253 runs: 3 +- 1.7 each; none above 3 + 6 * 1.7, and at most a tenth unused (5 % expected).
        Assert.InRange(counts.Values.Max(), 1, 13);
        Assert.InRange(counts.Count, 228, 253);
    }

    [Fact]
    public void FullSupportNeedsNoRule()
    {
        RbeMatrix matrix = RbeCompressor.CreateRandom(64, 64, new RbeOptions { Format = RbeFormat.Sparse(4096, SupportRule.TopK) }, 1, 0);
        Assert.Equal(4096, matrix.Support!.CoefficientsPerTile);
        Assert.False(matrix.HasAlphas);
    }

    [Fact]
    public void ImpossibleRequestsAreRefused()
    {
        InvalidSettingException topK =
            Assert.Throws<InvalidSettingException>(() =>
                RbeCompressor.CreateRandom(64, 64, new RbeOptions { Format = RbeFormat.Sparse(300, SupportRule.TopK) }, 1, 0));
        Assert.Contains("Runs", topK.Message);
        Assert.Throws<InvalidSettingException>(() => RbeCompressor.CreateRandom(64, 64, new RbeOptions { Format = RbeFormat.Quantized(4) }, 1, 0));
        Assert.Throws<InvalidSettingException>(() => RbeCompressor.CreateRandom(64, 64, new RbeOptions { Format = RbeFormat.Seed(4) }, 1, 0));
        Assert.Throws<InvalidSettingException>(() => RbeCompressor.CreateRandom(64, 64, new RbeOptions(), double.NaN, 0));
        Assert.Throws<InvalidSettingException>(() => RbeCompressor.CreateRandom(0, 64, new RbeOptions(), 1, 0));
    }
}
