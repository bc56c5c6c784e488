using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

/// <summary>A matrix of any size is kept as well as at size 1, or refused by name; never less.</summary>
public class WeightRangeTests
{
    private const int Rows = 70, Columns = 96, Tile = 32;

    private static readonly Dictionary<string, RbeFormat> s_formats = new()
    {
        ["sparse runs"] = RbeFormat.Sparse(256),
        ["sparse largest"] = RbeFormat.Sparse(256, SupportRule.TopK),
        ["sparse whole"] = RbeFormat.Sparse(Tile * Tile),
        ["seed"] = RbeFormat.Seed(64),
        ["quantized 2"] = RbeFormat.Quantized(2),
        ["quantized 3"] = RbeFormat.Quantized(3),
        ["quantized 4"] = RbeFormat.Quantized(4),
        ["quantized 5"] = RbeFormat.Quantized(5),
        ["quantized 6"] = RbeFormat.Quantized(6),
        ["quantized 7"] = RbeFormat.Quantized(7),
        ["quantized 8"] = RbeFormat.Quantized(8),
        ["quantized 4, outliers"] = RbeFormat.Quantized(4) with { Outliers = 8 },
        ["quantized 8, outliers"] = RbeFormat.Quantized(8) with { Outliers = 8 },
        ["quantized 4, delta"] = RbeFormat.Quantized(4) with { Delta = RbeFormat.Sparse(64) },
        ["trellis 2"] = RbeFormat.Trellis(2),
        ["trellis 3"] = RbeFormat.Trellis(3),
        ["trellis 4"] = RbeFormat.Trellis(4),
        ["trellis 5"] = RbeFormat.Trellis(5),
        ["trellis 6"] = RbeFormat.Trellis(6),
        ["trellis 8"] = RbeFormat.Trellis(8),
        ["trellis 4, no outliers"] = RbeFormat.Trellis(4) with { Outliers = 0 },
        ["trellis 4, delta"] = RbeFormat.Trellis(4) with { Delta = RbeFormat.Sparse(64) },
    };

    public static TheoryData<string> Formats => [.. s_formats.Keys];

    private static bool HasHalves(string format) => s_formats[format] is QuantizedFormat or TrellisFormat;

    [Theory]
    [MemberData(nameof(Formats))]
    public void Every_size_is_kept_as_well_as_an_ordinary_one_or_refused(string format)
    {
        float[] ordinary = Numbers.Normal(Rows * Columns, 5);
        double expected = Error(format, ordinary, TileTransform.Dct)!.Value;
        foreach (double size in new[] { 1e-44, 1e-42, 1e-38, 1e-30, 1e-20, 1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 0.02, 100, 1e3, 1e4, 1e5, 1e6,
            1e12, 1e20, 1e30, 1e38 })
        {
            float[] weights = [.. ordinary.Select(w => (float)Math.Clamp(w * size, -float.MaxValue, float.MaxValue))];
            double? error = Error(format, weights, TileTransform.Dct);
            if (error is not null) Assert.True(error <= (1.3 * expected) + 1e-6, $"{format} of size {size}: {error}, expected {expected}");
            (double least, double most) = HasHalves(format) ? (1e-4, 1e3) : (1e-30, 1e20);
            if (size >= least && size <= most) Assert.True(error is not null, $"{format} refuses {size}");
            if (HasHalves(format) && (size <= 1e-8 || size >= 1e6)) Assert.True(error is null, $"{format} accepts {size}");
        }
    }

    [Theory]
    [MemberData(nameof(Formats))]
    public void Tiles_of_nothing_and_single_giants_are_kept_or_refused(string format)
    {
        float[] zeroTile = Numbers.Normal(Rows * Columns, 6);
        for (int i = 0; i < Tile; i++) zeroTile.AsSpan(i * Columns, Tile).Clear();
        Assert.InRange(Error(format, zeroTile, TileTransform.Dct)!.Value, 0, 1.3 * Error(format, Numbers.Normal(Rows * Columns, 6), TileTransform.Dct)!.Value);
        Assert.Equal(0, Error(format, new float[Rows * Columns], TileTransform.Dct));
        foreach (TileTransform transform in new[] { TileTransform.Dct, TileTransform.None })
        {
            foreach (float giant in new[] { 1f, 1e2f, 1e4f, 1e6f, 1e12f, 3e38f })
            {
                float[] weights = Numbers.Normal(Rows * Columns, 7, 0.02);
                weights[(5 * Columns) + 7] = giant;

                // What it costs is seen at a size where nothing saturates.
                double expected = Error(format, [.. weights.Select(w => (float)(w / (double)giant))], transform)!.Value;
                double? error = Error(format, weights, transform);
                if (error is not null) Assert.True(error <= (1.3 * expected) + 1e-6, $"{format} with {giant}: {error}, expected {expected}");
                if (giant <= 1e2f) Assert.NotNull(error);
            }
        }
    }

