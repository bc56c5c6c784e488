using System.Diagnostics;
using Microsoft.ML;
using Microsoft.ML.Runtime;
using RbeMl.MLNet.Columns;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.Classification;

/// <summary>
/// Trains a <see cref="TextClassificationTransformer"/>: an encoder, or a GPT-2 model of compressed blocks, new or pretrained, with
/// compressed gradients, and a linear head.
/// </summary>
/// <remarks>
/// <list type="table">
/// <listheader><term>Characteristic</term><description>Value</description></listheader>
/// <item><term>Machine learning task</term><description>Multiclass classification (label: key of UInt32), binary classification (label:
/// Boolean)</description></item>
/// <item><term>Input</term><description>Text, or a vector of token ids: Int32, Int64, UInt32 or keys</description></item>
/// <item><term>Normalization, caching required</term><description>No; the data is read once</description></item>
/// <item><term>Rows without label or text</term><description>Left out of the training and counted; those without text get missing scores,
/// those without label are scored as any</description></item>
/// <item><term>Repeatable</term><description>Yes: the same seed and data give the same bits for any number of threads</description></item>
/// <item><term>Exportable to ONNX</term><description>No</description></item>
/// </list>
/// </remarks>
public sealed class TextClassificationTrainer : IEstimator<TextClassificationTransformer>
{
    private readonly IHost _host;
    private readonly TextClassificationOptions _options;
    private readonly ClassColumnNames _names;
    private readonly ulong _seed;

    internal TextClassificationTrainer(IHostEnvironment environment, TextClassificationOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Check();
        _options = options.Copy<TextClassificationOptions>();
        if (_options.WarmStart is { } earlier) _options.Context ??= earlier.Limits.Context;
        _host = environment.Register(TextClassificationTransformer.Name);
        _names = new ClassColumnNames(_options.PredictedLabelColumnName, _options.ScoreColumnName, _options.ProbabilityColumnName);
        _seed = (uint)(_options.Seed ?? _host.Rand.Next());
    }

