using RbeMl.Codec;

namespace RbeMl.Tests.Codec;

public class BadInputTests
{
    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void NonFiniteWeightsAreNamed(float value)
    {
        float[] weights = new float[70 * 40];
        weights[37 * 40 + 21] = value;
        NonFiniteException error = Assert.Throws<NonFiniteException>(() => RbeCompressor.Compress(weights, 70, 40, new RbeOptions()));
        Assert.Contains("row 37, column 21", error.Message);
    }

    [Theory]
    [InlineData(69)]
    [InlineData(71)]
    [InlineData(0)]
    public void WrongLengthNamesBothSides(int length)
    {
        ShapeMismatchException error = Assert.Throws<ShapeMismatchException>(() => RbeCompressor.Compress(new float[length], 7, 10, new RbeOptions()));
        Assert.Contains("[7, 10]", error.Message);
        Assert.Contains($"{length}", error.Message);
    }

    public static TheoryData<RbeOptions, string> Settings => new()
    {
        { new RbeOptions { Tile = 16 }, "tile" },
        { new RbeOptions { Tile = 0 }, "tile" },
        { new RbeOptions { Transform = (TileTransform)9 }, "transform" },
        { new RbeOptions { Format = RbeFormat.Sparse(0) }, "coefficients" },
        { new RbeOptions { Format = RbeFormat.Sparse(4097, SupportRule.TopK) }, "coefficients" },
        { new RbeOptions { Format = RbeFormat.Sparse(1025), Tile = 32 }, "coefficients" },
        { new RbeOptions { Format = RbeFormat.Sparse(4091, SupportRule.TopK) }, "coefficients" },
        { new RbeOptions { Format = RbeFormat.Seed(0) }, "coefficients" },
        { new RbeOptions { Format = RbeFormat.Seed(4097) }, "coefficients" },
        { new RbeOptions { Format = RbeFormat.Quantized(1) }, "bits" },
        { new RbeOptions { Format = RbeFormat.Quantized(9) }, "bits" },
        { new RbeOptions { Format = new QuantizedFormat(4) { Delta = RbeFormat.Sparse(-1) } }, "coefficients" },
        { new RbeOptions { Format = RbeFormat.Trellis(1) }, "bits" },
        { new RbeOptions { Format = RbeFormat.Trellis(7) }, "bits" },
        { new RbeOptions { Format = RbeFormat.Trellis(9) }, "bits" },
        { new RbeOptions { Format = RbeFormat.Trellis(4) with { Outliers = -1 } }, "outliers" },
        { new RbeOptions { Format = RbeFormat.Quantized(4) with { Outliers = 65 } }, "outliers" },
        { new RbeOptions { Format = RbeFormat.Trellis(4) with { Delta = RbeFormat.Sparse(-1) } }, "coefficients" },
        { new RbeOptions { Format = RbeFormat.Sparse(64, SupportRule.Runs(5)) }, "run length" },
        { new RbeOptions { Format = RbeFormat.Sparse(64, SupportRule.Runs(1)) }, "run length" },
        { new RbeOptions { Format = RbeFormat.Sparse(64, new SupportRule(SupportKind.TopK, 4)) }, "run length" },
        { new RbeOptions { Format = RbeFormat.Sparse(64, new SupportRule((SupportKind)7)) }, "support" },
    };

    [Theory]
    [MemberData(nameof(Settings))]
    public void SettingsOutOfRangeAreNamed(RbeOptions options, string setting)
    {
        InvalidSettingException error = Assert.Throws<InvalidSettingException>(() => RbeCompressor.Compress(new float[64 * 64], 64, 64, options));
        Assert.Equal(setting, error.Setting);
        Assert.Contains("use", error.Message);
    }

    [Fact]
    public void EmptyMatricesAreRefused()
    {
        Assert.Equal("rows", Assert.Throws<InvalidSettingException>(() => RbeCompressor.Compress([], 0, 4, new RbeOptions())).Setting);
        Assert.Equal("columns", Assert.Throws<InvalidSettingException>(() => RbeCompressor.Compress([], 4, 0, new RbeOptions())).Setting);
        Assert.Equal("rows", Assert.Throws<InvalidSettingException>(() => RbeCompressor.Compress([], -1, 4, new RbeOptions())).Setting);
    }

    [Fact]
    public void MeasuringAgainstAnotherShapeIsRefused()
    {
        RbeMatrix matrix = RbeCompressor.Compress(new float[12], 3, 4, new RbeOptions());
        Assert.Throws<ShapeMismatchException>(() => RbeCompressor.Measure(matrix, new float[11]));
    }

    [Fact]
    public void MisplacedRunsAreRefused()
    {
        Assert.Throws<InvalidSettingException>(() => new CoefficientSupport(64, 1, 4, [64]));
        Assert.Throws<InvalidSettingException>(() => new CoefficientSupport(64, 1, 1, [5, 5]));
        Assert.Throws<InvalidSettingException>(() => new CoefficientSupport(64, 1, 1, [6, 5]));
        Assert.Throws<InvalidSettingException>(() => new CoefficientSupport(64, 1, 1, [4096]));
        Assert.Throws<InvalidSettingException>(() => new CoefficientSupport(64, 2, 1, [1, 2, 3]));
        Assert.Throws<InvalidSettingException>(() => new CoefficientSupport(64, 1, 3, [1]));
    }
}
