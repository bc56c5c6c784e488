using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

/// <summary>Rounding that weighs outputs too.</summary>
public sealed class OutputFeedbackTests
{
    [Theory]
    [InlineData(32, 3, 0, true)]
    [InlineData(64, 4, 3, false)]
    [InlineData(128, 6, 0, false)]
    public void OutputsWorthTheSameAreRoundedAsWithoutWorth(int tile, int bits, int outliers, bool alphas)
    {
        int rows = 2 * tile, columns = tile + 20;
        float[] weights = Numbers.Normal(rows * columns, 1);
        RbeOptions options =
            new() { Tile = tile, Transform = TileTransform.None, Format = RbeFormat.Quantized(bits) with { Outliers = outliers }, Alphas = alphas };
        Calibration input = new(CalibrationTests.Correlated(columns, 300, 2));
        RbeMatrix without = RbeCompressor.Compress(weights, rows, columns, options, input, out _),
            with = RbeCompressor.Compress(weights, rows, columns, options, input, CalibratedRoundingTests.Uncorrelated(rows), new ParallelOptions(), out _);
        CalibratedRoundingTests.AssertSameBits(without, with);
    }

    [Theory]
    [MemberData(nameof(CalibratedRoundingTests.Formats), MemberType = typeof(CalibratedRoundingTests))]
    public void WhatIsWorthMostErrsLess(RbeFormat format, TileTransform transform, int tile, bool alphas, int rows, int columns)
    {
        float[] weights = Numbers.Normal(rows * columns, 4);
        Calibration input = new(CalibrationTests.Correlated(columns, 1000, 5)), output = new(CalibrationTests.Correlated(rows, 1000, 6), centered: false);
        RbeOptions options = new() { Tile = tile, Transform = transform, Format = format, Alphas = alphas };
        RbeMatrix without = RbeCompressor.Compress(weights, rows, columns, options, input, out _),
            with = RbeCompressor.Compress(weights, rows, columns, options, input, output, new ParallelOptions(), out CompressionReport report);
        Assert.Equal(RbeCompressor.Measure(without, weights).Bits, report.Bits);

        // An eighth of the directions hold nearly all that the outputs are worth.
        Assert.True(Cost(with) < 0.6 * Cost(without), $"{Cost(with)} of {Cost(without)}");

        // tr(G E H E').
        double Cost(RbeMatrix matrix)
        {
            float[] decoded = matrix.ToDense();
            double[] half = new double[rows * columns];
            double[] mean = input.Moment.Mean();
            double cost = 0;
            for (int r = 0; r < rows; r++)
            {
                for (int c = 0; c < columns; c++)
                {
                    double error = weights[(r * columns) + c] - decoded[(r * columns) + c];
                    for (int k = 0; k < columns; k++)
                    {
                        half[(r * columns) + k] += error * ((input.Moment[c, k] / input.Moment.Tokens) - (mean[c] * mean[k]));
                    }
                }
            }

            for (int r = 0; r < rows; r++)
            {
                for (int q = 0; q < rows; q++)
                {
                    double inner = 0;
                    for (int c = 0; c < columns; c++) inner += half[(r * columns) + c] * (weights[(q * columns) + c] - decoded[(q * columns) + c]);
                    cost += inner * output.Moment[r, q] / output.Moment.Tokens;
                }
            }

            return cost;
        }
    }

    // With H = M D M' and G = N F N' of the input and of the output, e = N' E M is what rounding itself leaves of every target: half a step at most, of
    // levels that reach far enough.
    [Theory]
    [InlineData(TileTransform.None)]
    [InlineData(TileTransform.Dct)]
    public void WhatIsLeftOfEveryTargetIsHalfAStep(TileTransform transform)
    {
        const int tile = 32, rows = 96, columns = 64;
        float[] weights = Numbers.Normal(rows * columns, 7);
        Calibration input = new(CalibrationTests.Correlated(columns, 500, 8)), output = new(CalibrationTests.Correlated(rows, 500, 9), centered: false);
        RbeOptions options = new() { Tile = tile, Transform = transform, Format = RbeFormat.Quantized(8), Alphas = false };
        RbeMatrix matrix = RbeCompressor.Compress(weights, rows, columns, options, input, output, new ParallelOptions(), out _);
        ParallelOptions parallel = new();
        float[] m = input.FactorFor(transform, tile, 1, parallel).Rows, n = output.FactorFor(transform, tile, 1, parallel).Rows;
        double[] error = new double[rows * columns];
        double[] difference = [.. weights.Zip(matrix.ToDense(), (w, d) => (double)w - d)], block = new double[tile * tile];
        TileTransformer transformer = new(transform, tile);
        for (int t = 0; t < matrix.TileCount; t++)
        {
            (int top, int left) = (t / matrix.TileColumns * tile, t % matrix.TileColumns * tile);
            for (int e = 0; e < block.Length; e++) block[e] = difference[((top + (e / tile)) * columns) + left + (e % tile)];
            transformer.Forward(block, block);
            for (int e = 0; e < block.Length; e++) error[((top + (e / tile)) * columns) + left + (e % tile)] = block[e];
        }

        QuantizedTiles tiles = (QuantizedTiles)matrix.Base!;
        int beyond = 0;
        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < columns; c++)
            {
                double left = 0;
                for (int q = 0; q <= r; q++)
                {
                    double along = error[(q * columns) + c];
                    for (int k = 0; k < c; k++) along += error[(q * columns) + k] * m[(c * columns) + k];
                    left += along * (q == r ? 1 : n[(r * rows) + q]);
                }

                int at = ((r % tile) * tile) + (c % tile), t = (r / tile * matrix.TileColumns) + (c / tile);
                double step = (float)tiles.Scales[(t * tile * tile / QuantizedTiles.GroupSize) + (at / QuantizedTiles.GroupSize)] * QuantizerLevels.Step(8);
                if (Math.Abs(left) > 0.505 * step) beyond++; // targets are sums of floats
            }
        }

        // Scales are chosen before a column's feedback is known, so a few targets lie beyond the last level.
        Assert.InRange(beyond, 0, rows * columns / 100);
    }

    [Fact]
    public void TheNumberOfThreadsDoesNotMatter()
    {
        const int rows = 200, columns = 130;
        float[] weights = Numbers.Normal(rows * columns, 8);
        Calibration input = new(CalibrationTests.Correlated(columns, 200, 9)), output = new(CalibrationTests.Correlated(rows, 200, 10), centered: false);
        foreach (RbeFormat format in (RbeFormat[])[RbeFormat.Quantized(4) with { Outliers = 2 }, RbeFormat.Trellis(3)])
        {
            RbeOptions options = new() { Format = format };
            CalibratedRoundingTests.AssertSameBits(
                RbeCompressor.CompressCalibrated(weights, rows, columns, options, input, 1, output),
                RbeCompressor.CompressCalibrated(weights, rows, columns, options, input, 3, output));
        }
    }

    [Fact]
    public void AnOutputOfOtherFeaturesIsRefused()
    {
        ShapeMismatchException error = Assert.Throws<ShapeMismatchException>(() => RbeCompressor.Compress(new float[64 * 32], 64, 32, new RbeOptions(),
            CalibratedRoundingTests.Uncorrelated(32), CalibratedRoundingTests.Uncorrelated(32), new ParallelOptions(), out _));
        Assert.Contains("64 features as the matrix has rows", error.Message, StringComparison.Ordinal);
    }
}