    /// <summary>Trains.</summary>
    /// <param name="input">The data; it is read once, in its order.</param>
    /// <exception cref="ArgumentOutOfRangeException">A column is missing or of another type.</exception>
    /// <exception cref="InvalidOperationException">The data has no row to train on, or rows of one class only.</exception>
    /// <exception cref="InvalidSettingException">An option does not fit the model or the data.</exception>
    /// <exception cref="RbeFileException">The model or the delta cannot be read.</exception>
    /// <exception cref="DeltaMismatchException">The delta is of another model.</exception>
    /// <exception cref="MemoryLimitException">The training does not fit into the limit; it says the least that would do.</exception>
    /// <exception cref="NonFiniteException">The loss became NaN or infinite; the step is named.</exception>
    /// <exception cref="OperationCanceledException">Cancelled, and <see cref="FineTuningOptions.OnCancel"/> says so or nothing was trained yet.</exception>
    /// <exception cref="ObjectDisposedException">The model that was given is disposed.</exception>
    public TextClassificationTransformer Fit(IDataView input)
    {
        ArgumentNullException.ThrowIfNull(input);
        long started = Stopwatch.GetTimestamp();
        GetOutputSchema(InputColumn.Shape(input.Schema));
        ClassLabels labels = ClassLabels.Find(input.Schema, _options.LabelColumnName).Labels;
        CheckClasses(labels);
        using TrainingLog log = new(_host);
        using StartingModel start = new(_options, _options.WarmStart is { } w ? new ModelBundle(w.Classifier.Model, w.Tokenizer) : null);
        FewLabelMethod? method = _options.Method ?? (start.Encoder is not null && _options.WarmStart is null ? FewLabelMethod.FineTuned : null);
        TextData data = TextData.Read(_options, input, labels, start, log);
        SequenceClassifier<float> classifier = Create(start, data.Vocabulary, labels, out DeltaModel? delta);
        TextClassificationModel model = new(_options.TextColumnName, _names, labels, classifier, start.Tokenizer, data.Limits);
        if (!Tokens.SavedTokenizer.HasForm(model.Tokenizer)) log.Warn($"The tokenizer has no saved form: the result can be used, but not saved");
        try
        {
            TrainingSummary summary = method is { } few ? TrainFew(few, classifier, data, log, started, delta?.Groups)
                : Train(classifier, data, log, started, delta?.Groups);
            return new TextClassificationTransformer(_host, model, summary, _options.Scoring) { Delta = delta };
        }
        catch
        {
            classifier.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema)
    {
        ClassLabels labels = ClassLabels.Find(inputSchema, _options.LabelColumnName);
        InputColumn.Find(inputSchema, _options.TextColumnName, TokenColumn.Fits, TokenColumn.Expected);
        return InputColumn.Add(inputSchema, ClassColumns.Of(_names, labels, 1));
    }

    private void CheckClasses(ClassLabels labels)
    {
        if (_options.WarmStart is { } earlier && !earlier.Labels.Agree(labels))
        {
            throw new InvalidSettingException(
                nameof(_options.WarmStart), $"{earlier.Labels.Count} classes ({earlier.Labels.Describe()})",
                $"the data has {labels.Count} ({labels.Describe()}). Map the labels with the same keys, in the same order.");
        }
    }

    private SequenceClassifier<float> Create(StartingModel start, int vocabulary, ClassLabels labels, out DeltaModel? delta)
    {
        TransformerModel<float> model = start.Create(vocabulary, _seed);
        try
        {
            delta = DeltaSource.Take(model, _options.Delta, _options.DeltaPath);
            if (delta is not null)
            {
                model.Dispose();
                model = delta.Model;
            }

            ClassifierConfig config = ClassifierConfig.For(labels.Count, start.Encoder) with { Dropout = (float)_options.HeadDropout };
            if (_options.Pooling is { } pooling) config = config with { Pooling = pooling };
            return _options.WarmStart is { } earlier ? earlier.Copied(model, config.Dropout) : new SequenceClassifier<float>(model, config, _seed);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private TrainingSummary TrainFew(FewLabelMethod method, SequenceClassifier<float> classifier, TextData data, TrainingLog log, long started,
        IReadOnlyList<ParameterGroup>? groups)
    {
        FewLabelOptions options = _options.ToFewLabels(method, data.Examples.Count, _seed, groups);
        FewLabelTrainer trainer = new(classifier, data.Examples, options, _options.Threads, data.Validation);
        log.Say($"Learning from {data.Examples.Count} texts, {method}, seed {_seed}");
        FewLabelLog progress = new(log, _options.Progress);
        FewLabelResult result = trainer.Run(progress, _options.Cancellation);
        if (result.Cancelled) log.Warn($"Cancelled after {result.Steps} steps");
        return new TrainingSummary
        {
            Seed = _seed,
            Examples = result.TrainingExamples,
            ValidationExamples = result.ValidationExamples,
            SkippedRows = data.SkippedRows,
            Steps = result.Steps,
            Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
            Epochs = progress.Epochs(),
            BestEpoch = result.FineTuning?.BestEpoch ?? 0,
            StoppedEarly = result.FineTuning?.StoppedEarly ?? false,
            Cancelled = result.Cancelled,
            Method = method,
            CrossValidatedLoss = result.CrossValidatedLoss,
            CrossValidatedAccuracy = result.CrossValidatedAccuracy,
        };
    }

    private TrainingSummary Train(SequenceClassifier<float> classifier, TextData data, TrainingLog log, long started, IReadOnlyList<ParameterGroup>? groups)
    {
        using ClassifierTrainer trainer = new(classifier, data.Examples, data.Validation, _options.ToTrainer(_seed, groups), _options.Threads);
        log.Say($"Training on {trainer.TrainingExamples} texts, validating on {trainer.ValidationExamples}: {trainer.Steps} steps, seed {_seed}");
        if (trainer.Plan is { } plan) log.Say($"Memory: {plan.Describe()}");
        ClassificationProgress progress = new(log, trainer.StepsPerEpoch, _options.Progress);
        ClassifierResult result = trainer.Run(progress, _options.Cancellation);
        if (result.Steps == 0) _options.Cancellation.ThrowIfCancellationRequested();
        if (result.Cancelled) log.Warn($"Cancelled after {result.Steps} of {trainer.Steps} steps");
        return new TrainingSummary
        {
            Seed = _seed,
            Examples = trainer.TrainingExamples,
            ValidationExamples = trainer.ValidationExamples,
            SkippedRows = data.SkippedRows,
            Steps = result.Steps,
            Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
            Epochs = progress.Epochs(),
            BestEpoch = result.BestEpoch,
            StoppedEarly = result.StoppedEarly,
            Cancelled = result.Cancelled,
        };
    }
}
