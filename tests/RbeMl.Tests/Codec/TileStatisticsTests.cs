using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class TileStatisticsTests
{
    public static TheoryData<TileTransform, int, int, int> Shapes => new()
    {
        { TileTransform.Dct, 64, 64, 32 }, { TileTransform.Haar, 70, 33, 32 }, { TileTransform.WalshHadamard, 100, 129, 64 },
            { TileTransform.None, 40, 90, 32 }, { TileTransform.Dct, 5, 200, 128 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Energies_are_those_of_the_decoded_cells(TileTransform transform, int rows, int columns, int tile)
    {
        float[] weights = Numbers.Normal(rows * columns, 1);
        for (int i = 0; i < weights.Length; i++) weights[i] += 0.5f; // something for the alphas to carry
        foreach (RbeFormat format in new RbeFormat[] { RbeFormat.Sparse(64), RbeFormat.Quantized(4),
            RbeFormat.Quantized(3) with { Delta = RbeFormat.Sparse(16) } })
        {
            RbeMatrix matrix = RbeCompressor.Compress(weights, rows, columns, new RbeOptions { Tile = tile, Transform = transform, Format = format });
            TileStatistics statistics = TileStatistics.Of(matrix);
            double[] energies = Energies(matrix.ToDenseDouble(), matrix), alphas = Energies(AlphaCells(matrix), matrix);
            for (int t = 0; t < matrix.TileCount; t++)
            {
                // Double sums of at most 128² terms; the factors of d leave 3e-6 of its norm.
                Assert.Equal(energies[t], statistics.Energies[t], 1e-10 * energies[t]);
                Assert.Equal(alphas[t], statistics.AlphaEnergies[t], 1e-5 * Math.Max(alphas[t], 1e-3));
                Assert.Equal(Math.Sqrt(statistics.Energies[t]), statistics.NormOf(t));
                Assert.Equal(statistics.AlphaEnergies[t] / statistics.Energies[t], statistics.AlphaShareOf(t));
            }

            Assert.Equal(energies.Sum(), statistics.Energy, 1e-10 * energies.Sum());
            Assert.Equal(alphas.Sum() / energies.Sum(), statistics.AlphaShare, 1e-5);
            Assert.True(matrix.HasAlphas && statistics.AlphaShare > 0.01, $"{format}: the alphas carry nothing");
        }
    }

    [Fact]
    public void Without_alphas_or_weights_nothing_is_carried()
    {
        RbeOptions options = new() { Tile = 32, Format = RbeFormat.Quantized(5), Alphas = false };
        TileStatistics statistics = TileStatistics.Of(RbeCompressor.Compress(Numbers.Normal(64 * 40, 3), 64, 40, options));
        Assert.Equal(0, statistics.AlphaShare);
        TileStatistics zeros = TileStatistics.Of(RbeCompressor.Compress(new float[64 * 40], 64, 40, options with { Alphas = true }));
        Assert.Equal((0.0, 0.0, 0.0), (zeros.Energy, zeros.AlphaShare, zeros.AlphaShareOf(1)));
    }

    // sum_k alpha_k phi_k from the functions on the grid, [rows * columns].
    private static double[] AlphaCells(RbeMatrix matrix)
    {
        double[][] functions = BasisFunctions.Get(matrix.Transform, matrix.Tile).Functions;
        double[] cells = new double[matrix.Rows * matrix.Columns];
        for (int i = 0; i < matrix.Rows; i++)
        {
            for (int j = 0; j < matrix.Columns; j++)
            {
                int tile = i / matrix.Tile * matrix.TileColumns + j / matrix.Tile, cell = i % matrix.Tile * matrix.Tile + j % matrix.Tile;
                for (int k = 0; k < BasisFunctions.Count; k++)
                {
                    cells[i * matrix.Columns + j] += matrix.Alphas[tile * BasisFunctions.Count + k] * functions[k][cell];
                }
            }
        }

        return cells;
    }

    private static double[] Energies(double[] dense, RbeMatrix matrix)
    {
        double[] energies = new double[matrix.TileCount];
        for (int e = 0; e < dense.Length; e++)
        {
            energies[e / matrix.Columns / matrix.Tile * matrix.TileColumns + e % matrix.Columns / matrix.Tile] += dense[e] * dense[e];
        }

        return energies;
    }
}
