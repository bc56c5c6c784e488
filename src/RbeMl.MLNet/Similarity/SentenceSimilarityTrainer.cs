using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Embeddings;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.Similarity;

/// <summary>Trains a <see cref="SentenceSimilarityTransformer"/>: an encoder until the cosine of two texts' vectors is what their label says.</summary>
/// <remarks>
/// <list type="table">
/// <listheader><term>Characteristic</term><description>Value</description></listheader>
/// <item><term>Machine learning task</term><description>Regression</description></item>
/// <item><term>Input</term><description>Two columns of text; a label that is a number, or a Boolean</description></item>
/// <item><term>Normalization, caching required</term><description>No; the data is read once</description></item>
/// <item><term>Rows without label or text</term><description>Left out of the training and counted</description></item>
/// <item><term>Repeatable</term><description>Yes: the same seed and data give the same bits for any number of threads</description></item>
/// <item><term>Exportable to ONNX</term><description>No</description></item>
/// </list>
/// </remarks>
public sealed class SentenceSimilarityTrainer : IEstimator<SentenceSimilarityTransformer>
{
    private readonly IHost _host;
    private readonly SentenceSimilarityOptions _options;
    private readonly ulong _seed;

    internal SentenceSimilarityTrainer(IHostEnvironment environment, SentenceSimilarityOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options.Checked();
        _host = environment.Register(SentenceSimilarityTransformer.Name);
        _seed = (uint)(_options.Seed ?? _host.Rand.Next());
    }

    /// <summary>Trains, unless <see cref="SentenceSimilarityOptions.Epochs"/> is 0.</summary>
    /// <param name="input">The data; it is read once, in its order.</param>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type.</exception>
    /// <exception cref="InvalidOperationException">A label is outside the scale, or there is no row to train on.</exception>
    /// <exception cref="InvalidSettingException">An option does not fit the encoder or the data.</exception>
    /// <exception cref="RbeFileException">No encoder can be read there.</exception>
    /// <exception cref="MemoryLimitException">The training does not fit into the limit; it says the least that would do.</exception>
    /// <exception cref="NonFiniteException">The loss became NaN or infinite; the step is named.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, and <see cref="SentenceSimilarityOptions.OnCancel"/> says so or nothing was trained
    /// yet.</exception>
    /// <exception cref="DeltaMismatchException">The delta is of another encoder.</exception>
    /// <exception cref="ObjectDisposedException">The encoder that was given is disposed.</exception>
    public SentenceSimilarityTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        long started = Stopwatch.GetTimestamp();
        GetOutputSchema(InputColumn.Shape(input.Schema));
        SentenceEncoder encoder = EncoderSource.Take(_options.ModelPath, _options.Encoder, _options.MaxTokens, null, _options.Threads);
        try
        {
            (encoder, DeltaModel? delta) = WithDelta(encoder);
            TrainingSummary summary = _options.Epochs == 0 ? TrainingSummary.Untrained(_seed, Stopwatch.GetElapsedTime(started).TotalSeconds)
                : Train(encoder, input, started, delta?.Groups);
            SimilarityColumns columns = new(_options.Sentence1ColumnName, _options.Sentence2ColumnName, _options.ScoreColumnName,
                _options.LowestLabel, _options.HighestLabel, new Runtime.ScoringSettings(_options.BatchRows, _options.Threads));
            return new SentenceSimilarityTransformer(_host, columns, encoder, summary) { Delta = delta };
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        TextColumn.Find(inputSchema, _options.Sentence1ColumnName);
        TextColumn.Find(inputSchema, _options.Sentence2ColumnName);
        if (_options.NeedsLabel) NumberColumn.Find(inputSchema, _options.LabelColumnName);
        return InputColumn.Add(inputSchema, SimilarityColumns.Score(_options.ScoreColumnName, 1));
    }

    // The encoder with its delta, in place of the one that is given; that one without a delta.
    private (SentenceEncoder Encoder, DeltaModel? Delta) WithDelta(SentenceEncoder encoder)
    {
        if (DeltaSource.Take(encoder.Model, _options.Delta, _options.DeltaPath) is not { } delta) return (encoder, null);
        SentenceEncoder own = EncoderSource.Own(delta.Model, encoder, encoder.Settings, _options.Threads);
        encoder.Dispose();
        return (own, delta);
    }

    private TrainingSummary Train(SentenceEncoder encoder, IDataView input, long started, IReadOnlyList<ParameterGroup>? groups)
    {
        SimilarityData data = SimilarityData.Read(_options, input, encoder);
        using TrainingLog log = new(_host);
        if (data.Skipped > 0) log.Warn($"{data.Skipped} rows without a text or a label are left out of the training");
        SimilarityTrainerOptions options = _options.ToTrainer(data.Pairs.Count, _seed, encoder.Settings.Pooling, groups);
        using SimilarityTrainer trainer = new(encoder.Model, data.Pairs, options, _options.Threads);
        log.Say($"Training on {data.Pairs.Count} pairs: {trainer.Steps} steps, seed {_seed}");
        if (trainer.Plan is { } plan) log.Say($"Memory: {plan.Describe()}");
        Progress progress = new(log, trainer.StepsPerEpoch, _options.Progress);
        SimilarityResult result = trainer.Run(progress, _options.Cancellation);
        if (result.Steps == 0) _options.Cancellation.ThrowIfCancellationRequested();
        if (result.Cancelled) log.Warn($"Cancelled after {result.Steps} of {trainer.Steps} steps");
        return new TrainingSummary
        {
            Seed = _seed,
            Examples = data.Pairs.Count,
            ValidationExamples = 0,
            SkippedRows = data.Skipped,
            Steps = result.Steps,
            Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
            Epochs = progress.Epochs,
            BestEpoch = 0,
            StoppedEarly = false,
            Cancelled = result.Cancelled,
        };
    }

    private sealed class Progress(TrainingLog log, int stepsPerEpoch, IProgress<SimilarityProgress>? listener) : IProgress<SimilarityProgress>
    {
        private double _sum;
        private long _pairs;

        public List<EpochSummary> Epochs { get; } = [];

        public void Report(SimilarityProgress value)
        {
            (_sum, _pairs) = (_sum + (value.Loss * value.Pairs), _pairs + value.Pairs);
            log.Step(value.Step, value.Steps, value.Loss);
            if (value.Step % stepsPerEpoch == 0)
            {
                Epochs.Add(new EpochSummary(_sum / _pairs));
                log.Epoch(value.Epoch, value.Epochs, Epochs[^1]);
                (_sum, _pairs) = (0, 0);
            }

            listener?.Report(value);
        }
    }
}
