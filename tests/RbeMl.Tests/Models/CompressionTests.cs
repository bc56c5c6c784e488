using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Layers;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Models;

/// <summary>Calibration of whole blocks and the choice of their formats.</summary>
public sealed class CompressionTests
{
    private const int Width = 64;
    private static readonly TransformerConfig s_config = new() { Width = Width, FeedForwardWidth = 128, Heads = 4, Layers = 2, MaxSequenceLength = 32 };
    private static readonly ChoiceSettings s_settings =
        new() { Candidates = [.. ChoiceSettings.CandidatesFor(64, TileTransform.Dct).Where(c => c.Format is not TrellisFormat)] };

    [Fact]
    public void CalibrationSeesTheInputsOfTheMatrices()
    {
        DenseBlockWeights dense = White(1);
        BlockActivationData x = Activations(3, 2);
        using Workspace<float> workspace = new(1);
        BlockCalibration calibration = BlockCalibration.Run(dense, s_config, x, workspace);
        using RbeTransformerBlock<float> block = new(s_config, BlockWeights.Compress(dense, s_config, RbeOptions.Dense));
        Assert.Equal(block.Forward(x.Values, x.Batch, x.Length, null, null, workspace).Output, calibration.Output.Values);
        Assert.Same(calibration[BlockMatrix.Query], calibration[BlockMatrix.Value]);
        Assert.Equal(128, calibration[BlockMatrix.DownProjection].Features);

        // The first LayerNorm by hand.
        double[] moment = new double[Width * Width];
        for (int t = 0; t < x.Tokens; t++)
        {
            double[] row = [.. x.Values.Skip(t * Width).Take(Width).Select(v => (double)v)];
            double mean = row.Average(), deviation = Math.Sqrt(row.Average(v => (v - mean) * (v - mean)) + s_config.LayerNormEpsilon);
            for (int i = 0; i < Width; i++) row[i] = ((row[i] - mean) / deviation * dense.Vectors.Gamma1[i]) + dense.Vectors.Beta1[i];
            for (int e = 0; e < moment.Length; e++) moment[e] += row[e / Width] * row[e % Width];
        }

        // fp32 normalised values of order 1, 96 tokens.
        for (int e = 0; e < moment.Length; e++) Assert.Equal(moment[e], calibration[BlockMatrix.Query].Moment[e / Width, e % Width], 1e-3);
    }

    [Fact]
    public void ACalibratedBlockErrsLess()
    {
        DenseBlockWeights dense = White(2);
        BlockCalibration calibration = BlockCalibration.Run(dense, s_config, Activations(32, 3));
        BlockExample fresh = BlockExample.Run(dense, s_config, Activations(8, 4));
        PerMatrix<RbeOptions> options = new(new RbeOptions { Format = RbeFormat.Quantized(4), Alphas = false });
        CalibratedBlock plain = CalibratedBlock.Compress(dense, s_config, options),
            calibrated = CalibratedBlock.Compress(dense, s_config, options, calibration);
        Assert.Equal(plain.Bits, calibrated.Bits);

        // Activations lie in a sixteenth of the directions but for a little noise.
        Assert.True(calibrated.OutputError(s_config, calibration.Example) < 0.8 * plain.OutputError(s_config, calibration.Example));
        Assert.True(calibrated.OutputError(s_config, fresh) < 0.9 * plain.OutputError(s_config, fresh));
    }

    [Fact]
    public void BiasesTakeUpTheMeanError()
    {
        DenseBlockWeights dense = White(7);
        BlockCalibration calibration = BlockCalibration.Run(dense, s_config, Activations(32, 8));
        CalibratedBlock block = CalibratedBlock.Compress(dense, s_config, new(new RbeOptions { Format = RbeFormat.Quantized(3), Alphas = false }), calibration);
        (RbeMatrix Matrix, float[] Weights, float[] Before, float[] After, BlockMatrix Which)[] parts =
        [
            (block.Weights.Query, dense.Query, dense.Vectors.QueryBias, block.Weights.Vectors.QueryBias, BlockMatrix.Query),
            (block.Weights.Key, dense.Key, dense.Vectors.KeyBias, block.Weights.Vectors.KeyBias, BlockMatrix.Key),
            (block.Weights.Value, dense.Value, dense.Vectors.ValueBias, block.Weights.Vectors.ValueBias, BlockMatrix.Value),
            (block.Weights.Output, dense.Output, dense.Vectors.OutputBias, block.Weights.Vectors.OutputBias, BlockMatrix.Output),
            (block.Weights.UpProjection, dense.UpProjection, dense.Vectors.UpProjectionBias, block.Weights.Vectors.UpProjectionBias, BlockMatrix.UpProjection),
            (block.Weights.DownProjection, dense.DownProjection, dense.Vectors.DownProjectionBias, block.Weights.Vectors.DownProjectionBias,
                BlockMatrix.DownProjection),
        ];
        foreach ((RbeMatrix matrix, float[] weights, float[] before, float[] after, BlockMatrix which) in parts)
        {
            float[] correction = calibration[which].BiasCorrection(weights, matrix);
            Assert.Contains(correction, c => c != 0);
            Assert.Equal(before.Zip(correction, (b, c) => b + c), after);
        }
    }

