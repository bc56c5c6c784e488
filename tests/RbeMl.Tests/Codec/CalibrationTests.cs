using RbeMl.Codec;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

/// <summary>Second moments, their shrinkage, the Cholesky factor and the feedback factor against their definitions in double.</summary>
public sealed class CalibrationTests
{
    [Theory]
    [InlineData(16)]
    [InlineData(96)]
    [InlineData(208)]
    public void CholeskyTimesItselfIsTheMatrixForAnyNumberOfThreads(int n)
    {
        double[] a = PositiveDefinite(n, 1), one = [.. a], three = [.. a];
        CholeskyFactor.Factor(one, n, RbeCompressor.Threads(1));
        CholeskyFactor.Factor(three, n, RbeCompressor.Threads(3));
        double largest = a.Max(Math.Abs);
        for (int i = 0; i < n; i++)
        {
            for (int j = i; j < n; j++)
            {
                double sum = 0;
                for (int k = 0; k <= i; k++) sum += one[k * n + i] * one[k * n + j];
                Assert.Equal(a[i * n + j], sum, n * 2.3e-16 * largest * 4); // backward error of Cholesky: about n roundings
                Assert.Equal(one[i * n + j], three[i * n + j]);
            }
        }
    }

    [Fact]
    public void CholeskyRefusesAnIndefiniteMatrix()
    {
        double[] a = PositiveDefinite(32, 2);
        a[5 * 32 + 5] = -1;
        Assert.Contains("more damping", Assert.Throws<NonFiniteException>(() => CholeskyFactor.Factor(a, 32)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void SecondMomentIsTheSumOfProducts()
    {
        const int n = 37, stride = 41, tokens = 300;
        float[] x = Numbers.Normal(tokens * stride, 3);
        SecondMoment one = new(n), three = new(n);
        one.Add(x, tokens, stride, threads: 1);
        three.Add(x, tokens, stride, threads: 3);
        Assert.Equal(tokens, one.Tokens);
        for (int i = 0; i < n; i++)
        {
            double mean = 0;
            for (int t = 0; t < tokens; t++) mean += x[t * stride + i] / (double)tokens;
            Assert.Equal(mean, one.Mean()[i], 1e-13); // a few hundred roundings of values of order 1
            for (int j = 0; j < n; j++)
            {
                double sum = 0;
                for (int t = 0; t < tokens; t++) sum += (double)x[t * stride + i] * x[t * stride + j];
                Assert.Equal(sum, one[i, j], 1e-10); // 300 roundings of sums up to 400
                Assert.Equal(one[i, j], three[i, j]);
            }
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void ShrinkageIsThatOfLedoitAndWolf(bool centered)
    {
        const int n = 12, tokens = 40;
        float[] x = [.. Numbers.Normal(tokens * n, 4).Select((v, e) => (v * (1 + e % n)) + 2)];
        SecondMoment moment = new(n);
        moment.Add(x, tokens);
        double[] mean = centered ? moment.Mean() : new double[n], s = new double[n * n];
        double noise = 0, distance = 0, trace = 0;
        for (int t = 0; t < tokens; t++)
        {
            for (int e = 0; e < n * n; e++) s[e] += (x[t * n + e / n] - mean[e / n]) * (x[t * n + e % n] - mean[e % n]) / tokens;
        }

        for (int i = 0; i < n; i++) trace += s[i * n + i];
        for (int t = 0; t < tokens; t++)
        {
            for (int e = 0; e < n * n; e++) noise += Math.Pow(((x[t * n + e / n] - mean[e / n]) * (x[t * n + e % n] - mean[e % n])) - s[e], 2);
        }

        for (int e = 0; e < n * n; e++) distance += Math.Pow(s[e] - (e / n == e % n ? trace / n : 0), 2);
        double expected = Math.Min(1, noise / tokens / tokens / distance);
        Assert.InRange(expected, 0.01, 0.9);
        Assert.Equal(expected, moment.Shrinkage(centered), 1e-9); // differences of sums of order 1e7
    }

    [Theory]
    [InlineData(TileTransform.None, 64, 64, 1)]
    [InlineData(TileTransform.Dct, 32, 75, 1)]
    [InlineData(TileTransform.WalshHadamard, 64, 100, 4)]
    public void FactorMakesErrorsIndependent(TileTransform transform, int tile, int features, int group)
    {
        const double damping = 0.02;
        SecondMoment moment = Correlated(features, 200, 5);
        FeedbackFactor factor = FeedbackFactor.Create(moment, centered: true, transform, tile, damping);
        if (group > 1) factor = factor.Grouped(group, new ParallelOptions());
        int size = factor.Size;
        double[] h = TransformedMoment(moment, transform, tile, size, damping), inverse = InverseOfUnitUpper(factor), half = new double[size * size];

        // M^-1 H M^-T is zero outside its diagonal blocks.
        double largest = h.Max(Math.Abs);
        for (int i = 0; i < size; i++)
        {
            for (int k = i; k < size; k++)
            {
                for (int j = 0; j < size; j++) half[i * size + j] += inverse[i * size + k] * h[k * size + j];
            }
        }

        for (int i = 0; i < size; i++)
        {
            for (int j = 0; j < size; j++)
            {
                double value = 0;
                for (int k = j; k < size; k++) value += half[i * size + k] * inverse[j * size + k];
                if (i / group != j / group) Assert.InRange(value, -1e-4 * largest, 1e-4 * largest); // M in fp32, sums of some hundred terms of order 1
                else if (i == j) Assert.True(value > 0);
            }
        }
    }

    [Fact]
    public void BadCalibrationsAreRefused()
    {
        SecondMoment moment = new(8);
        Assert.Throws<InvalidSettingException>(() => new Calibration(moment));
        Assert.Throws<InvalidSettingException>(() => new SecondMoment(0));
        Assert.Throws<InvalidSettingException>(() => new SecondMoment(100_000));
        Assert.Throws<ShapeMismatchException>(() => moment.Add(new float[17], 2));
        Assert.Throws<ShapeMismatchException>(() => moment.Add(new float[14], 2, stride: 7));
        NonFiniteException error = Assert.Throws<NonFiniteException>(() => moment.Add([.. new float[11], float.NaN, .. new float[4]], 2));
        Assert.Contains("token 1, feature 3", error.Message, StringComparison.Ordinal);
        Assert.Equal(0, moment.Tokens);
        moment.Add(new float[16], 2);
        Assert.Throws<InvalidSettingException>(() => new Calibration(moment, damping: 0));
        Assert.Throws<InvalidSettingException>(() => new Calibration(moment, double.NaN));
        Assert.Equal(0, moment.Mean()[0]);

        // A transform that is not orthonormal, and one that is not known.
        Assert.Equal("transform", Assert.Throws<InvalidSettingException>(() => FeedbackFactor.Create(moment, true, TileTransform.Cdf97, 64, 0.01)).Setting);
        Assert.Equal("transform", Assert.Throws<InvalidSettingException>(() => FeedbackFactor.Create(moment, true, (TileTransform)77, 64, 0.01)).Setting);
    }

    /// <summary>Tokens whose features are mixed at random, with a mean.</summary>
    internal static SecondMoment Correlated(int features, int tokens, int seed)
    {
        SecondMoment moment = new(features);
        moment.Add(CorrelatedTokens(features, tokens, seed), tokens);
        return moment;
    }

    /// <summary>As <see cref="Correlated"/>, the tokens themselves.</summary>
    internal static float[] CorrelatedTokens(int features, int tokens, int seed)
    {
        int sources = Math.Max(2, features / 8);
        float[] mix = Numbers.Normal(features * sources, seed), source = Numbers.Normal(tokens * sources, seed + 1),
            noise = Numbers.Normal(tokens * features, seed + 2, 0.5), x = new float[tokens * features];
        for (int t = 0; t < tokens; t++)
        {
            for (int i = 0; i < features; i++)
            {
                float sum = noise[t * features + i] + (i % 3);
                for (int s = 0; s < sources; s++) sum += mix[i * sources + s] * source[t * sources + s];
                x[t * features + i] = sum;
            }
        }

        return x;
    }

    private static double[] TransformedMoment(SecondMoment moment, TileTransform transform, int tile, int size, double damping)
    {
        int n = moment.Features;
        double[] t = TransformMatrix.Analysis(transform, tile), mean = moment.Mean(), h = new double[size * size],
            left = new double[size * size], result = new double[size * size];
        double trace = 0;
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++) h[i * size + j] = (moment[i, j] / moment.Tokens) - (mean[i] * mean[j]);
            trace += h[i * size + i];
        }

        for (int i = 0; i < size; i++)
        {
            for (int k = 0; k < tile; k++)
            {
                for (int j = 0; j < size; j++) left[i * size + j] += t[i % tile * tile + k] * h[((i / tile * tile) + k) * size + j];
            }
        }

        for (int i = 0; i < size; i++)
        {
            for (int j = 0; j < size; j++)
            {
                for (int k = 0; k < tile; k++) result[i * size + j] += left[i * size + (j / tile * tile) + k] * t[j % tile * tile + k];
                if (i == j) result[i * size + j] += damping * trace / n;
            }
        }

        return result;
    }

    private static double[] InverseOfUnitUpper(FeedbackFactor factor)
    {
        int n = factor.Size;
        double[] inverse = new double[n * n];
        for (int c = 0; c < n; c++)
        {
            inverse[c * n + c] = 1;
            for (int i = c - 1; i >= 0; i--)
            {
                for (int j = i + 1; j <= c; j++) inverse[i * n + c] -= factor.Rows[j * n + i] * inverse[j * n + c];
            }
        }

        return inverse;
    }

    private static double[] PositiveDefinite(int n, int seed)
    {
        float[] x = Numbers.Normal(2 * n * n, seed);
        double[] a = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++)
            {
                for (int k = 0; k < 2 * n; k++) a[i * n + j] += (double)x[k * n + i] * x[k * n + j];
            }
        }

        return a;
    }
}
