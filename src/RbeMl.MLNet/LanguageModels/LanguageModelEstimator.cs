using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.LanguageModels;

/// <summary>
/// Trains a <see cref="LanguageModelTransformer"/>: a GPT-2 model of compressed blocks, new or pretrained, with compressed gradients. Every row is a
/// sequence of its own: its first token is given, all others are learned, none is predicted from another row. Longer rows are cut into pieces.
/// </summary>
/// <remarks>
/// <list type="table">
/// <listheader><term>Characteristic</term><description>Value</description></listheader>
/// <item><term>Machine learning task</term><description>Language modelling (no label)</description></item>
/// <item><term>Input</term><description>Text, or a vector of token ids: Int32, Int64, UInt32 or keys</description></item>
/// <item><term>Output</term><description>Perplexity (Single) and the continuation of the text (text)</description></item>
/// <item><term>Normalization, caching required</term><description>No; the data is read once, with 0 epochs not at all</description></item>
/// <item><term>Rows of fewer than two tokens</term><description>Left out of the training and counted; their perplexity is NaN</description></item>
/// <item><term>Repeatable</term><description>Yes: the same seed and data give the same bits for any number of threads</description></item>
/// <item><term>Exportable to ONNX</term><description>No</description></item>
/// </list>
/// </remarks>
public sealed class LanguageModelEstimator : IEstimator<LanguageModelTransformer>
{
    private readonly IHost _host;
    private readonly LanguageModelOptions _options;
    private readonly ulong _seed;

    internal LanguageModelEstimator(IHostEnvironment environment, LanguageModelOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        _options = options.Copy<LanguageModelOptions>();
        if (_options.WarmStart is { } earlier) _options.Context ??= earlier.Settings.Context;
        _host = environment.Register(nameof(LanguageModelEstimator));
        _seed = (uint)(_options.Seed ?? _host.Rand.Next());
    }

    /// <summary>Trains.</summary>
    /// <param name="input">The data; it is read once, in its order.</param>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type.</exception>
    /// <exception cref="InvalidOperationException">The data has no row to train or validate on.</exception>
    /// <exception cref="InvalidSettingException">An option does not fit the model or the data.</exception>
    /// <exception cref="RbeFileException">The model or the delta cannot be read.</exception>
    /// <exception cref="DeltaMismatchException">The delta is of another model.</exception>
    /// <exception cref="MemoryLimitException">The training does not fit into the limit; it says the least that would do.</exception>
    /// <exception cref="NonFiniteException">The loss became NaN or infinite; the step is named.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, and <see cref="FineTuningOptions.OnCancel"/> says so or nothing was trained yet.</exception>
    /// <exception cref="ObjectDisposedException">The model that was given is disposed.</exception>
    public LanguageModelTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        long started = Stopwatch.GetTimestamp();
        GetOutputSchema(InputColumn.Shape(input.Schema));
        using TrainingLog log = new(_host);
        using StartingModel start = new(_options, _options.WarmStart is { } w ? new ModelBundle(w.Model, w.Tokenizer) : null);
        if (start.Context < 2)
        {
            throw new InvalidSettingException(nameof(_options.Context), start.Context, "a language model needs 2 positions at least. Give another model.");
        }

        bool isText = InputColumn.Find(input.Schema, _options.TextColumnName, TokenColumn.Fits, TokenColumn.Expected).Type is TextDataViewType;
        LanguageModelData? data = _options.Trains ? LanguageModelData.Read(_options, input, start, _seed, log) : null;
        if (isText && start.LearnsTokenizer) start.LearnTokenizer([]); // refuses: a model that is there must bring its tokenizer
        if (_options.GeneratedTextColumnName is { } text && start.Tokenizer is null)
        {
            throw new InvalidSettingException(nameof(_options.GeneratedTextColumnName), text,
                $"texts need a {nameof(_options.Tokenizer)}, and there is none. Give one, or null for no such column.");
        }

        LanguageModelSettings settings =
            new(_options.TextColumnName, _options.PerplexityColumnName, _options.GeneratedTextColumnName, start.Context, _options.ToGeneration(_seed));
        TransformerModel<float> model = start.Create(data?.Vocabulary ?? 0, _seed);
        try
        {
            model.Config.RequireLanguageModel("the component needs");
            DeltaModel? delta = DeltaSource.Take(model, _options.Delta, _options.DeltaPath,
                data is null ? null : () => LanguageModelTraining.Calibration(data, _options, start.Context, _seed));
            if (delta is not null)
            {
                model.Dispose();
                model = delta.Model;
            }

            TrainingSummary summary = data is null
                ? TrainingSummary.Untrained(_seed, Stopwatch.GetElapsedTime(started).TotalSeconds)
                : LanguageModelTraining.Run(model, data, _options, start.Context, _seed, log, started, delta?.Groups);
            return new LanguageModelTransformer(_host, settings, model, start.Tokenizer, summary, _options.Scoring) { Delta = delta };
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        InputColumn.Find(inputSchema, _options.TextColumnName, TokenColumn.Fits, TokenColumn.Expected);
        return InputColumn.Add(inputSchema, LanguageModelSettings.Added(_options.PerplexityColumnName, _options.GeneratedTextColumnName));
    }
}
