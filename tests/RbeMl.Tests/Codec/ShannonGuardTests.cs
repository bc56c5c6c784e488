using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class ShannonGuardTests
{
    public static TheoryData<string> Families => [.. WeightFamilies.Names];

    // Honest results, below the Gaussian bound or not, are no defects.
    [Theory]
    [MemberData(nameof(Families))]
    public void StructureIsNoDefect(string family)
    {
        RbeFormat[] formats =
        [
            RbeFormat.Seed(60), RbeFormat.Sparse(48), RbeFormat.Sparse(16, SupportRule.TopK), RbeFormat.Sparse(100, SupportRule.LowFrequency),
                RbeFormat.Sparse(1024), RbeFormat.Quantized(3),
            RbeFormat.Quantized(4), RbeFormat.Quantized(6), RbeFormat.Quantized(8), new QuantizedFormat(4) { Delta = RbeFormat.Sparse(16) },
        ];
        foreach ((int rows, int columns, int tile) in new[] { (32, 32, 32), (128, 128, 32), (70, 130, 64) })
        {
            float[] weights = WeightFamilies.Make(family, rows, columns, rows + tile);
            foreach (TileTransform transform in new[] { TileTransform.Dct, TileTransform.Cdf97, TileTransform.None })
            {
                foreach (RbeFormat format in formats)
                {
                    RbeCompressor.Compress(weights, rows, columns, new RbeOptions { Tile = tile, Transform = transform, Format = format },
                        out CompressionReport report);
                    Assert.False(report.BeatsShannonGuard,
                        FormattableString.Invariant(
                        $"{rows} x {columns} {transform} {format}: {report.RelativeError} at {report.BitsPerWeight} bits, floor {report.GuardFloor}"));
                    Assert.InRange(report.GuardFloor, 0, report.ShannonFloor);
                }
            }
        }
    }

    // A code 0.14 bits above the bound, as the best of fixed rate are, and what is wrong in the report.
    [Theory]
    [InlineData(1, 1, false)]
    [InlineData(0.9, 1, true)] // bits
    [InlineData(1, 0.85, true)] // error
    [InlineData(1, 0, true)]
    public void OnWhiteWeightsAFalseReportIsCaught(double bitsFactor, double errorFactor, bool defect)
    {
        foreach (int seed in new[] { 1, 2, 3 })
        {
            foreach (double rate in new[] { 3.0, 4, 5 })
            {
                const int side = 192;
                float[] weights = Numbers.Normal(side * side, seed, 0.02);
                RbeMatrix matrix = RbeCompressor.Compress(weights, side, side, new RbeOptions { Format = RbeFormat.Quantized(3) });
                double norm = weights.Sum(w => (double)w * w), error = errorFactor * Math.Pow(2, 0.14 - rate);
                CompressionReport report = CompressionReport.Create(matrix, weights, (long)(bitsFactor * rate * side * side), [error * error * norm], [norm]);
                Assert.Equal(defect, report.BeatsShannonGuard);
                if (!defect)
                {
                    report.RequirePlausible("h.0.q");
                    continue;
                }

                CodecDefectException thrown = Assert.Throws<CodecDefectException>(() => report.RequirePlausible("h.0.q"));
                Assert.Contains("h.0.q", thrown.Message, StringComparison.Ordinal);
                Assert.Equal(report.GuardFloor, thrown.Floor);
                Assert.Equal(report.RelativeError, thrown.RelativeError);
                Assert.Equal(report.BitsPerWeight, thrown.BitsPerWeight);
            }
        }
    }

    // The forgotten square root, and scales that were not counted together with a wrong width of the codes.
    [Fact]
    public void FaultsInTheReportOfARealCodeAreCaught()
    {
        float[] weights = Numbers.Normal(256 * 256, 5);
        RbeMatrix matrix = RbeCompressor.Compress(weights, 256, 256, new RbeOptions { Format = RbeFormat.Quantized(4) }, out CompressionReport report);
        (double[] errors, double[] norms) = matrix.MeasureTiles(weights);
        Assert.False(report.BeatsShannonGuard);
        Assert.True(CompressionReport.Create(matrix, weights, report.Bits, [.. errors.Zip(norms, (e, n) => e * e / n)], norms).BeatsShannonGuard);
        Assert.True(CompressionReport.Create(matrix, weights, 3 * 256 * 256, errors, norms).BeatsShannonGuard);
    }

    // On independent Gaussian weights the floor is 2^-R, less two standard deviations of the sample (1.4 of a side), what the step of the histogram
    // costs (1/192), the places of which the alphas take most and, at small sizes, the entropy that a histogram of few values lacks.
    [Theory]
    [InlineData(32, 0.70)]
    [InlineData(64, 0.85)]
    [InlineData(256, 0.94)]
    [InlineData(768, 0.95)]
    public void TheFloorOfWhiteWeightsIsTheGaussianBound(int side, double least)
    {
        float[] weights = Numbers.Normal(side * side, 6, 0.02);
        foreach (TileTransform transform in new[] { TileTransform.Dct, TileTransform.Cdf97, TileTransform.None })
        {
            RbeMatrix matrix =
                RbeCompressor.Compress(weights, side, side,
                    new RbeOptions { Tile = side == 32 ? 32 : 64, Transform = transform, Format = RbeFormat.Sparse(16) });
            foreach (double rate in new[] { 1.0, 2, 4 }) Assert.InRange(ShannonGuard.Floor(matrix, weights, rate) * Math.Pow(2, rate), least, 1);
        }
    }

    [Fact]
    public void WhatTheCodeMayKnowLowersTheFloor()
    {
        const int side = 256;
        double Factor(string family)
        {
            float[] weights = WeightFamilies.Make(family, side, side, 7);
            return ShannonGuard.Floor(RbeCompressor.Compress(weights, side, side, new RbeOptions { Format = RbeFormat.Sparse(16) }), weights, 4) * 16;
        }

        Assert.Equal(0, Factor("constant"));
        Assert.Equal(0, Factor("smooth"));
        Assert.Equal(0, Factor("three values"));
        Assert.Equal(0, Factor("basis functions"));
        Assert.InRange(Factor("mean and noise"), 0, 0.03); // noise of 2 % of the mean
        Assert.InRange(Factor("scaled rows"), 0.1, 0.4); // geometric over quadratic mean of exp(1.2 z): e^-1.44 = 0.24
        Assert.InRange(Factor("uniform"), 0.78, 0.84); // at most sqrt(6 / πe) = 0.838
    }

    [Fact]
    public void OtherSizesAreRefused()
    {
        RbeMatrix matrix = RbeCompressor.Compress(new float[64 * 64], 64, 64, new RbeOptions { Format = RbeFormat.Sparse(16) });
        Assert.Throws<ShapeMismatchException>(() => ShannonGuard.Floor(matrix, new float[4095], 4));
        Assert.Equal(0, ShannonGuard.Floor(matrix, new float[4096], 4));
    }
}
