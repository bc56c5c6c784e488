using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Compression;

/// <content>Rounding one matrix after the other, with training of what is not rounded yet in between.</content>
internal sealed partial class ModelCompression
{
    // Matrices that are rounded together: what reads one input. Each group but the last leaves others to make up for its errors.
    /// <summary>Groups of matrices of a block that are rounded one after the other, each before a tuning.</summary>
    public static int TunedGroups => s_groups.Length;

    private static readonly BlockMatrix[][] s_groups =
        [[BlockMatrix.Query, BlockMatrix.Key, BlockMatrix.Value], [BlockMatrix.Output], [BlockMatrix.UpProjection], [BlockMatrix.DownProjection]];

    private const double BetweenRoundings = 0.7; // of all steps

    private (float[] Gamma, float[] Beta)? _finalNorm;
    private TuningFigures? _tuned;

    // Every matrix in the format asked for, at its turn.
    private void CompressTuned(TuningOptions tuning, Func<int, DenseBlockWeights, PerMatrix<RbeOptions>> optionsOf, BlockActivationData input)
    {
        IReadOnlyList<int[]> windows = request.Calibration!;
        BlockActivationData first = input;
        IReadOnlyList<BlockActivationData>? gradients = Gradients(input);
        PerMatrix<RbeOptions>[] options = new PerMatrix<RbeOptions>[_config.Layers];
        using ModelTuner tuner = new(Floats(options, optionsOf), _stored, windows, tuning, workspace);
        Dictionary<(int Layer, BlockMatrix Matrix), RbeMatrix> rounded = [];
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            foreach (BlockMatrix m in PerMatrix.All.Where(m => !Selects(layer, m))) tuner.Fix(layer, m);
        }

        int group = 0, groups = s_groups.Length * _config.Layers;
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            Tell($"block {layer}");
            DenseBlockWeights dense = Read(layer);
            BlockCalibration calibration = BlockCalibration.Run(
                dense, _config.OfBlock(layer), input, workspace, cancel: cancel, outputGradient: gradients?[layer]);
            foreach (BlockMatrix[] together in s_groups)
            {
                foreach (BlockMatrix m in together)
                {
                    (int rows, int columns) = PerMatrix.ShapeOf(_config, m);
                    float[] now = Selects(layer, m) ? tuner.WeightsOf(layer, m) : PerMatrix.WeightsOf(dense, m);
                    RbeMatrix matrix = WeightRange.Named(ModelCompressor.NameOf(layer, m), () => RbeCompressor.Compress(
                        now, rows, columns, options[layer][m], calibration[m], calibration.Outputs?[m], _parallel, out _));
                    rounded[(layer, m)] = matrix;
                    tuner.Fix(layer, m, matrix, calibration[m].BiasCorrection(now, matrix));
                    _done += Count(m);
                    Tell(ModelCompressor.NameOf(layer, m));
                }

                // The last group has nothing after it but scales and vectors.
                group++;
                int goal = (int)(BetweenRoundings * tuning.Steps * group / groups);
                tuner.Train(goal - tuner.Done, () => TellTuning(tuner, tuning), tuning.Enough);
            }

            input = calibration.Output;
        }

        tuner.Train(tuning.Steps - tuner.Done, () => TellTuning(tuner, tuning), tuning.Enough);
        TransformerWeights weights = tuner.Weights();
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            int at = layer;
            DenseBlockWeights dense = Read(layer);
            PerMatrix<RbeMatrix> matrices = new(m => tuner.Rounded(at, m, rounded[(at, m)]));
            Add(layer, new CalibratedBlock(BlockWeights.From(m => matrices[m], weights.Blocks[layer].Vectors),
                new PerMatrix<CompressionReport>(m => CompressionReport.Create(matrices[m], PerMatrix.WeightsOf(dense, m), _parallel))));
        }

        MeasureAll(first);
        _finalNorm = (weights.FinalGamma, weights.FinalBeta);
        _tuned = new TuningFigures(tuner.Done, tuner.HeldLoss);
    }

    private bool Selects(int layer, BlockMatrix matrix) => request.Names.Selects(ModelCompressor.NameOf(layer, matrix));

    private void TellTuning(ModelTuner tuner, TuningOptions tuning)
    {
        cancel.ThrowIfCancellationRequested();
        string loss = source.Encoder is null ? "divergence" : "1 - cosine";
        Tell(FormattableString.Invariant($"tuning, step {tuner.Done} of {tuning.Steps}, {loss} {tuner.Loss:G3}"));
    }

    // The model as floats in the coefficient domain of each block, every matrix with a bias.
    private TransformerWeights Floats(PerMatrix<RbeOptions>[] options, Func<int, DenseBlockWeights, PerMatrix<RbeOptions>> optionsOf)
    {
        List<BlockWeights> blocks = [];
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            DenseBlockWeights dense = Read(layer);
            options[layer] = optionsOf(layer, dense);
            RbeOptions any = options[layer][BlockMatrix.Query];
            blocks.Add(BlockWeights.Compress(
                dense with { Vectors = PerMatrix.AddToBiases(dense.Vectors, new(m => new float[PerMatrix.ShapeOf(_config, m).Rows])) },
                _config, ModelTuner.FloatsOf(any.Tile, any.Transform)));
        }

        return source.Complete(source.ReadTokenEmbedding(), blocks, _config.TiedHead ? (TableWeights?)null : source.ReadHead()!);
    }
}