    [Theory]
    [InlineData("quantized 4")]
    [InlineData("quantized 8, outliers")]
    [InlineData("trellis 4")]
    [InlineData("sparse runs")]
    public void A_calibrated_matrix_is_kept_or_refused_alike(string format)
    {
        float[] ordinary = Numbers.Normal(Rows * Columns, 5);
        double expected = Calibrated(ordinary)!.Value;
        foreach (double size in new[] { 1e-42, 1e-8, 1e-6, 1e-4, 1e3, 1e6, 1e20, 1e38 })
        {
            double? error = Calibrated([.. ordinary.Select(w => (float)Math.Clamp(w * size, -float.MaxValue, float.MaxValue))]);
            if (error is not null) Assert.True(error <= (1.3 * expected) + 1e-6, $"{format} of size {size}: {error}, expected {expected}");
            if (HasHalves(format) && (size <= 1e-8 || size >= 1e6)) Assert.True(error is null, $"{format} accepts {size}");
            if (size is 1e-4 or 1e3) Assert.NotNull(error);
        }

        double? Calibrated(float[] weights) => Try(weights, () =>
        {
            SecondMoment moment = new(Columns);
            moment.Add(Numbers.Normal(Columns * 400, 9), 400);
            return RbeCompressor.Compress(weights, Rows, Columns, new RbeOptions { Tile = Tile, Format = s_formats[format] }, new Calibration(moment), out _);
        });
    }

    [Fact]
    public void Errors_name_the_matrix_its_size_and_the_mend()
    {
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Quantized(4) };
        float[] tiny = Numbers.Normal(64 * 64, 1, 1e-8);
        WeightRangeException error = Assert.Throws<WeightRangeException>(() => RbeCompressor.Compress(tiny, 64, 64, options));
        Assert.Equal("weights", error.Matrix);
        Assert.InRange(error.RootMeanSquare, 0.9e-8, 1.1e-8);
        Assert.Equal(tiny.Max(Math.Abs), error.Largest);
        Assert.All(["weights: ", "E-08", "4 bits", "fp16", "sparse format"], part => Assert.Contains(part, error.Message, StringComparison.Ordinal));

        TransformerConfig config = new() { Width = 64, Heads = 2, Layers = 1 };
        DenseBlockWeights dense = DenseBlockWeights.Gpt2Initialization(config, 1);
        Assert.Equal("attention.output",
            Assert.Throws<WeightRangeException>(() => BlockWeights.Compress(dense with { Output = tiny }, config, options)).Matrix);
    }

    [Theory]
    [InlineData(WeightPrecision.BFloat16, 1e-40)]
    [InlineData(WeightPrecision.BFloat16, 1e-3)]
    [InlineData(WeightPrecision.Int8, 1e-5)]
    [InlineData(WeightPrecision.Int8, 1e-3)]
    public void Copies_for_inference_keep_a_matrix_or_refuse_it(WeightPrecision precision, double size)
    {
        TransformerConfig config = new() { Width = 64, Heads = 2, Layers = 1 };
        RbeFormat format = precision == WeightPrecision.Int8 ? RbeFormat.Trellis(2) : RbeFormat.Sparse(512);
        DenseBlockWeights dense = DenseBlockWeights.Gpt2Initialization(config, 1) with { Key = Numbers.Normal(64 * 64, 2, size) };
        RbeOptions options = new() { Tile = 32, Format = format };
        using RbeTransformerBlock<float> block = new(config, BlockWeights.Compress(dense, config, options));
        try
        {
            using RbeTransformerBlock<float> copy = block.ToInference(precision);
            Assert.InRange(RbeCompressor.RelativeError(block.Attention.Key.ToMatrix().ToDense(), copy.Attention.Key.ToMatrix().ToDense()), 0, 1e-2);
        }
        catch (InvalidSettingException error)
        {
            Assert.True(size < 1e-3, error.Message);
            Assert.Equal("precision", error.Setting);
        }
    }

    // Relative error, or null where the matrix is refused.
    private static double? Error(string format, float[] weights, TileTransform transform) => Try(weights, () =>
        RbeCompressor.Compress(weights, Rows, Columns, new RbeOptions { Tile = Tile, Transform = transform, Format = s_formats[format] }));

    private static double? Try(float[] weights, Func<RbeMatrix> compress)
    {
        RbeMatrix matrix;
        try
        {
            matrix = compress();
        }
        catch (WeightRangeException error)
        {
            Assert.Equal(weights.Max(Math.Abs), error.Largest);
            return null;
        }

        Assert.DoesNotContain(matrix.Alphas.Concat(matrix.Coefficients), value => !float.IsFinite(value));
        if (matrix.Base is QuantizedTiles quantized) Assert.DoesNotContain(quantized.Scales, scale => !Half.IsFinite(scale));
        if (matrix.Base?.Outliers is { } outliers) Assert.DoesNotContain(outliers.Values, value => !Half.IsFinite(value));
        return RbeCompressor.RelativeError(weights, matrix.ToDense());
    }
}