    [Fact]
    public void ABudgetIsKeptAndBeatsOneFormatForAll()
    {
        DenseBlockWeights dense = White(3);
        BlockCalibration calibration = BlockCalibration.Run(dense, s_config, Activations(32, 5));
        using Workspace<float> one = new(1), three = new(3);
        BlockChoice choice = FormatChoice.Choose(dense, s_config, calibration, ChoiceTarget.Bits(4.25), s_settings, workspace: one);
        Assert.True(choice.Block.BitsPerWeight <= 4.25);
        CalibratedBlock uniform =
            CalibratedBlock.Compress(dense, s_config, new(new RbeOptions { Format = RbeFormat.Quantized(4), Alphas = false }), calibration);
        Assert.Equal(4.25, uniform.BitsPerWeight, 1e-12);
        Assert.True(choice.MeasuredError <= uniform.OutputError(s_config, calibration.Example, one));
        Assert.Equal(choice.Block.OutputError(s_config, calibration.Example, three), choice.MeasuredError);
        Assert.Equal(choice.Options.Values,
            FormatChoice.Choose(dense, s_config, calibration, ChoiceTarget.Bits(4.25), s_settings, workspace: three).Options.Values);
    }

    [Theory]
    [InlineData(0.1)]
    [InlineData(0.01)]
    public void AnErrorIsMetAsMeasured(double error)
    {
        DenseBlockWeights dense = White(4);
        BlockCalibration calibration = BlockCalibration.Run(dense, s_config, Activations(32, 6));
        BlockActivationData heldOut = Activations(8, 7);
        BlockChoice choice = FormatChoice.Choose(dense, s_config, calibration, ChoiceTarget.MostError(error), s_settings, heldOut);
        Assert.InRange(choice.Block.OutputError(s_config, BlockExample.Run(dense, s_config, heldOut)), 0.3 * error, error); // steps of a bit halve the error
        Assert.True(choice.Block.BitsPerWeight < 8);
    }

    [Fact]
    public void AnErrorThatCannotBeMetIsRefusedWithTheBest()
    {
        DenseBlockWeights dense = White(5);
        BlockCalibration calibration = BlockCalibration.Run(dense, s_config, Activations(16, 8));
        UnreachableTargetException error =
            Assert.Throws<UnreachableTargetException>(() => FormatChoice.Choose(dense, s_config, calibration, ChoiceTarget.MostError(1e-6), s_settings));
        Assert.InRange(error.Best, 1e-5, 1e-2);
        Assert.Throws<UnreachableTargetException>(() => FormatChoice.Choose(dense, s_config, calibration, ChoiceTarget.Bits(0.05), s_settings));
    }

    [Fact]
    public void SmoothWeightsAreStoredSparse()
    {
        DenseBlockWeights dense = White(6) with
        {
            Query = Smooth(Width, Width, 1),
            Key = Smooth(Width, Width, 2),
            Value = Smooth(Width, Width, 3),
            Output = Smooth(Width, Width, 4),
            UpProjection = Smooth(128, Width, 5),
            DownProjection = Smooth(Width, 128, 6),
        };
        BlockCalibration calibration = BlockCalibration.Run(dense, s_config, Activations(32, 9));
        BlockChoice choice = FormatChoice.Choose(dense, s_config, calibration, ChoiceTarget.MostError(0.02), s_settings);
        Assert.All(choice.Options.Values, o => Assert.IsType<SparseFormat>(o.Format));
        Assert.IsType<SparseFormat>(FormatChoice.ForMatrix(dense.UpProjection, 128, Width, ChoiceTarget.MostError(0.02), s_settings).Options.Format);
    }

