using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class TransformTests
{
    public static TheoryData<TileTransform, int> All
    {
        get
        {
            TheoryData<TileTransform, int> data = [];
            foreach (TileTransform transform in Enum.GetValues<TileTransform>())
            {
                foreach (int tile in new[] { 32, 64, 128 }) data.Add(transform, tile);
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void RowsAreOrthonormal(TileTransform transform, int tile)
    {
        if (!TransformMatrix.IsOrthonormal(transform)) return;
        double[] m = TransformMatrix.Analysis(transform, tile);
        for (int u = 0; u < tile; u++)
        {
            for (int v = 0; v <= u; v++)
            {
                Assert.Equal(m[u * tile + v], TransformMatrix.Synthesis(transform, tile)[v * tile + u]);
                double dot = 0;
                for (int i = 0; i < tile; i++) dot += m[u * tile + i] * m[v * tile + i];
                Assert.Equal(u == v ? 1 : 0, dot, 4e-16 * tile); // B products of size 1/B, each rounded to 1.1e-16
            }
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void TileTransformIsItsDefinition(TileTransform transform, int tile)
    {
        double[] m = TransformMatrix.Analysis(transform, tile), x = RandomTile(tile, 1), y = new double[tile * tile];
        new TileTransformer(transform, tile).Forward(x, y);
        foreach ((int u, int v) in new[] { (0, 0), (1, 0), (0, 3), (tile - 1, tile - 1), (5, 17) })
        {
            double sum = 0;
            for (int i = 0; i < tile; i++)
            {
                for (int j = 0; j < tile; j++) sum += m[u * tile + i] * x[i * tile + j] * m[v * tile + j];
            }

            Assert.Equal(sum, y[u * tile + v], 1e-15 * tile);
        }
    }

    [Theory]
    [MemberData(nameof(All))]
    public void InverseUndoesAndAdjointIsItsTranspose(TileTransform transform, int tile)
    {
        TileTransformer transformer = new(transform, tile);
        double[] x = RandomTile(tile, 2), y = RandomTile(tile, 3), tx = new double[x.Length], ty = new double[x.Length], back = new double[x.Length];
        transformer.Forward(x, tx);
        transformer.Inverse(tx, back);
        transformer.Adjoint(x, tx);
        transformer.Inverse(y, ty);
        // Both sides sum B² products of unit size; rounding grows with the norms, B each.
        Assert.Equal(Dot(tx, y), Dot(x, ty), 1e-14 * tile * tile);
        Assert.All(x.Zip(back), pair => Assert.Equal(pair.First, pair.Second, 1e-14 * tile));
    }

    [Fact]
    public void TransformWorksInPlace()
    {
        TileTransformer transformer = new(TileTransform.Dct, 64);
        double[] x = RandomTile(64, 4), apart = new double[x.Length];
        transformer.Forward(x, apart);
        transformer.Forward(x, x);
        Assert.Equal(apart, x);
    }

    [Theory]
    [InlineData(32, 1e-6)]
    [InlineData(64, 1e-6)]
    [InlineData(128, 3e-6)]
    public void BasisFunctionsAreTheirFormulas(int tile, double distance)
    {
        double[][] f = BasisFunctions.Get(TileTransform.Dct, tile).Functions;
        double distanceError = 0, distanceNorm = 0;
        for (int i = 0; i < tile; i++)
        {
            for (int j = 0; j < tile; j++)
            {
                double x = (2.0 * j + 1) / tile - 1, y = (2.0 * i + 1) / tile - 1, d = Math.Sqrt(x * x + y * y);
                double[] expected =
                    [1, d, d * d, Math.Cos(Math.PI * x), Math.Cos(Math.PI * y), Math.Cos(2 * Math.PI * x), Math.Cos(2 * Math.PI * y),
                        Math.Cos(Math.PI * x) * Math.Cos(Math.PI * y)];
                for (int k = 0; k < 8; k++)
                {
                    if (k != 1) Assert.Equal(expected[k], f[k][i * tile + j], 1e-14);
                }

                distanceError += Math.Pow(d - f[1][i * tile + j], 2);
                distanceNorm += d * d;
            }
        }

        Assert.InRange(Math.Sqrt(distanceError / distanceNorm), 0, distance); // eight eigenvectors of d, by contract
    }

    [Theory]
    [InlineData(32)]
    [InlineData(64)]
    [InlineData(128)]
    public void SixFunctionsAreSingleDctCoefficients(int tile)
    {
        BasisFunctions basis = BasisFunctions.Get(TileTransform.Dct, tile);
        int[] functions = [0, 3, 4, 5, 6, 7];
        (int, int)[] places = [(0, 0), (0, 2), (2, 0), (0, 4), (4, 0), (2, 2)];
        for (int n = 0; n < 6; n++)
        {
            double[] image = new double[tile * tile];
            new TileTransformer(TileTransform.Dct, tile).Forward(basis.Functions[functions[n]], image);
            int at = places[n].Item1 * tile + places[n].Item2;
            double single = image[at];
            image[at] = 0;
            Assert.InRange(Math.Abs(single), 0.49 * tile, 1.01 * tile);
            Assert.InRange(Math.Sqrt(Dot(image, image)), 0, 1e-13 * tile);
        }

        Assert.Equal(places, SupportSelector.BasisPlaces.ToArray());
    }

    [Theory]
    [MemberData(nameof(All))]
    public void TransformedFunctionsAndGramBelongToTheFunctions(TileTransform transform, int tile)
    {
        BasisFunctions basis = BasisFunctions.Get(transform, tile);
        TileTransformer transformer = new(transform, tile);
        double[] image = new double[tile * tile];
        for (int k = 0; k < 8; k++)
        {
            transformer.Forward(basis.Functions[k], image);
            for (int e = 0; e < image.Length; e++) image[e] -= basis.TransformedFunctions[k][e];
            Assert.InRange(Math.Sqrt(Dot(image, image)), 0, 1e-13 * tile);
            for (int l = 0; l < 8; l++) Assert.Equal(Dot(basis.Functions[k], basis.Functions[l]), basis.Gram[k * 8 + l], 1e-12 * tile * tile);
        }
    }

    [Fact]
    public void OtherSizesAreRefused() => Assert.Throws<InvalidSettingException>(() => TransformMatrix.Analysis(TileTransform.Dct, 48));

    internal static double[] RandomTile(int tile, int seed) => RbeMatrix.Widen(Numbers.Normal(tile * tile, seed));

    internal static double Dot(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        double sum = 0;
        for (int i = 0; i < x.Length; i++) sum += x[i] * y[i];
        return sum;
    }
}
