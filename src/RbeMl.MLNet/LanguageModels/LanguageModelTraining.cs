using System.Diagnostics;
using RbeMl.MLNet.Training;
using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.LanguageModels;

/// <summary>One training of a language model.</summary>
internal sealed partial class LanguageModelTraining : IDisposable, ITrainingPart
{
    private readonly LanguageModelData _data;
    private readonly LanguageModelOptions _options;
    private readonly int _context;
    private readonly TrainingLog _log;
    private readonly Trainer _trainer;
    private readonly Layers.ParameterVector<float>? _best;
    private readonly long _pieces;
    private readonly List<EpochSummary> _epochs = [];
    private double _sum, _bestLoss = double.PositiveInfinity;
    private long _since; // predicted tokens that the sum is of
    private int _bestEpoch;

    private LanguageModelTraining(TransformerModel<float> model, LanguageModelData data, LanguageModelOptions options, int context, ulong seed,
        TrainingLog log, IReadOnlyList<ParameterGroup> groups)
    {
        (_data, _options, _context, _log) = (data, options, context, log);
        (TokenDataset train, int length, int batch) = Source(data, options, context, seed);
        _pieces = train.PieceCount(length);
        Steps = options.Steps ?? EndOf(options.Epochs, batch);
        Epochs = options.Steps is { } steps ? (int)(((steps * (long)batch) + _pieces - 1) / _pieces) : options.Epochs;
        TrainerOptions settings = options.ToTrainer(seed, Steps, batch, length) with { Groups = groups };
        bool keepsBest = data.Validation.Count > 0 && (options.Patience > 0 || options.OnCancel == WhenCancelled.ReturnBest);

        // The best weights so far are kept beside what the trainer counts.
        int copy = keepsBest ? (int)((model.Parameters.LengthOf(slice => ParameterGroup.Trains(settings.Groups, slice)) * sizeof(float)) >> 20) + 1 : 0;
        try
        {
            if (settings.MemoryLimit is { } limit) settings = settings with { MemoryLimit = Math.Max(1, limit - copy) };
            _trainer = new Trainer(model, train, null, settings, options.Threads);
        }
        catch (MemoryLimitException error) when (copy > 0)
        {
            throw new MemoryLimitException((long)options.MemoryLimit!.Value << 20, error.LeastBytes + ((long)copy << 20),
                $"{copy} MiB of it for a copy of the best weights");
        }

        if (keepsBest) _best = model.Parameters.CreateLike(_trainer.Trains);
    }

    /// <summary>The training's first batches, whose gradients choose the places of a delta.</summary>
    public static DeltaCalibration Calibration(LanguageModelData data, LanguageModelOptions options, int context, ulong seed)
    {
        (TokenDataset train, int length, int batch) = Source(data, options, context, seed);
        return new DeltaCalibration(train, batch, length)
        {
            Threads = options.Threads,
            MemoryLimit = options.MemoryLimit,
            Cancel = options.Cancellation,
        };
    }

    private int Steps { get; }

    private int Epochs { get; }

    private TransformerModel<float> Model => _trainer.Model;

    /// <summary>Trains.</summary>
    /// <param name="model">The model; its parameters change.</param>
    /// <param name="data">What it learns.</param>
    /// <param name="options">Settings.</param>
    /// <param name="context">Most tokens of a piece.</param>
    /// <param name="seed">Seed of order and dropout.</param>
    /// <param name="log">Told how it goes.</param>
    /// <param name="started">When it began, for the summary.</param>
    /// <param name="groups">What trains a delta alone; null trains all.</param>
    public static TrainingSummary Run(TransformerModel<float> model, LanguageModelData data, LanguageModelOptions options, int context,
        ulong seed, TrainingLog log, long started, IReadOnlyList<ParameterGroup>? groups = null)
    {
        using LanguageModelTraining training = new(model, data, options, context, seed, log, groups ?? []);
        log.Say($"Training on {data.Train.Count} texts, validating on {data.Validation.Count}: {training.Steps} steps, seed {seed}");
        if (training._trainer.Plan is { } plan) log.Say($"Memory: {plan.Describe()}");
        (bool stopped, bool cancelled) = training.Loop();
        bool restored = training._bestEpoch > 0 && (options.Patience > 0 || cancelled);
        if (restored) model.Parameters.CopyFrom(training._best!);
        else training._trainer.ApplyAverage();
        return new TrainingSummary
        {
            Seed = seed,
            Examples = data.Train.Count,
            ValidationExamples = data.Validation.Count,
            SkippedRows = data.SkippedRows,
            Steps = training._trainer.StepsDone,
            Seconds = Stopwatch.GetElapsedTime(started).TotalSeconds,
            Epochs = training._epochs,
            BestEpoch = restored ? training._bestEpoch : 0,
            StoppedEarly = stopped,
            Cancelled = cancelled,
        };
    }

