using Microsoft.ML;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.MLNet.Blocks;
using RbeMl.Models;

namespace RbeMl.MLNet.Tests.Blocks;

public sealed class TransformerBlockTests
{
    private readonly MLContext _ml = new(seed: 1);

    [Theory]
    [InlineData(0)]
    [InlineData(12)]
    [InlineData(512)]
    public void RowsAreThoseOfTheBlockAloneWhateverIsComputedTogether(int batchTokens)
    {
        TransformerBlockOptions options = Options();
        options.BatchTokens = batchTokens;
        float[][] actual = BlockRows.Column(_ml.Rbe.TransformerBlock(options).Fit(BlockRows.Fixed(_ml)).Transform(BlockRows.Fixed(_ml)), "Y");
        Assert.Equal(12, actual.Length);
        for (int i = 0; i < actual.Length; i++) Assert.Equal(BlockRows.Expected(BlockRows.Activations(i)), actual[i]);
    }

    [Fact]
    public void MaskHidesTokens()
    {
        TransformerBlockOptions options = Options();
        options.PaddingMaskColumnName = "Mask";
        float[][] actual = BlockRows.Column(_ml.Rbe.TransformerBlock(options).Fit(BlockRows.Fixed(_ml)).Transform(BlockRows.Fixed(_ml)), "Y");
        for (int i = 0; i < actual.Length; i++)
        {
            byte[] mask = [.. Enumerable.Range(0, BlockRows.Tokens).Select(t => t <= i % BlockRows.Tokens ? (byte)1 : (byte)0)];
            Assert.Equal(BlockRows.Expected(BlockRows.Activations(i), mask), actual[i]);
        }

        Assert.NotEqual(BlockRows.Expected(BlockRows.Activations(0)), actual[0]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void RowsOfAnyLength(bool masked)
    {
        TransformerBlockOptions options = Options();
        options.VariableLength = true;
        options.PaddingMaskColumnName = masked ? "Mask" : null;
        float[][] actual = BlockRows.Column(_ml.Rbe.TransformerBlock(options).Fit(BlockRows.Variable(_ml)).Transform(BlockRows.Variable(_ml)), "Y");
        for (int i = 0; i < actual.Length; i++)
        {
            byte[]? mask = masked ? [.. Enumerable.Range(0, i % 7).Select(t => t == 3 ? (byte)0 : (byte)1)] : null;
            Assert.Equal(BlockRows.Expected(BlockRows.Activations(i, i % 7), mask), actual[i]);
        }
    }

    [Fact]
    public void BadRowIsMissingAndItsNeighboursAreNot()
    {
        BlockRows.FixedRow[] rows =
            [.. Enumerable.Range(0, 6).Select(i => new BlockRows.FixedRow { X = BlockRows.Activations(i), Mask = new bool[BlockRows.Tokens] })];
        rows[1].X[7] = float.NaN;
        rows[2].X[0] = float.PositiveInfinity;
        rows[4].X.AsSpan().Fill(float.MaxValue);
        rows[4].X[1] = -float.MaxValue;
        List<string> warnings = [];
        _ml.Log += (_, e) => warnings.Add(e.Message);
        IDataView data = _ml.Data.LoadFromEnumerable(rows);
        float[][] actual = BlockRows.Column(_ml.Rbe.TransformerBlock(Options()).Fit(data).Transform(data), "Y");
        foreach (int good in (int[])[0, 3, 5]) Assert.Equal(BlockRows.Expected(BlockRows.Activations(good)), actual[good]);
        foreach (int bad in (int[])[1, 2, 4]) Assert.All(actual[bad], v => Assert.True(float.IsNaN(v)));
        Assert.Single(warnings, w => w.Contains("Its output is NaN", StringComparison.Ordinal));
    }

    [Fact]
    public void VariableRowThatIsNoMatrixIsMissing()
    {
        TransformerBlockOptions options = Options();
        options.VariableLength = true;
        BlockRows.VariableRow[] rows = [new() { X = new float[31] }, new() { X = BlockRows.Activations(1, 2) }, new() { X = new float[9 * 32] }];
        IDataView data = _ml.Data.LoadFromEnumerable(rows);
        float[][] actual = BlockRows.Column(_ml.Rbe.TransformerBlock(options).Fit(data).Transform(data), "Y");
        Assert.Equal([31, 64, 9 * 32], actual.Select(a => a.Length));
        Assert.All(actual[0].Concat(actual[2]), v => Assert.True(float.IsNaN(v)));
        Assert.Equal(BlockRows.Expected(BlockRows.Activations(1, 2)), actual[1]);
    }

    [Fact]
    public void DenseWeightsAreCompressedAtFitAndCalibratedWithTheRows()
    {
        IDataView data = BlockRows.Fixed(_ml, 40);
        float[] exact =
            BlockRows.Column(_ml.Rbe.TransformerBlock("Y", "X", BlockRows.Config, BlockRows.Dense, RbeOptions.Dense).Fit(data).Transform(data),
                "Y").SelectMany(r => r).ToArray();
        double plain = Error(0), calibrated = Error(40);
        Assert.InRange(plain, 1e-3, 0.2);
        Assert.True(calibrated < plain, $"calibrated {calibrated}, plain {plain}");

        double Error(int calibrationRows)
        {
            TransformerBlockOptions options = Options();
            options.Weights = null;
            options.DenseWeights = BlockRows.Dense;
            options.CalibrationRows = calibrationRows;
            options.Compression = new RbeOptions { Tile = 32, Format = RbeFormat.Quantized(3) };
            return RbeCompressor.RelativeError(exact,
                BlockRows.Column(_ml.Rbe.TransformerBlock(options).Fit(data).Transform(data), "Y").SelectMany(r => r).ToArray());
        }
    }

    [Fact]
    public void BlockOfAModelFile()
    {
        TransformerConfig config = BlockRows.Config with { Layers = 2, Vocabulary = 9 };
        using TransformerModel<float> model = TransformerModel<float>.Create(config, new RbeOptions { Tile = 32, Format = RbeFormat.Sparse(128) }, 5);
        string path = Path.Combine(Path.GetTempPath(), $"rbeml-{Guid.NewGuid():N}.rbe");
        try
        {
            ModelFile.Save(path, model);
            IDataView data = BlockRows.Fixed(_ml, 2);
            TransformerBlockTransformer fitted = _ml.Rbe.TransformerBlock("Y", "X", path, layer: 1).Fit(data);
            using RbeTransformerBlock<float> own = new(fitted.Config, fitted.Weights);
            Assert.Equal(model.Blocks[1].Forward(BlockRows.Activations(0), 1, BlockRows.Tokens).Output,
                own.Forward(BlockRows.Activations(0), 1, BlockRows.Tokens).Output);
            Assert.Equal(own.Forward(BlockRows.Activations(1), 1, BlockRows.Tokens).Output, BlockRows.Column(fitted.Transform(data), "Y")[1]);
            Assert.Contains("0 .. 1", Assert.Throws<InvalidSettingException>(() => _ml.Rbe.TransformerBlock("Y", "X", path, layer: 2).Fit(data)).Message);
        }
        finally
        {
            File.Delete(path);
        }

        Assert.Throws<RbeFileException>(() => _ml.Rbe.TransformerBlock("Y", "X", path).Fit(BlockRows.Fixed(_ml)));
    }

    [Fact]
    public void OneSourceOfWeights()
    {
        Assert.Contains("exactly one", Assert.Throws<InvalidSettingException>(() => _ml.Rbe.TransformerBlock(new TransformerBlockOptions())).Message);
        TransformerBlockOptions both = Options();
        both.DenseWeights = BlockRows.Dense;
        Assert.Throws<InvalidSettingException>(() => _ml.Rbe.TransformerBlock(both));
        TransformerBlockOptions shapeless = Options();
        shapeless.Config = null;
        Assert.Throws<InvalidSettingException>(() => _ml.Rbe.TransformerBlock(shapeless));
        TransformerBlockOptions calibrated = Options();
        calibrated.CalibrationRows = 5;
        Assert.Throws<InvalidSettingException>(() => _ml.Rbe.TransformerBlock(calibrated));
    }

    [Fact]
    public void UnknownSizeIsRefusedWithTheMend()
    {
        ArgumentOutOfRangeException error = Assert.Throws<ArgumentOutOfRangeException>(() => _ml.Rbe.TransformerBlock(Options()).Fit(BlockRows.Variable(_ml)));
        Assert.Contains("'X'", error.Message);
        Assert.Contains("[VectorType(n)]", error.Message);
    }

    private static TransformerBlockOptions Options() =>
        new() { OutputColumnName = "Y", InputColumnName = "X", Config = BlockRows.Config, Weights = BlockRows.Weights };
}
