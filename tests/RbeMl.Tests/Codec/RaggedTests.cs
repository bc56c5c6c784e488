using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class RaggedTests
{
    private static readonly RbeFormat[] s_formats =
    [
        RbeFormat.Sparse(300, SupportRule.TopK), RbeFormat.Sparse(300), RbeFormat.Sparse(300, SupportRule.LowFrequency),
            RbeFormat.Sparse(300, SupportRule.Random(1)), RbeFormat.Seed(300),
        RbeFormat.Quantized(4), RbeFormat.Quantized(7), new QuantizedFormat(4) { Delta = RbeFormat.Sparse(64, SupportRule.TopK) },
        RbeFormat.Trellis(4), RbeFormat.Trellis(2) with { Delta = RbeFormat.Sparse(64, SupportRule.TopK) },
    ];

    public static TheoryData<int, int> Shapes => new() { { 1, 1 }, { 33, 65 }, { 63, 64 }, { 64, 65 }, { 130, 70 }, { 1, 200 }, { 200, 1 } };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void FillingIsNeverWorseThanZeros(int rows, int columns)
    {
        float[] weights = Numbers.Normal(rows * columns, 1, 0.02);
        foreach (RbeFormat format in s_formats)
        {
            RbeOptions options = new() { Format = format };
            double filled = RbeCompressor.Measure(RbeCompressor.Compress(weights, rows, columns, options, threads: 1), weights).RelativeError;
            double zeros = RbeCompressor.Measure(RbeCompressor.Compress(weights, rows, columns, options, threads: 1, fill: false), weights).RelativeError;
            Assert.True(filled <= zeros * (1 + 1e-6) + 1e-6, $"{format}: {filled} against {zeros}"); // 1e-6: alphas and coefficients are rounded to fp32
        }
    }

    [Fact]
    public void FillingPaysAtTheEdges()
    {
        float[] weights = Numbers.Normal(100 * 70, 2, 0.02);
        foreach (RbeFormat format in s_formats)
        {
            RbeOptions options = new() { Format = format };
            double filled = RbeCompressor.Measure(RbeCompressor.Compress(weights, 100, 70, options, threads: 1), weights).TileErrors[3];
            double zeros = RbeCompressor.Measure(RbeCompressor.Compress(weights, 100, 70, options, threads: 1, fill: false), weights).TileErrors[3];
            Assert.True(filled < 0.99 * zeros, $"{format}: {filled} against {zeros}");
        }
    }

    [Fact]
    public void FewCellsAreFittedByManyCoefficients()
    {
        // 36 cells, 300 random places: least squares has a solution without error. Damping (0.03 of the share of cells, 36 / 4096) leaves
        // its ratio to a direction's energy inside, which is 300 / 4096 on average: 0.36 %, and more of the weaker directions.
        float[] weights = Numbers.Normal(36, 3);
        RbeCompressor.Compress(weights, 6, 6, new RbeOptions { Format = RbeFormat.Sparse(300, SupportRule.Random(1)), Alphas = false },
            out CompressionReport report);
        Assert.InRange(report.RelativeError, 0, 0.01);
    }

    [Fact]
    public void WhatLiesOutsideHasNoSay()
    {
        double[] clean = TransformTests.RandomTile(64, 4), soiled = [.. clean];
        for (int e = 0; e < clean.Length; e++)
        {
            if (e / 64 >= 40 || e % 64 >= 50) (clean[e], soiled[e]) = (0, e % 3 == 0 ? double.NaN : 1e6 * e);
        }

        foreach (RbeFormat format in s_formats)
        {
            FormatPlan plan = FormatPlan.From(new RbeOptions { Format = format });
            TileFitter a = new(plan, TileTransform.Dct, 64), b = new(plan, TileTransform.Dct, 64);
            b.Fit(TransformTests.RandomTile(64, 5), 64, 64, 0); // scratch left by another tile has none either
            a.Fit(clean, 40, 50, 0);
            b.Fit(soiled, 40, 50, 0);
            Assert.Equal(a.Fitted.Alphas, b.Fitted.Alphas);
            Assert.Equal(a.Fitted.Starts.ToArray(), b.Fitted.Starts.ToArray());
            Assert.Equal(a.Fitted.Coefficients, b.Fitted.Coefficients);
            Assert.Equal(a.Fitted.Scales.ToArray(), b.Fitted.Scales.ToArray());
            Assert.Equal(a.Fitted.Codes, b.Fitted.Codes);
            Assert.Equal(a.Fitted.OutlierPlaces, b.Fitted.OutlierPlaces);
            Assert.Equal(a.Fitted.OutlierValues, b.Fitted.OutlierValues);
        }
    }

    // Fewer cells than functions, or functions that are equal on them: the least-squares alphas must stay small enough for fp32.
    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 40)]
    [InlineData(2, 2)]
    [InlineData(3, 64)]
    public void AlphasStayBoundedOnSlivers(int rows, int columns)
    {
        float[] weights = Numbers.Normal(rows * columns, 6);
        RbeMatrix matrix = RbeCompressor.Compress(weights, rows, columns, new RbeOptions { Format = RbeFormat.Quantized(8) }, out CompressionReport report);
        Assert.InRange(report.RelativeError, 0, 0.01);
        Assert.All(matrix.Alphas, alpha => Assert.InRange(Math.Abs(alpha), 0, 1e5));
    }
}
