using Microsoft.ML;
using Microsoft.ML.Data;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.MLNet.Blocks;

namespace RbeMl.MLNet.Tests.Blocks;

/// <summary>Masks of every type, outputs that overflow, and the rows that calibrate.</summary>
public sealed class BlockRowTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Fact]
    public void MasksOfNumbersHideTokens()
    {
        IDataView data = _ml.Data.LoadFromEnumerable(Enumerable.Range(0, 6).Select(i => new Masked
        {
            X = BlockRows.Activations(i),
            Bytes = [.. Mask(i).Select(m => (byte)(m * 7))],
            Singles = [.. Mask(i).Select(m => m * 0.5f)],
        }));
        foreach (string column in (string[])["Bytes", "Singles"])
        {
            TransformerBlockOptions options = Options();
            options.PaddingMaskColumnName = column;
            float[][] actual = BlockRows.Column(_ml.Rbe.TransformerBlock(options).Fit(data).Transform(data), "Y");
            for (int i = 0; i < actual.Length; i++) Assert.Equal(BlockRows.Expected(BlockRows.Activations(i), Mask(i)), actual[i]);
            Assert.NotEqual(BlockRows.Expected(BlockRows.Activations(3)), actual[3]);
        }

        // The second token of every other row is hidden, so that the later ones differ.
        static byte[] Mask(int row) => [1, (byte)(row % 2 == 0 ? 1 : 0), 1, 1, 1];
    }

    [Fact]
    public void ARowOfFiniteValuesWhoseOutputIsNotIsMissingAsAWhole()
    {
        // A value of the last token whose square is beyond the largest float, and a bias that takes it there itself.
        float[] bias = new float[BlockRows.Width];
        bias[0] = 1e38f;
        BlockWeights weights = BlockRows.Weights with { Vectors = BlockRows.Weights.Vectors with { DownProjectionBias = bias } };
        float[][] rows = [.. Enumerable.Range(0, 3).Select(i => BlockRows.Activations(i))];
        rows[1][^BlockRows.Width] = 3e38f;
        using RbeTransformerBlock<float> block = new(BlockRows.Config, weights);
        float[][] alone = [.. rows.Select(x => block.Forward(x, 1, BlockRows.Tokens, new ForwardOptions<float> { AllowNonFinite = true }).Output)];
        Assert.Equal([false, true, false], alone.Select(y => y.Any(v => !float.IsFinite(v))));
        Assert.Throws<NonFiniteException>(() => block.Forward(rows[1], 1, BlockRows.Tokens));

        TransformerBlockOptions options = Options();
        options.Weights = weights;
        IDataView data = _ml.Data.LoadFromEnumerable(rows.Select(x => new Masked { X = x }));
        float[][] actual = BlockRows.Column(_ml.Rbe.TransformerBlock(options).Fit(data).Transform(data), "Y");
        Assert.All(actual[1], v => Assert.True(float.IsNaN(v)));
        Assert.Equal(alone[0], actual[0]);
        Assert.Equal(alone[2], actual[2]);
    }

    [Fact]
    public void NoMoreRowsCalibrateThanAreAllowed()
    {
        float[] three = Calibrated(rows: 3, most: 40), threeOfForty = Calibrated(rows: 40, most: 3), forty = Calibrated(rows: 40, most: 40);
        Assert.Equal(three, threeOfForty);
        Assert.NotEqual(three, forty);

        float[] Calibrated(int rows, int most)
        {
            TransformerBlockOptions options = Options();
            (options.Weights, options.DenseWeights, options.CalibrationRows) = (null, BlockRows.Dense, most);
            options.Compression = new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(3) };
            return BlockRows.Column(_ml.Rbe.TransformerBlock(options).Fit(BlockRows.Fixed(_ml, rows)).Transform(BlockRows.Fixed(_ml, 1)), "Y")[0];
        }
    }

    private static TransformerBlockOptions Options() =>
        new() { OutputColumnName = "Y", InputColumnName = "X", Config = BlockRows.Config, Weights = BlockRows.Weights };

    private sealed class Masked
    {
        [VectorType(BlockRows.Size)]
        public float[] X { get; set; } = [];

        [VectorType(BlockRows.Tokens)]
        public byte[] Bytes { get; set; } = new byte[BlockRows.Tokens];

        [VectorType(BlockRows.Tokens)]
        public float[] Singles { get; set; } = new float[BlockRows.Tokens];
    }
}