    [Fact]
    public void ABareMatrixIsChosenByItsWeights()
    {
        float[] weights = White(7).UpProjection;
        MatrixChoice byError = FormatChoice.ForMatrix(weights, 128, Width, ChoiceTarget.MostError(0.03), s_settings),
            byBits = FormatChoice.ForMatrix(weights, 128, Width, ChoiceTarget.Bits(5.25), s_settings);
        Assert.True(byError.Report.RelativeError <= 0.03);
        Assert.Equal(RbeFormat.Quantized(6), byError.Options.Format); // 5 bits leave 0.04 of white weights, 6 leave 0.024
        Assert.Equal(RbeFormat.Quantized(5), byBits.Options.Format);
        Assert.Throws<UnreachableTargetException>(() => FormatChoice.ForMatrix(weights, 128, Width, ChoiceTarget.MostError(1e-5), s_settings));
        Assert.Throws<UnreachableTargetException>(() => FormatChoice.ForMatrix(weights, 128, Width, ChoiceTarget.Bits(0.1), s_settings));
    }

    [Fact]
    public void AModelSharesItsBudget()
    {
        DenseBlockWeights[] blocks = [White(8), White(9)];
        BlockActivationData x = Activations(16, 10);
        IReadOnlyList<BlockChoice> choices = FormatChoice.ForModel(s_config, l => blocks[l], x, ChoiceTarget.Bits(5), s_settings);
        Assert.Equal(2, choices.Count);
        long weights = choices.Sum(c => c.Block.Reports.Values.Sum(r => r.Weights));
        Assert.InRange((double)choices.Sum(c => c.Block.Bits) / weights, 4, 5);
        Assert.All(FormatChoice.ForModel(s_config, l => blocks[l], x, ChoiceTarget.MostError(0.05), s_settings), c => Assert.True(c.MeasuredError <= 0.05));
    }

    [Fact]
    public void BadRequestsAreRefused()
    {
        DenseBlockWeights dense = White(10);
        Assert.Throws<ShapeMismatchException>(() => new BlockActivationData(new float[10], 1, 2, Width));
        Assert.Throws<ShapeMismatchException>(() => BlockCalibration.Run(dense, s_config, new BlockActivationData(new float[2 * 32], 1, 2, 32)));
        Assert.Throws<InvalidSettingException>(() => ChoiceTarget.Bits(0));
        Assert.Throws<InvalidSettingException>(() => ChoiceTarget.Saved(1));
        Assert.Throws<InvalidSettingException>(() => ChoiceTarget.MostError(double.NaN));
        PerMatrix<RbeOptions> mixed = new PerMatrix<RbeOptions>(new RbeOptions()).With(BlockMatrix.Key, new RbeOptions { Tile = 32 });
        Assert.Throws<InvalidSettingException>(() => CalibratedBlock.Compress(dense, s_config, mixed));
    }

    private static DenseBlockWeights White(int seed)
    {
        DenseBlockWeights dense = DenseBlockWeights.Gpt2Initialization(s_config, seed);
        return dense with
        {
            Query = Scaled(dense.Query),
            Key = Scaled(dense.Key),
            Value = Scaled(dense.Value),
            Output = Scaled(dense.Output),
            UpProjection = Scaled(dense.UpProjection),
            DownProjection = Scaled(dense.DownProjection)
        };

        // To about 1 / sqrt(fan-in), so that the block does something.
        float[] Scaled(float[] values) => [.. values.Select(v => 6 * v)];
    }

    private static float[] Smooth(int rows, int columns, int seed)
    {
        float[] values = new float[rows * columns];
        for (int e = 0; e < values.Length; e++)
        {
            values[e] = (float)(0.1 * (Math.Cos(Math.PI * (e / columns + 0.5) * seed / 64) * Math.Cos(Math.PI * (e % columns + 0.5) * 3 / 64)));
        }

        return values;
    }

    private static BlockActivationData Activations(int batch, int seed)
    {
        // The same mixture of four directions for every seed, other tokens.
        const int length = 32, sources = 4;
        float[] mix = Numbers.Normal(Width * sources, 1), source = Numbers.Normal(batch * length * sources, seed + 100),
            values = Numbers.Normal(batch * length * Width, seed, 0.3);
        for (int e = 0; e < values.Length; e++)
        {
            for (int s = 0; s < sources; s++) values[e] += mix[e % Width * sources + s] * source[e / Width * sources + s];
        }

        return new BlockActivationData(values, batch, length, Width);
    }
}
