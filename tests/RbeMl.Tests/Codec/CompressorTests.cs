using CsCheck;
using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class CompressorTests
{
    private static readonly RbeFormat[] s_formats =
    [
        RbeFormat.Sparse(100, SupportRule.TopK), RbeFormat.Sparse(100, SupportRule.Random(5)), RbeFormat.Sparse(100, SupportRule.LowFrequency),
        RbeFormat.Sparse(100, SupportRule.Runs(4)), RbeFormat.Sparse(100, SupportRule.Runs(8)), RbeFormat.Sparse(100), RbeFormat.Quantized(3),
            RbeFormat.Quantized(4),
        RbeFormat.Quantized(5), RbeFormat.Quantized(6), RbeFormat.Quantized(7), RbeFormat.Quantized(8), RbeFormat.Seed(100),
        new QuantizedFormat(4) { Delta = RbeFormat.Sparse(32, SupportRule.TopK) }, new QuantizedFormat(5) { Delta = RbeFormat.Sparse(32) },
        RbeFormat.Trellis(2), RbeFormat.Trellis(5) with { Outliers = 0 }, RbeFormat.Trellis(8),
            RbeFormat.Trellis(3) with { Delta = RbeFormat.Sparse(32, SupportRule.TopK) }, RbeFormat.Quantized(4) with { Outliers = 3 },
    ];

    public static TheoryData<TileTransform, int> Layouts => TransformTests.All;

    [Theory]
    [MemberData(nameof(Layouts))]
    public void EveryFormatDecodesToWhatWasMeasured(TileTransform transform, int tile)
    {
        const int rows = 70, columns = 130;
        float[] weights = Numbers.Normal(rows * columns, 1, 0.02);
        foreach (RbeFormat format in s_formats)
        {
            RbeOptions options = new() { Tile = tile, Transform = transform, Format = format };
            RbeMatrix matrix = RbeCompressor.Compress(weights, rows, columns, options, out CompressionReport report);
            float[] dense = matrix.ToDense();
            Assert.Equal(RbeCompressor.RelativeError(weights, dense), report.RelativeError, 1e-12);
            Assert.InRange(report.RelativeError, 1e-4, 0.999); // every format keeps something of white weights, and none keeps all
            Assert.False(report.BeatsGaussianBound, $"{format}: {report.RelativeError} < {report.ShannonFloor}");
            Assert.Equal(dense, matrix.ToDenseDouble().Select(v => (float)v));
            float[] cells = new float[tile * tile];
            for (int t = 0; t < matrix.TileCount; t++)
            {
                (int top, int left, int inRows, int inColumns) = matrix.BoundsOf(t);
                matrix.DecodeTile(t, cells);
                for (int i = 0; i < inRows; i++) Assert.Equal(dense.AsSpan((top + i) * columns + left, inColumns), cells.AsSpan(i * tile, inColumns));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void KeepingEverythingIsExact(TileTransform transform, int tile)
    {
        const int rows = 65, columns = 33;
        float[] weights = Numbers.Normal(rows * columns, 2);
        RbeMatrix matrix =
            RbeCompressor.Compress(weights, rows, columns,
                new RbeOptions { Tile = tile, Transform = transform, Format = RbeFormat.Sparse(tile * tile, SupportRule.TopK) });
        Assert.False(matrix.HasAlphas);
        Assert.Equal(16, matrix.Support!.RunLength);
        Assert.InRange(RbeCompressor.RelativeError(weights, matrix.ToDense()), 0, 6e-8); // coefficients and cells are each rounded once to 2^-24
    }

    // The figures of the rate-distortion table for N(0, 0.02) weights; the spread over matrices of this size is below 1 %.
    [Theory]
    [InlineData(4, 0.0829, 4.25)]
    [InlineData(5, 0.0414, 5.25)]
    [InlineData(6, 0.0234, 6.25)]
    [InlineData(8, 0.0057, 8.25)]
    public void QuantizedErrorsOnWhiteWeights(int bits, double error, double bitsPerWeight)
    {
        float[] weights = Numbers.Normal(384 * 384, 3, 0.02);
        RbeCompressor.Compress(weights, 384, 384, new RbeOptions { Format = RbeFormat.Quantized(bits), Alphas = false }, out CompressionReport report);
        Assert.InRange(report.RelativeError, 0.98 * error, 1.02 * error);
        Assert.Equal(bitsPerWeight, report.BitsPerWeight);
    }

    [Fact]
    public void SeedFormatOnWhiteWeights()
    {
        float[] weights = Numbers.Normal(384 * 384, 4, 0.02);
        RbeCompressor.Compress(weights, 384, 384, new RbeOptions { Format = RbeFormat.Seed(300) }, out CompressionReport seed);
        RbeCompressor.Compress(weights, 384, 384, new RbeOptions { Format = RbeFormat.Sparse(300, SupportRule.TopK) }, out CompressionReport sparse);
        Assert.InRange(seed.RelativeError, 0.79, 0.805);
        Assert.InRange(sparse.RelativeError, 0.79, seed.RelativeError); // the joint fit is never worse
        Assert.Equal(2432 * 36, seed.Bytes);
        Assert.Equal(4.75, seed.BitsPerWeight);
    }

    [Fact]
    public void MoreCoefficientsNeverRaiseTheError()
    {
        float[] weights = Numbers.Normal(128 * 96, 5);
        foreach (SupportRule rule in new[] { SupportRule.TopK, SupportRule.LowFrequency, SupportRule.Random(1), SupportRule.Runs(16), SupportRule.Runs(4) })
        {
            double previous = double.PositiveInfinity;
            foreach (int k in new[] { 16, 64, 300, 1000, 2000, 4000, 4096 })
            {
                RbeCompressor.Compress(weights, 128, 96, new RbeOptions { Format = RbeFormat.Sparse(k, rule) }, out CompressionReport report);
                Assert.True(report.RelativeError < previous, $"{rule} K = {k}: {report.RelativeError} after {previous}");
                previous = report.RelativeError;
            }
        }
    }

    [Fact]
    public void MoreBitsNeverRaiseTheError()
    {
        float[] weights = Numbers.Normal(100 * 90, 6);
        double previous = double.PositiveInfinity;
        for (int bits = 3; bits <= 8; bits++)
        {
            RbeCompressor.Compress(weights, 100, 90, new RbeOptions { Format = RbeFormat.Quantized(bits) }, out CompressionReport report);
            Assert.True(report.RelativeError < 0.6 * previous, $"{bits} bits: {report.RelativeError} after {previous}");
            previous = report.RelativeError;
        }
    }

    // Twelve low-frequency waves and 1 % white noise: the family sparse coefficients are made for. What is left is the noise outside the support.
    [Fact]
    public void SmoothWeightsAreKeptByFewCoefficients()
    {
        const int size = 128;
        Random random = new(10);
        double[] smooth = new double[size * size];
        for (int wave = 0; wave < 12; wave++)
        {
            double u = random.NextDouble() * 4, v = random.NextDouble() * 4, phase = random.NextDouble() * 7;
            for (int e = 0; e < smooth.Length; e++) smooth[e] += Math.Cos(2 * Math.PI * (u * (e / size) + v * (e % size)) / size + phase);
        }

        double rms = Math.Sqrt(smooth.Average(v => v * v));
        float[] weights = [.. smooth.Zip(Numbers.Normal(smooth.Length, 11, 0.01 * rms), (s, n) => (float)(s + n))];
        RbeCompressor.Compress(weights, size, size, new RbeOptions { Format = RbeFormat.Sparse(300, SupportRule.TopK) }, out CompressionReport report);
        Assert.InRange(report.RelativeError, 0.003, 0.0105); // at best 0.8 of the noise, as on white weights; at worst all of it
    }

    [Fact]
    public void AlphasCatchWhatTheyDescribe()
    {
        BasisFunctions basis = BasisFunctions.Get(TileTransform.Dct, 64);
        double[] alphas = [0.5, -2, 1, 0.3, -0.2, 0.1, 0.7, -0.4];
        float[] weights = new float[64 * 64];
        for (int e = 0; e < weights.Length; e++) weights[e] = (float)Enumerable.Range(0, 8).Sum(k => alphas[k] * basis.Functions[k][e]);
        foreach (RbeFormat format in new RbeFormat[] { RbeFormat.Sparse(16), RbeFormat.Quantized(4), RbeFormat.Seed(8) })
        {
            RbeMatrix matrix = RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = format }, out CompressionReport report);
            // The Gram matrix's condition 1.9e4 times the rounding of weights and alphas to 2^-24.
            Assert.InRange(report.RelativeError, 0, 1e-6);
            for (int k = 0; k < 8; k++) Assert.Equal(alphas[k], matrix.Alphas[k], 2e-3);
        }
    }

    // A tile whose distance function hides under kept low frequencies: alphas fitted before the places are known are wrong there.
    [Fact]
    public void JointFitBeatsAlphasFirst()
    {
        float[] weights = Numbers.Normal(64 * 64, 7);
        BasisFunctions basis = BasisFunctions.Get(TileTransform.Dct, 64);
        double[] image = new double[4096], cells = RbeMatrix.Widen(weights), ones = new double[4096], alphas = new double[8];
        Array.Fill(ones, 1);
        RbeMatrix joint =
            RbeCompressor.Compress(weights, 64, 64, new RbeOptions { Format = RbeFormat.Sparse(300, SupportRule.LowFrequency) }, out CompressionReport report);
        new TileTransformer(TileTransform.Dct, 64).Forward(cells, image);
        AlphaSolver.Solve(basis.TransformedFunctions, image, ones, basis.Gram, alphas);
        double norm = TransformTests.Dot(image, image);
        AlphaSolver.Subtract(basis.TransformedFunctions, alphas, image);
        for (int e = 0; e < 300; e++) image[joint.Support!.PositionOf(0, e)] = 0;
        double sequential = Math.Sqrt(TransformTests.Dot(image, image) / norm);
        Assert.True(report.RelativeError < sequential, $"{report.RelativeError} against {sequential}");
    }

    [Fact]
    public void DeltaRepairsTheBase()
    {
        float[] weights = Numbers.Normal(128 * 128, 8);
        RbeCompressor.Compress(weights, 128, 128, new RbeOptions { Format = RbeFormat.Quantized(4) }, out CompressionReport plain);
        foreach (SupportRule rule in new[] { SupportRule.TopK, SupportRule.Runs(8), SupportRule.Random(), SupportRule.LowFrequency })
        {
            RbeMatrix matrix =
                RbeCompressor.Compress(weights, 128, 128,
                    new RbeOptions { Format = new QuantizedFormat(4) { Delta = RbeFormat.Sparse(256, rule) } }, out CompressionReport repaired);
            Assert.NotNull(matrix.Base);
            Assert.Equal(256, matrix.Support!.CoefficientsPerTile);
            // 1/16 of the energy is 3.2 % of the error
            Assert.True(repaired.RelativeError < 0.98 * plain.RelativeError, $"{rule}: {repaired.RelativeError} against {plain.RelativeError}");
        }
    }

    [Fact]
    public void ThreadsDoNotChangeBits()
    {
        const int Rows = 100, Columns = 150; // six tiles
        float[] weights = Numbers.Normal(Rows * Columns, 9);
        foreach (RbeFormat format in s_formats)
        {
            RbeMatrix one = RbeCompressor.Compress(weights, Rows, Columns, new RbeOptions { Format = format }, threads: 1);
            RbeMatrix many = RbeCompressor.Compress(weights, Rows, Columns, new RbeOptions { Format = format }, threads: 3);
            Assert.Equal(one.Alphas, many.Alphas);
            Assert.Equal(one.Coefficients, many.Coefficients);
            Assert.Equal(one.Support?.Starts.ToArray(), many.Support?.Starts.ToArray());
            Assert.Equal(one.Base?.Codes.ToArray(), many.Base?.Codes.ToArray());
            Assert.Equal((one.Base as QuantizedTiles)?.Scales.ToArray(), (many.Base as QuantizedTiles)?.Scales.ToArray());
            Assert.Equal((one.Base as TrellisTiles)?.Scales.ToArray(), (many.Base as TrellisTiles)?.Scales.ToArray());
            Assert.Equal(one.Base?.Outliers?.Places.ToArray(), many.Base?.Outliers?.Places.ToArray());
            Assert.Equal(one.Base?.Outliers?.Values, many.Base?.Outliers?.Values);
        }
    }

    [Fact]
    public void AnyShapeAndFormatRoundTrips() =>
        Gen.Select(Gen.Int[1, 140], Gen.Int[1, 140], Gen.Int[0, s_formats.Length - 1], Gen.Enum<TileTransform>(), Gen.Bool).Sample(
        (rows, columns, format, transform, alphas) =>
        {
            float[] weights = Numbers.Normal(rows * columns, rows * 1000 + columns);
            RbeOptions options = new() { Format = s_formats[format], Transform = transform, Alphas = alphas };
            RbeMatrix matrix = RbeCompressor.Compress(weights, rows, columns, options, out CompressionReport report);
            Assert.InRange(report.RelativeError, 0, 1);
            float[] again = RbeCompressor.Compress(matrix.ToDense(), rows, columns, options with { Format = RbeFormat.Sparse(4096) }).ToDense();
            Assert.InRange(RbeCompressor.RelativeError(matrix.ToDense(), again), 0, 6e-8);
        },
        iter: 40,
        threads: 1);

    [Fact]
    public void ZeroWeightsGiveZero()
    {
        foreach (RbeFormat format in s_formats)
        {
            RbeMatrix matrix = RbeCompressor.Compress(new float[70 * 40], 70, 40, new RbeOptions { Format = format }, out CompressionReport report);
            Assert.Equal(0, report.RelativeError);
            Assert.All(matrix.ToDense(), v => Assert.Equal(0, v));
        }
    }
}
