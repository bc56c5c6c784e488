using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class TrellisFormatTests
{
    // 65536 white weights: the spread of a squared error's mean is sqrt(2 / 65536) = 0.6 % of it, 0.3 % of the error itself. The published
    // figures of this trellis are 0.2640, 0.1345, 0.0688, 0.0351 and 0.0184; a scale with headroom gains 1 .. 5 % where the table's ends matter.
    [Theory]
    [InlineData(2, 0.2646)]
    [InlineData(3, 0.1337)]
    [InlineData(4, 0.0676)]
    [InlineData(5, 0.0340)]
    [InlineData(6, 0.0174)]
    public void ErrorsOnWhiteWeights(int bits, double error)
    {
        float[] weights = Numbers.Normal(256 * 256, bits, 0.02);
        RbeCompressor.Compress(weights, 256, 256, new RbeOptions { Format = RbeFormat.Trellis(bits) with { Outliers = 0 }, Alphas = false },
            out CompressionReport report);
        Assert.InRange(report.RelativeError, 0.985 * error, 1.015 * error);
        Assert.Equal(bits + (16 + 64 / 16.0) / 4096, report.BitsPerWeight, 1e-12);
        Assert.InRange(report.RelativeError, Math.Pow(2, -bits), 1); // Shannon
        Assert.False(report.BeatsGaussianBound);
    }

    [Theory]
    [InlineData(32)]
    [InlineData(128)]
    public void OtherTilesDoAsWell(int tile)
    {
        float[] weights = Numbers.Normal(128 * 128, 3);
        RbeCompressor.Compress(weights, 128, 128, new RbeOptions { Tile = tile, Format = RbeFormat.Trellis(4), Alphas = false }, out CompressionReport report);
        Assert.InRange(report.RelativeError, 0.95 * 0.0676, 1.02 * 0.0676); // 0.6 % of spread; outliers help a little, eight of 1024 more
    }

    // A few coefficients far outside the table are cut, or raise the scale and with it the error of all others, unless they are kept exactly.
    [Fact]
    public void OutliersRemoveTheErrorOfHeavyTails()
    {
        float[] weights = Numbers.Normal(128 * 128, 4);
        for (int i = 0; i < 24; i++) weights[i * 677] *= 30;
        double[] without = [.. new[] { 4, 5, 6 }.Select(bits => Error(RbeFormat.Trellis(bits) with { Outliers = 0 }))],
            with = [.. new[] { 4, 5, 6 }.Select(bits => Error(RbeFormat.Trellis(bits)))];
        Assert.All(with.Zip(without), pair => Assert.InRange(pair.First, 0, 0.3 * pair.Second));
        Assert.InRange(with[2], 0, 0.3 * with[0]); // a factor of 4, as on white weights
        Assert.True(Error(RbeFormat.Quantized(6) with { Outliers = 8 }) < 0.9 * Error(RbeFormat.Quantized(6)));

        double Error(RbeFormat format)
        {
            RbeCompressor.Compress(weights, 128, 128, new RbeOptions { Format = format, Transform = TileTransform.None, Alphas = false },
                out CompressionReport report);
            return report.RelativeError;
        }
    }

    // The outliers are the largest of what the alphas leave, in fp16.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void OutliersAreTheLargestCoefficients(bool trellis)
    {
        float[] weights = Numbers.Normal(64 * 64, 5);
        RbeFormat format = trellis ? RbeFormat.Trellis(4) with { Outliers = 20 } : RbeFormat.Quantized(4) with { Outliers = 20 };
        RbeMatrix matrix = RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = format });
        double[] image = new double[4096];
        new TileTransformer(TileTransform.Dct, 64).Forward(RbeMatrix.Widen(weights), image);
        AlphaSolver.Subtract(BasisFunctions.Get(TileTransform.Dct, 64).TransformedFunctions, RbeMatrix.Widen(matrix.Alphas), image);
        int[] largest = [.. Enumerable.Range(0, 4096).OrderByDescending(e => Math.Abs(image[e])).Take(20).Order()];
        TileOutliers outliers = matrix.Base!.Outliers!;
        Assert.Equal(largest, outliers.Places.Select(p => (int)p));
        Assert.Equal(largest.Select(e => (Half)(float)image[e]), outliers.Values);
    }

    // fp16 ends at 65504 and 6e-8: what lies beyond is refused (WeightRangeTests), what lies within is kept alike.
    [Theory]
    [InlineData(1e-5)]
    [InlineData(1e-3)]
    [InlineData(100)]
    [InlineData(1e4)]
    public void MagnitudesWithinHalvesHaveOneError(double size)
    {
        float[] weights = Numbers.Normal(64 * 64, 6, size);
        RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = RbeFormat.Trellis(4), Alphas = false }, out CompressionReport report);
        Assert.InRange(report.RelativeError, 0.05, 0.08);
    }

    // One cell in a tile of zeros: the outlier is all of it.
    [Fact]
    public void ASpikeIsExact()
    {
        float[] weights = new float[64 * 64];
        weights[1234] = 3.25f;
        RbeMatrix matrix =
            RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = RbeFormat.Trellis(2), Transform = TileTransform.None, Alphas = false });
        Assert.Equal(weights, matrix.ToDense());
    }

    [Fact]
    public void EightBitsAreQuantizedWithOutliers()
    {
        float[] weights = Numbers.Normal(64 * 64, 7);
        RbeMatrix matrix = RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = RbeFormat.Trellis(8) }),
            same = RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = RbeFormat.Quantized(8) with { Outliers = 8 } });
        Assert.IsType<QuantizedTiles>(matrix.Base);
        Assert.Equal(same.ToDense(), matrix.ToDense());
    }

    [Fact]
    public void ADeltaRepairsATrellis()
    {
        float[] weights = Numbers.Normal(128 * 128, 8);
        RbeCompressor.Compress(weights, 128, 128, new RbeOptions { Format = RbeFormat.Trellis(3) }, out CompressionReport plain);
        RbeMatrix matrix =
            RbeCompressor.Compress(weights, 128, 128,
                new RbeOptions { Format = RbeFormat.Trellis(3) with { Delta = RbeFormat.Sparse(256, SupportRule.TopK) } }, out CompressionReport repaired);
        Assert.Equal(256, matrix.Support!.CoefficientsPerTile);
        // the largest sixteenth of the errors is about a third of their energy
        Assert.True(repaired.RelativeError < 0.9 * plain.RelativeError, $"{repaired.RelativeError} against {plain.RelativeError}");
    }
}
