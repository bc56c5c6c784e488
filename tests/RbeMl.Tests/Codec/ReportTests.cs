using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class ReportTests
{
    // Bits of one matrix of 2 x 3 tiles, 100 x 130 weights, counted by hand.
    public static TheoryData<RbeFormat, bool, int, long> Sizes => new()
    {
        { RbeFormat.Sparse(300, SupportRule.TopK), true, 64, 6 * (32 * 308 + 12 * 300) },
        { RbeFormat.Sparse(400, SupportRule.TopK), true, 64, 6 * (32 * 408 + 4096) },
        { RbeFormat.Sparse(300, SupportRule.TopK), false, 64, 6 * (32 * 300 + 12 * 300) },
        { RbeFormat.Sparse(304), true, 64, 6 * (32 * 312 + 12 * 19) },
        { RbeFormat.Sparse(1024), true, 64, 6 * (32 * 1032 + 256) },
        { RbeFormat.Sparse(300, SupportRule.Random(9)), true, 64, 6 * 32 * 308 + 32 },
        { RbeFormat.Sparse(300, SupportRule.LowFrequency), true, 64, 6 * 32 * 308 + 32 },
        { RbeFormat.Sparse(4096), true, 64, 6 * 32 * 4096 },
        { RbeFormat.Quantized(4), true, 64, 6 * (32 * 8 + 4 * 4096 + 16 * 64) },
        { RbeFormat.Quantized(5), false, 64, 6 * (5 * 4096 + 16 * 64) },
        { new QuantizedFormat(4) { Delta = RbeFormat.Sparse(64, SupportRule.Runs(4)) }, true, 64, 6 * (32 * 8 + 4 * 4096 + 16 * 64 + 32 * 64 + 12 * 16) },
        { RbeFormat.Trellis(4), true, 64, 6 * (32 * 8 + 4 * 4096 + 16 + 8 * 32) + 64 },
        { RbeFormat.Trellis(3) with { Outliers = 0 }, false, 64, 6 * (3 * 4096 + 16) + 64 },
        { RbeFormat.Trellis(8), false, 64, 6 * (8 * 4096 + 16 * 64 + 8 * 32) },
        { RbeFormat.Quantized(4) with { Outliers = 2 }, false, 64, 6 * (4 * 4096 + 16 * 64 + 2 * 32) },
        { RbeFormat.Trellis(2) with { Outliers = 1, Delta = RbeFormat.Sparse(64, SupportRule.Random(3)) }, false, 64,
            6 * (2 * 4096 + 16 + 32 + 32 * 64) + 64 + 32 },
        { RbeFormat.Seed(300), true, 64, 6 * 2432 * 8 },
        { RbeFormat.Sparse(50, SupportRule.TopK), true, 32, 20 * (32 * 58 + 10 * 50) },
        { RbeFormat.Sparse(50, SupportRule.TopK), true, 128, 2 * (32 * 58 + 14 * 50) },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void EveryBitIsCounted(RbeFormat format, bool alphas, int tile, long bits)
    {
        const int rows = 100, columns = 130;
        float[] weights = Numbers.Normal(rows * columns, 1);
        RbeCompressor.Compress(weights, rows, columns, new RbeOptions { Format = format, Alphas = alphas, Tile = tile }, out CompressionReport report);
        Assert.Equal(bits, report.Bits);
        Assert.Equal((bits + 7) / 8, report.Bytes);
        Assert.Equal(bits / 13000.0, report.BitsPerWeight, 1e-12);
        Assert.Equal(Math.Pow(2, -bits / 13000.0), report.ShannonFloor, 1e-12);
        Assert.Equal(1 - bits / (32 * 13000.0), report.SavedFraction, 1e-12);
        Assert.False(report.BeatsGaussianBound);
    }

    [Fact]
    public void UntrainedPlacesFollowFromTheSeed()
    {
        RbeMatrix matrix = RbeCompressor.CreateRandom(128, 128, new RbeOptions { Format = RbeFormat.Sparse(304) }, 1, 1);
        Assert.Equal(4 * 32 * 312 + 32, RbeCompressor.Measure(matrix, matrix.ToDense()).Bits);
    }

    [Fact]
    public void TileErrorsMakeUpTheError()
    {
        float[] weights = Numbers.Normal(100 * 130, 2);
        RbeMatrix matrix = RbeCompressor.Compress(weights, 100, 130, new RbeOptions { Format = RbeFormat.Quantized(3) }, out CompressionReport report);
        double sum = 0, norm = 0;
        for (int t = 0; t < matrix.TileCount; t++)
        {
            (int top, int left, int rows, int columns) = matrix.BoundsOf(t);
            double energy = 0;
            for (int i = top; i < top + rows; i++)
            {
                for (int j = left; j < left + columns; j++) energy += (double)weights[i * 130 + j] * weights[i * 130 + j];
            }

            sum += report.TileErrors[t] * report.TileErrors[t] * energy;
            norm += energy;
        }

        Assert.Equal(6, report.TileErrors.Count);
        Assert.Equal(report.RelativeError, Math.Sqrt(sum / norm), 1e-12);
    }

    [Fact]
    public void SmoothWeightsMayBeatTheGaussianBound()
    {
        float[] weights = [.. Enumerable.Range(0, 64 * 64).Select(e => (float)Math.Cos(Math.PI * (2 * (e / 64) + 1) / 128.0))];
        RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = RbeFormat.Sparse(4, SupportRule.TopK) }, out CompressionReport report);
        Assert.True(report.BeatsGaussianBound, $"{report.RelativeError} at {report.BitsPerWeight} bits");
    }

    [Fact]
    public void RelativeErrorIsItsDefinition()
    {
        Assert.Equal(0.5, RbeCompressor.RelativeError([3, 4], [3, 1.5f]), 1e-15);
        Assert.Equal(0, RbeCompressor.RelativeError([1, 2], [1, 2]));
        Assert.Equal(5, RbeCompressor.RelativeError([0, 0], [3, 4]));
        Assert.Throws<ShapeMismatchException>(() => RbeCompressor.RelativeError([1], [1, 2]));
    }
}