    public void Dispose()
    {
        _trainer.Dispose();
        _best?.Dispose();
    }

    private (bool Stopped, bool Cancelled) Loop()
    {
        StateKeeper keeper = new(_options.StatePath, _options.StateEvery);
        keeper.Begin(_trainer.StateBytes + (_best is null ? 0 : _trainer.VectorBytes), Resume);
        int epoch = _epochs.Count + 1;
        while (_trainer.StepsDone < Steps)
        {
            if (_options.Cancellation.IsCancellationRequested)
            {
                keeper.Save(_trainer.StepsDone, Save);
                if (_options.OnCancel == WhenCancelled.Throw || _trainer.StepsDone == 0) _options.Cancellation.ThrowIfCancellationRequested();
                _log.Warn($"Cancelled after {_trainer.StepsDone} of {Steps} steps");
                if (_since > 0) _epochs.Add(new EpochSummary(_sum / _since));
                return (false, true);
            }

            TrainingProgress report = _trainer.Step();
            (_sum, _since) = (_sum + (report.Loss * report.Tokens), _since + report.Tokens);
            _log.Step(report.Step, Steps, report.Loss);
            bool ends = report.Step == Steps || report.Step == EndOf(epoch, _trainer.Options.BatchSize);
            if (ends)
            {
                double? validation = Validate(epoch);
                report = report with { ValidationLoss = validation };
                _epochs.Add(new EpochSummary(_sum / _since, validation));
                _log.Epoch(epoch++, Epochs, _epochs[^1]);
                (_sum, _since) = (0, 0);
            }

            _options.Progress?.Report(report);
            if (ends && EarlyStopping.IsOver(_options.Patience, epoch - 1, _bestEpoch))
            {
                keeper.Complete();
                return (report.Step < Steps, false);
            }

            if (report.Step < Steps) keeper.AfterStep(report.Step, Save);
        }

        keeper.Complete();
        return (false, false);
    }

    private double? Validate(int epoch)
    {
        if (_data.Validation.Count == 0) return null;
        using AveragedWeights averaged = _trainer.Averaged();
        double loss = WindowLosses.Mean(Model, _trainer.Workspace, _context, _data.Validation);
        if (loss < _bestLoss)
        {
            (_bestLoss, _bestEpoch) = (loss, epoch);
            _best?.CopyFrom(Model.Parameters);
        }

        return loss;
    }

    // Rows of their own are padded to the context, so it is no longer than the longest of them; packed ones fill it, as far as there are tokens.
    private static (TokenDataset Train, int Length, int Batch) Source(LanguageModelData data, LanguageModelOptions options, int context, ulong seed)
    {
        bool separate = options.Packing == DocumentPacking.Separate;
        int? end = options.Packing == DocumentPacking.Packed ? data.EndToken : null;
        long longest = separate ? data.Train.Max(ids => ids.Length) : data.Train.Sum(ids => ids.Length + (end is { } id && ids[^1] != id ? 1L : 0));
        int length = (int)Math.Min(context, longest - 1);
        TokenDataset train = separate ? TokenDataset.FromSequences(data.Train, data.Vocabulary, seed, TokenOrder.Shuffled)
            : TokenDataset.FromDocuments(data.Train.Select(ids => new TokenDocument(ids)), data.Vocabulary, seed, options.Packing, end);
        return (train, length, (int)Math.Min(options.BatchSize, Math.Min(train.PieceCount(length), Math.Max(1, Array.MaxLength / 2 / length))));
    }

    // The step that holds the last piece of an epoch; batches run on from one epoch into the next.
    private int EndOf(int epoch, int batch) => (int)Math.Min(int.MaxValue - 1, (((long)epoch * _pieces) + batch - 1) / batch);
}
