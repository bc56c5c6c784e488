using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class BiorthogonalFitTests
{
    private const int Tile = 64, Area = Tile * Tile;
    private static readonly TileTransformer s_transformer = new(TileTransform.Cdf97, Tile);

    [Theory]
    [InlineData("white", 40)]
    [InlineData("white", 300)]
    [InlineData("white", 2000)]
    [InlineData("smooth and noise", 300)]
    [InlineData("outliers", 300)]
    [InlineData("steps", 20)]
    public void NeverWorseThanTheLargestCoefficients(string family, int kept)
    {
        float[] weights = WeightFamilies.Make(family, Tile, Tile, 1);
        double[] cells = RbeMatrix.Widen(weights), image = new double[Area], plain = new double[Area];
        s_transformer.Forward(cells, image);
        foreach (int place in Enumerable.Range(0, Area).OrderByDescending(e => Math.Abs(image[e])).Take(kept)) plain[place] = image[place];
        s_transformer.Inverse(plain, plain);
        double before = RbeCompressor.RelativeError(weights, [.. plain.Select(v => (float)v)]);
        RbeCompressor.Compress(weights, Tile, Tile, Options(RbeFormat.Sparse(kept, SupportRule.TopK), alphas: false), out CompressionReport report);
        Assert.True(report.RelativeError <= before, $"{report.RelativeError} against {before}");
        // refined values and better places show
        if (family == "white") Assert.True(report.RelativeError < (kept < 300 ? 1 : 0.995) * before, $"{report.RelativeError} against {before}");
    }

    [Fact]
    public void ValuesAndAlphasAreTheLeastSquaresOfTheCells()
    {
        foreach (SupportRule rule in new[] { SupportRule.TopK, SupportRule.Runs(16), SupportRule.Random(3), SupportRule.LowFrequency })
        {
            float[] weights = Numbers.Normal(Area, 2);
            RbeMatrix matrix = RbeCompressor.Compress(weights, Tile, Tile, Options(RbeFormat.Sparse(304, rule), alphas: true));
            double[] error = [.. matrix.ToDenseDouble().Select((v, e) => weights[e] - v)], alphas = new double[8], coefficients = new double[304];
            RbeMatrix.PullBack(matrix, error, alphas, coefficients);

            // Conjugate gradients stop when the squared gradient, about 1 a value at the start, has fallen by 1e-12 or after 100 steps;
            // alphas are rounded to fp32.
            Assert.All(coefficients, g => Assert.InRange(Math.Abs(g), 0, 1e-3));
            for (int k = 0; k < 8; k++) Assert.InRange(Math.Abs(alphas[k]) / Math.Sqrt(BasisFunctions.Get(TileTransform.Cdf97, Tile).Gram[k * 9]), 0, 1e-2);
        }
    }

    [Fact]
    public void ADeltaRepairsTheBaseInCells()
    {
        float[] weights = Numbers.Normal(128 * 128, 8);
        RbeCompressor.Compress(weights, 128, 128, Options(RbeFormat.Quantized(4), alphas: true), out CompressionReport plain);
        RbeCompressor.Compress(weights, 128, 128, Options(new QuantizedFormat(4) { Delta = RbeFormat.Sparse(256) }, alphas: true),
            out CompressionReport repaired);
        Assert.True(repaired.RelativeError < 0.98 * plain.RelativeError, $"{repaired.RelativeError} against {plain.RelativeError}");
    }

    private static RbeOptions Options(RbeFormat format, bool alphas) =>
        new() { Tile = Tile, Transform = TileTransform.Cdf97, Format = format, Alphas = alphas };
}
