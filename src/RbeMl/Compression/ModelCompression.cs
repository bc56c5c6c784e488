using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Compression;

/// <summary>One compression of a model: its state from the first block to the last table.</summary>
internal sealed partial class ModelCompression(IModelFolder source, CompressionRequest request, Workspace<float> workspace,
    IProgress<CompressionProgress>? progress, CancellationToken cancel)
{
    private const long LeastToCollect = 1 << 20;

    private readonly TransformerConfig _config = source.Config;
    private readonly TransformerConfig _stored = source.Config with { LayerNorm = request.LayerNorm };
    private readonly ParallelOptions _parallel = ModelCompressor.ParallelFor(request, cancel);
    private readonly List<BlockWeights> _blocks = [];
    private readonly List<MatrixOutcome> _outcomes = [];
    private readonly List<double> _errors = [];
    private readonly List<double> _errorsDenseNorms = [];
    private readonly Dictionary<string, double> _energies = [];
    private long _done;
    private long _total;
    private BlockActivationData? _last;

    private long BlockWeightCount => PerMatrix.All.Sum(m => Count(m));

    private long TableWeightCount => request.Embeddings is null ? 0 : (long)_config.Vocabulary * _config.Width * (_config.TiedHead ? 1 : 2);

    /// <summary>Every matrix in the format asked for, calibrated where there are windows.</summary>
    public void CompressAll()
    {
        _total = (BlockWeightCount * _config.Layers) + TableWeightCount;
        BlockActivationData? input = request.Calibration is null ? null : CalibrationWindows.Embed(source, request.Calibration);
        if (request.Tuning is { } tuning)
        {
            CompressTuned(tuning, OptionsOf, input!);
            return;
        }

        IReadOnlyList<BlockActivationData>? gradients = Gradients(input);
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            Tell($"block {layer}");
            DenseBlockWeights dense = Read(layer);
            BlockCalibration? calibration = input is null ? null
                : BlockCalibration.Run(dense, _config.OfBlock(layer), input, workspace, cancel: cancel, outputGradient: gradients?[layer]);
            int at = layer;
            PerMatrix<RbeOptions> each = OptionsOf(layer, dense);
            CalibratedBlock block =
                WeightRange.Named(ModelCompressor.NameOf(layer), () => CalibratedBlock.Compress(dense, _config, each, calibration, _parallel, m =>
            {
                _done += Count(m);
                Tell(ModelCompressor.NameOf(at, m));
            }));
            Add(layer, block);
            if (calibration is null) continue;
            Measure(layer, block, calibration.Example);
            input = _last = calibration.Output;
        }
    }

    /// <summary>Formats by measurement on windows.</summary>
    public void Choose(ChoiceTarget target, IReadOnlyList<int[]> windows)
    {
        BlockActivationData input = CalibrationWindows.Embed(source, windows);
        int passes = target.Error is null || source.Encoder is not null ? 2 : 1;
        _total = (BlockWeightCount * _config.Layers * passes) + TableWeightCount;
        RbeOptions options = request.Options;
        if (request.MeasureTransform) options = options with { Transform = TransformOf(0, source.ReadBlock(0), orthonormal: true) };
        ChoiceSettings settings =
            new()
            {
                Candidates = ChoiceSettings.CandidatesFor(options.Tile, options.Transform),
                Seed = request.Seed,
                Parallel = _parallel,
                OutputGradients = Gradients(input),
            };
        int read = 0;
        IReadOnlyList<BlockChoice> choices = Yardstick() is { } yardstick
            ? new EncoderChoice(_config, BlockAt, input, yardstick, settings, workspace).Choose(target)
            : FormatChoice.ForModel(_config, BlockAt, input, target, settings, workspace: workspace);
        _done = BlockWeightCount * _config.Layers * passes;
        if (request.Tuning is { } tuning)
        {
            _done = 0;
            CompressTuned(tuning, (layer, _) => choices[layer].Options, input);
            return;
        }

        for (int layer = 0; layer < choices.Count; layer++) Add(layer, choices[layer].Block);
        MeasureAll(input);

        DenseBlockWeights BlockAt(int layer)
        {
            cancel.ThrowIfCancellationRequested();
            _done = Math.Min(_total - TableWeightCount, BlockWeightCount * read++); // an error of vectors may take more rounds
            Tell($"block {layer}{(passes == 2 ? read <= _config.Layers ? ", measuring" : ", compressing" : "")}");
            return Read(layer);
        }
    }

    /// <summary>Tables, LayerNorms and the figures.</summary>
    public CompressedModel Finish()
    {
        (float[] gamma, float[] beta) = _finalNorm ?? source.ReadFinalNorm();
        PartOutcome norms = Norms(gamma, beta);
        float[] positions = source.ReadPositionEmbedding();
        TableWeights tokens = Table("embedding.tokens", source.ReadTokenEmbedding), head = _config.TiedHead ? tokens : Table("head", () => source.ReadHead()!);
        MatrixOutcome[] tables = [.. _outcomes.Where(o => o.Name is "embedding.tokens" or "head")];
        long table = 4L * _config.Vocabulary * _config.Width * (_config.TiedHead ? 1 : 2), places = 4L * positions.Length;
        PartOutcome embeddings =
            new(table + places, places + (request.Embeddings is null ? table : tables.Sum(t => t.Report.Bytes)), tables.Length == 0 ? 0
                : MatrixOutcome.RelativeError(tables));
        _done = _total;
        Tell("done");
        TransformerWeights weights = source.Complete(tokens, _blocks, _config.TiedHead ? null : head)
            with
        { Config = _stored, FinalGamma = gamma, FinalBeta = beta };
        return new CompressedModel(weights, _outcomes, norms, embeddings, _errors, _errorsDenseNorms) { Vectors = Vectors(weights), Tuned = _tuned };
    }

    // Of random windows nothing is learnt of what outputs are worth on text.
    private IReadOnlyList<BlockActivationData>? Gradients(BlockActivationData? input)
    {
        if (input is null || request.Calibration is null || !request.WeighOutputs) return null;
        Tell("gradients of outputs");
        LetGo(BlockWeightCount);
        return OutputGradients.Of(source, input, workspace, request.Seed, cancel);
    }

    private EmbeddingYardstick? Yardstick()
    {
        if (source.Encoder is not { } encoder) return null;
        (float[] gamma, float[] beta) = source.ReadFinalNorm();
        return new EmbeddingYardstick(_config, encoder, gamma, beta);
    }

    // Of the whole compressed encoder, its tables and LayerNorms included, beside the dense one.
    private EmbeddingFigures? Vectors(TransformerWeights weights)
    {
        if (_last is not { } last || request.Calibration is not { } windows || Yardstick() is not { } yardstick) return null;
        int[] places = EmbeddingYardstick.Spread(last.Batch, 4 * EmbeddingYardstick.Sequences);
        float[] expected = yardstick.Vectors(EmbeddingYardstick.Pick(last, places).Values, places.Length), hidden = new float[expected.Length];
        using TransformerModel<float> model = new(weights);
        int[] lengths = new int[places.Length];
        Array.Fill(lengths, last.Length);
        model.Features([.. places.SelectMany(place => windows[place])], lengths, new FeatureOptions { Pooling = weights.Encoder!.Pooling }, workspace, hidden);
        return yardstick.Compare(expected, hidden);
    }

    private long Count(BlockMatrix m)
    {
        (int rows, int columns) = PerMatrix.ShapeOf(_config, m);
        return (long)rows * columns;
    }

    private void Tell(string what)
    {
        cancel.ThrowIfCancellationRequested();
        progress?.Report(new CompressionProgress(_done, _total, what));
    }

    // Large arrays that nobody holds any more pile up by the hundred megabytes before the collector looks at them, and would be the peak of memory.
    private static void LetGo(long weights)
    {
        if (weights >= LeastToCollect) GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
    }

    private DenseBlockWeights Read(int layer)
    {
        LetGo(BlockWeightCount);
        DenseBlockWeights dense = source.ReadBlock(layer);
        foreach (BlockMatrix m in PerMatrix.All)
        {
            string name = ModelCompressor.NameOf(layer, m);
            _energies[name] = MatrixOutcome.EnergyOf(PerMatrix.WeightsOf(dense, m));
        }

        return dense;
    }

    private void Add(int layer, CalibratedBlock block)
    {
        foreach (BlockMatrix m in PerMatrix.All)
        {
            string name = ModelCompressor.NameOf(layer, m);
            CompressionReport report = block.Reports[m];
            report.RequirePlausible(name);
            RbeMatrix matrix = block.Weights.MatrixAt(m);
            _outcomes.Add(new MatrixOutcome(name, matrix.Rows, matrix.Columns, matrix.Format, report, _energies[name]));
        }

        _blocks.Add(block.Weights);
    }

    private void Measure(int layer, CalibratedBlock block, BlockExample example)
    {
        _errors.Add(block.OutputError(_stored.OfBlock(layer), example, workspace, cancel));
        _errorsDenseNorms.Add(request.LayerNorm == LayerNormStorage.Dense ? _errors[^1]
            : block.OutputError(_config.OfBlock(layer), example, workspace, cancel));
    }

    // Chosen blocks, against the dense ones once more.
    private void MeasureAll(BlockActivationData input)
    {
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            cancel.ThrowIfCancellationRequested();
            BlockExample example = BlockExample.Run(source.ReadBlock(layer), _config.OfBlock(layer), input, workspace, cancel);
            Measure(layer, new CalibratedBlock(_blocks[layer],
                new PerMatrix<CompressionReport>(m => _outcomes[(layer * PerMatrix.All.Count) + (int)m].Report)), example);
            input = _last = example.Expected;
        }
    }

    // How each matrix of a block is stored; those left out by name keep every weight.
    private PerMatrix<RbeOptions> OptionsOf(int layer, DenseBlockWeights dense)
    {
        RbeOptions options = request.MeasureTransform
            ? request.Options with { Transform = TransformOf(layer, dense, request.Calibration is not null) } : request.Options;
        RbeOptions exact = options with { Format = RbeFormat.Sparse(options.Tile * options.Tile), Alphas = false };
        return new PerMatrix<RbeOptions>(m => request.Names.Selects(ModelCompressor.NameOf(layer, m)) ? options : exact);
    }

    // The transform that wins for most of a block's weights; a block has one.
    private TileTransform TransformOf(int layer, DenseBlockWeights dense, bool orthonormal)
    {
        TileTransform[] candidates = [.. Enum.GetValues<TileTransform>().Where(t => !orthonormal || TransformMatrix.IsOrthonormal(t))];
        Dictionary<TileTransform, long> votes = [];
        foreach (BlockMatrix m in PerMatrix.All)
        {
            cancel.ThrowIfCancellationRequested();
            (int rows, int columns) = PerMatrix.ShapeOf(_config, m);
            TileTransform best = WeightRange.Named(
                ModelCompressor.NameOf(layer, m),
                () => TransformChoice.Measure(PerMatrix.WeightsOf(dense, m), rows, columns, request.Options, candidates, 16, request.Seed + 1, out _));
            votes[best] = votes.GetValueOrDefault(best) + Count(m);
        }

        return votes.OrderByDescending(v => v.Value).ThenBy(v => v.Key).First().Key;
    }

    private TableWeights Table(string name, Func<float[]> read)
    {
        Tell(name);
        LetGo((long)_config.Vocabulary * _config.Width);
        if (request.Embeddings is not { } options) return read();
        float[] values = read();
        (RbeMatrix matrix, CompressionReport report) = WeightRange.Named(
            name, () => (RbeCompressor.Compress(values, _config.Vocabulary, _config.Width, options, _parallel, out CompressionReport made), made));
        report.RequirePlausible(name);
        _outcomes.Add(new MatrixOutcome(name, matrix.Rows, matrix.Columns, matrix.Format, report, MatrixOutcome.EnergyOf(values)));
        _done += values.Length;
        return matrix;
    }

    // All gammas and betas, fitted as the model will fit them.
    private PartOutcome Norms(float[] gamma, float[] beta)
    {
        double error = 0, energy = 0;
        long values = 0, stored = 0;
        foreach (float[] vector in _blocks.SelectMany(b => (float[][])[b.Vectors.Gamma1, b.Vectors.Beta1, b.Vectors.Gamma2, b.Vectors.Beta2])
            .Append(gamma).Append(beta))
        {
            float[] terms = NormTerms.Of("vector", request.LayerNorm, vector), decoded = NormTerms.Values(request.LayerNorm, terms, vector.Length);
            for (int i = 0; i < vector.Length; i++)
            {
                double difference = (double)vector[i] - decoded[i];
                error += difference * difference;
                energy += (double)vector[i] * vector[i];
            }

            values += vector.Length;
            stored += terms.Length;
        }

        return new PartOutcome(4 * values, 4 * stored, energy > 0 ? Math.Sqrt(error / energy) : Math.Sqrt(error));
    }
}
