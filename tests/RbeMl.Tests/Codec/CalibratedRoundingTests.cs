using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

/// <summary>Rounding with error feedback against plain rounding.</summary>
public sealed class CalibratedRoundingTests
{
    [Theory]
    [InlineData(32, 3, 0, true)]
    [InlineData(64, 4, 0, true)]
    [InlineData(64, 6, 5, false)]
    [InlineData(128, 5, 3, false)]
    public void WithoutCorrelationItIsPlainRounding(int tile, int bits, int outliers, bool alphas)
    {
        int rows = tile, columns = 2 * tile;
        float[] weights = Numbers.Normal(rows * columns, 1);
        RbeOptions options =
            new() { Tile = tile, Transform = TileTransform.None, Format = RbeFormat.Quantized(bits) with { Outliers = outliers }, Alphas = alphas };
        RbeMatrix plain = RbeCompressor.Compress(weights, rows, columns, options);
        RbeMatrix calibrated = RbeCompressor.Compress(weights, rows, columns, options, Uncorrelated(columns), out _);
        AssertSameBits(plain, calibrated);
    }

    // With errors E of variance v, independent in every place, the output's error is v tr(H); with feedback it is v times the sum of D. For a first-order
    // autoregression of correlation r, D is 1 - r² (the first column's is 1, damping adds a little).
    [Theory]
    [InlineData(0.7)]
    [InlineData(0.9)]
    public void FeedbackGainsWhatTheFactorSays(double r)
    {
        const int n = 128, rows = 64, tokens = 4000;
        float[] noise = Numbers.Normal(tokens * n, 2), x = new float[tokens * n], weights = Numbers.Normal(rows * n, 3);
        for (int t = 0; t < tokens; t++)
        {
            x[t * n] = noise[t * n];
            for (int i = 1; i < n; i++) x[t * n + i] = (float)((r * x[t * n + i - 1]) + (Math.Sqrt(1 - (r * r)) * noise[t * n + i]));
        }

        SecondMoment moment = new(n);
        moment.Add(x, tokens);
        Calibration calibration = new(moment, damping: 0.001);
        RbeOptions options = new() { Transform = TileTransform.None, Format = RbeFormat.Quantized(5), Alphas = false };
        double plain = calibration.OutputError(weights, RbeCompressor.Compress(weights, rows, n, options));
        double calibrated = calibration.OutputError(weights, RbeCompressor.Compress(weights, rows, n, options, calibration, out _));

        // Feedback makes values, and with them scales, no more than a little larger; 8192 errors make either energy certain to a few per cent.
        Assert.InRange(calibrated / plain, 0.9 * Math.Sqrt(1 - (r * r)), 1.15 * Math.Sqrt(1 - (r * r)));
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void TheOutputErrsLessOnCorrelatedInput(RbeFormat format, TileTransform transform, int tile, bool alphas, int rows, int columns)
    {
        float[] weights = Numbers.Normal(rows * columns, 4);
        SecondMoment moment = CalibrationTests.Correlated(columns, 1000, 5);
        Calibration calibration = new(moment);
        RbeOptions options = new() { Tile = tile, Transform = transform, Format = format, Alphas = alphas };
        RbeMatrix plain = RbeCompressor.Compress(weights, rows, columns, options),
            calibrated = RbeCompressor.Compress(weights, rows, columns, options, calibration, out CompressionReport report);
        Assert.Equal(RbeCompressor.Measure(plain, weights).Bits, report.Bits);

        // An eighth of the directions hold nearly all of the input's energy: feedback should leave well under 0.8 of the error.
        Assert.True(calibration.OutputError(weights, calibrated) < 0.8 * calibration.OutputError(weights, plain));
    }

    public static TheoryData<RbeFormat, TileTransform, int, bool, int, int> Formats => new()
    {
        { RbeFormat.Quantized(3), TileTransform.Dct, 64, true, 64, 128 },
        { RbeFormat.Quantized(6) with { Outliers = 4 }, TileTransform.WalshHadamard, 32, false, 40, 100 },
        { RbeFormat.Quantized(4), TileTransform.Haar, 128, false, 128, 256 },
        { RbeFormat.Trellis(3), TileTransform.Dct, 64, false, 64, 128 },
        { RbeFormat.Trellis(5) with { Outliers = 0 }, TileTransform.Dct, 32, true, 32, 96 },
        { RbeFormat.Trellis(8), TileTransform.None, 64, false, 64, 64 },
    };

    [Fact]
    public void BiasCorrectionKeepsTheMeanOutput()
    {
        const int rows = 64, columns = 100, tokens = 300;
        float[] x = CalibrationTests.CorrelatedTokens(columns, tokens, 6), weights = Numbers.Normal(rows * columns, 7);
        SecondMoment moment = new(columns);
        moment.Add(x, tokens);
        Calibration calibration = new(moment);
        RbeMatrix matrix = RbeCompressor.Compress(weights, rows, columns, new RbeOptions { Format = RbeFormat.Quantized(3) }, calibration, out _);
        float[] correction = calibration.BiasCorrection(weights, matrix), decoded = matrix.ToDense();
        double largest = 0;
        for (int r = 0; r < rows; r++)
        {
            double mean = 0;
            for (int t = 0; t < tokens; t++)
            {
                for (int c = 0; c < columns; c++) mean += ((double)weights[r * columns + c] - decoded[r * columns + c]) * x[t * columns + c] / tokens;
            }

            largest = Math.Max(largest, Math.Abs(mean));
            Assert.Equal(mean, correction[r], 1e-6 * (1 + Math.Abs(mean))); // rounded to fp32 once
        }

        Assert.True(largest > 0.01);
    }

    [Fact]
    public void TheNumberOfThreadsDoesNotMatter()
    {
        const int rows = 200, columns = 130;
        float[] weights = Numbers.Normal(rows * columns, 8), x = CalibrationTests.CorrelatedTokens(columns, 200, 9);
        foreach (RbeFormat format in (RbeFormat[])[RbeFormat.Quantized(4) with { Outliers = 2 }, RbeFormat.Trellis(3)])
        {
            RbeOptions options = new() { Format = format };
            AssertSameBits(Run(1), Run(3));

            RbeMatrix Run(int threads)
            {
                SecondMoment moment = new(columns);
                moment.Add(x, 200, 0, threads);
                return RbeCompressor.CompressCalibrated(weights, rows, columns, options, new Calibration(moment), threads);
            }
        }
    }

    [Fact]
    public void WhatCannotBeCalibratedIsRefused()
    {
        float[] weights = Numbers.Normal(64 * 64, 10);
        RbeFormat withDelta = RbeFormat.Quantized(4) with { Delta = RbeFormat.Sparse(64) };
        Assert.Equal("delta",
            Assert.Throws<InvalidSettingException>(() =>
            RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = withDelta }, Uncorrelated(64), out _)).Setting);
        Assert.Throws<ShapeMismatchException>(() => RbeCompressor.Compress(weights, 64, 64, new RbeOptions(), Uncorrelated(32), out _));
        weights[70] = float.NaN;
        Assert.Throws<NonFiniteException>(() =>
            RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = RbeFormat.Quantized(4) }, Uncorrelated(64), out _));
    }

    [Fact]
    public void SparseFormatsAreFittedAsWithoutCalibration()
    {
        float[] weights = Numbers.Normal(64 * 64, 11);
        RbeOptions options = new() { Format = RbeFormat.Sparse(300) };
        Assert.Equal(RbeCompressor.Compress(weights, 64, 64, options).Coefficients,
            RbeCompressor.Compress(weights, 64, 64, options, Uncorrelated(64), out _).Coefficients);
    }

    // One token along each axis: the second moment is a multiple of the identity, exactly.
    internal static Calibration Uncorrelated(int features)
    {
        float[] x = new float[features * features];
        for (int i = 0; i < features; i++) x[i * features + i] = 1;
        SecondMoment moment = new(features);
        moment.Add(x, features);
        return new Calibration(moment, centered: false);
    }

    internal static void AssertSameBits(RbeMatrix a, RbeMatrix b)
    {
        Assert.Equal(a.Alphas, b.Alphas);
        Assert.Equal(a.Base!.Codes.ToArray(), b.Base!.Codes.ToArray());
        Assert.Equal(a.Base.Outliers?.Places.ToArray(), b.Base.Outliers?.Places.ToArray());
        Assert.Equal(a.Base.Outliers?.Values, b.Base.Outliers?.Values);
        if (a.Base is QuantizedTiles groups) Assert.Equal(groups.Scales.ToArray(), ((QuantizedTiles)b.Base).Scales.ToArray());
        else Assert.Equal(((TrellisTiles)a.Base).Scales.ToArray(), ((TrellisTiles)b.Base).Scales.ToArray());
    }
}
