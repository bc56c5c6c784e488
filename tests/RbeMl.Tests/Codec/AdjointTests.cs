using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class AdjointTests
{
    public static TheoryData<TileTransform, int> Layouts => TransformTests.All;

    // <dW/dp d, G> = <d, PullBack(G)>: the decode is affine in its parameters, so a difference of two decodes is the derivative exactly.
    [Theory]
    [MemberData(nameof(Layouts))]
    public void PullBackIsTheAdjointOfDecoding(TileTransform transform, int tile)
    {
        const int rows = 70, columns = 130;
        float[] weights = Numbers.Normal(rows * columns, 1);
        foreach (RbeFormat format in new RbeFormat[] { RbeFormat.Sparse(64), RbeFormat.Sparse(50, SupportRule.TopK), RbeFormat.Seed(30),
            RbeFormat.Quantized(4), new QuantizedFormat(5) { Delta = RbeFormat.Sparse(32, SupportRule.Runs(4)) },
                RbeFormat.Trellis(3) with { Delta = RbeFormat.Sparse(32, SupportRule.Runs(4)) } })
        {
            RbeMatrix matrix = RbeCompressor.Compress(weights, rows, columns, new RbeOptions { Tile = tile, Transform = transform, Format = format });
            double[] alphas = RbeMatrix.Widen(Numbers.Normal(matrix.Alphas.Length, 2)),
                coefficients = RbeMatrix.Widen(Numbers.Normal(matrix.Coefficients.Length, 3));
            double[] g = RbeMatrix.Widen(Numbers.Normal(rows * columns, 4)), dAlphas = new double[alphas.Length],
                dCoefficients = new double[coefficients.Length];
            double[] moved = RbeMatrix.ToDenseDouble(matrix, alphas, coefficients),
                origin = RbeMatrix.ToDenseDouble(matrix, new double[alphas.Length], new double[coefficients.Length]);
            for (int e = 0; e < moved.Length; e++) moved[e] -= origin[e];
            RbeMatrix.PullBack(matrix, g, dAlphas, dCoefficients);
            double left = TransformTests.Dot(moved, g), right = TransformTests.Dot(alphas, dAlphas) + TransformTests.Dot(coefficients, dCoefficients);
            double scale = Math.Sqrt(TransformTests.Dot(moved, moved) * TransformTests.Dot(g, g)); // Cauchy-Schwarz: the size of either side's terms
            Assert.InRange(Math.Abs(left - right) / scale, 0, 1e-12);
        }
    }

    [Fact]
    public void TileCoefficientsAreTheTransformOfTheTile()
    {
        float[] weights = Numbers.Normal(64 * 128, 5);
        foreach (TileTransform transform in Enum.GetValues<TileTransform>())
        {
            RbeMatrix matrix =
                RbeCompressor.Compress(weights, 64, 128,
                    new RbeOptions { Transform = transform, Format = new QuantizedFormat(4) { Delta = RbeFormat.Sparse(32) } });
            double[] image = new double[4096], cells = new double[4096], dense = matrix.ToDenseDouble();
            matrix.DecodeTileCoefficients(1, image);
            for (int e = 0; e < 4096; e++) cells[e] = dense[e / 64 * 128 + 64 + e % 64];
            new TileTransformer(transform, 64).Forward(cells, cells);
            Assert.All(image.Zip(cells), pair => Assert.Equal(pair.First, pair.Second, 1e-12));
        }
    }

    [Fact]
    public void WrongSizesAreRefused()
    {
        RbeMatrix matrix = RbeCompressor.Compress(new float[64 * 64], 64, 64, new RbeOptions { Format = RbeFormat.Sparse(16) });
        Assert.Throws<ShapeMismatchException>(() => RbeMatrix.ToDenseDouble(matrix, new double[7], new double[16]));
        Assert.Throws<ShapeMismatchException>(() => RbeMatrix.ToDenseDouble(matrix, new double[8], new double[15]));
        Assert.Throws<ShapeMismatchException>(() => RbeMatrix.PullBack(matrix, new double[4095], new double[8], new double[16]));
        Assert.Throws<ShapeMismatchException>(() => RbeMatrix.PullBack(matrix, new double[4096], [], new double[16]));
        Assert.Throws<ShapeMismatchException>(() => matrix.DecodeTile(0, new float[4095]));
        Assert.Throws<ArgumentOutOfRangeException>(() => matrix.DecodeTileCoefficients(1, new double[4096]));
    }
}
