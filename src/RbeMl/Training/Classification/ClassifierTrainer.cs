using System.Diagnostics;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Trains a classifier on examples in memory: epochs of batches of about one length, an optimiser with warm-up and schedule, clipping,
/// validation, early stopping. The same seed gives the same bits, for any number of threads. One call at a time.
/// </summary>
public sealed partial class ClassifierTrainer : IDisposable, ITrainingPart, ILeased
{
    private readonly ExampleBatches _train;
    private readonly ExampleBatches? _validation;
    private readonly Workspace<float> _workspace;
    private readonly ClassifierContext<float> _context;
    private readonly ParameterVector<float>? _modelGradients, _bestModel;
    private readonly ParameterVector<float> _headGradients;
    private readonly ParameterVector<float>? _bestHead;
    private readonly Optimizer<float>? _modelOptimizer;
    private readonly Optimizer<float> _headOptimizer;
    private readonly WeightAverage? _modelAverage, _headAverage;
    private readonly TrainerOptions _schedule;
    private readonly int _least;
    private readonly Lease _lease;
    private ResidentMeter _resident;
    private (int Epoch, double Loss, double Accuracy) _best = (0, double.PositiveInfinity, double.NaN);

    /// <summary>Prepares a run.</summary>
    /// <param name="classifier">The classifier; its parameters change.</param>
    /// <param name="train">Training examples.</param>
    /// <param name="validation">Validation examples; null holds out <see cref="ClassifierTrainerOptions.ValidationFraction"/> of the
    /// others, of each class.</param>
    /// <param name="options">Settings.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range, or there are too few examples.</exception>
    /// <exception cref="TokenException">An example is empty or too long, or an id or label is out of range; the example is named.</exception>
    /// <exception cref="MemoryLimitException">The run does not fit into the limit; it says the least that would do.</exception>
    public ClassifierTrainer(
        SequenceClassifier<float> classifier, IReadOnlyList<ClassifierExample> train, IReadOnlyList<ClassifierExample>? validation,
        ClassifierTrainerOptions options, int threads = 0)
    {
        ArgumentNullException.ThrowIfNull(classifier);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(options);
        Options = options.Validate();
        Classifier = classifier;
        Check(classifier, "example", train);
        if (validation is null) (train, validation) = ExampleSplit.Of(train, classifier.Config.Classes, options.ValidationFraction, options.Seed);
        else Check(classifier, "validation example", validation);
        if (train.Count < 1) throw new InvalidSettingException("examples", train.Count, "give at least one example to train on.");
        if (options.Patience > 0 && validation.Count == 0)
        {
            throw new InvalidSettingException(nameof(options.Patience), options.Patience,
                "early stopping needs validation examples: give some, or a ValidationFraction.");
        }

        TransformerModel<float> model = classifier.Model;
        options.RequireGroups(model);
        _train = new ExampleBatches(train, options.BatchSize, model.Config.MaxSequenceLength, options.Seed);
        _validation = validation.Count == 0 ? null : new ExampleBatches(validation, options.BatchSize, model.Config.MaxSequenceLength, options.Seed);
        Steps = (int)Math.Min((long)options.Epochs * _train.Count, int.MaxValue - 1);
        _schedule = options.ToTrainer(Steps, options.LearningRate);
        bool trainsModel = options.Trained != TrainedParts.Head, keepsBest = _validation is not null
            && (options.Patience > 0 || options.OnCancel == WhenCancelled.ReturnBest);
        int longest = RaggedBatches.PaddedLength(Math.Max(_train.Longest, _validation?.Longest ?? 1), model.Config.MaxSequenceLength);
        int batch = Math.Max(_train.Batch, _validation?.Batch ?? 1);
        (ActivationSettings settings, Plan) = options.Fit(model, new MemoryPlanOptions
        {
            LimitBytes = 0,
            BatchSize = batch,
            Context = longest,
            Threads = threads == 0 ? Environment.ProcessorCount : threads,
            GradientVectors = trainsModel ? 1 : 0,
            OptimizerMoments = (trainsModel ? options.Optimizer.StateVectors : 0) + (keepsBest && trainsModel ? 1 : 0)
                + (options.AverageHorizon > 0 && trainsModel ? 1 : 0),
            VectorElements = model.Parameters.LengthOf(Trains),
            OptimizerBytes = options.Optimizer.CodedStateBytes(classifier.Head.Slices) + (trainsModel ? options.CodedStateBytes(model) : 0),
            OptimizerScratch = trainsModel ? options.Optimizer.ScratchElements([.. model.Parameters.Slices.Where(Trains)]) : 0,
            ExtraBytes = HeadBytes(classifier, batch, longest, options.Optimizer.StateVectors + (options.AverageHorizon > 0 ? 1 : 0)),
        });
        _least = settings.PartSequences > 0 ? longest : 0;
        _lease = new Lease(this);
        _workspace = new Workspace<float>(threads);
        _context = new ClassifierContext<float>(classifier, _workspace, settings);
        _headGradients = classifier.Head.CreateLike();
        _headOptimizer = options.Optimizer.Create(classifier.Head,
            options.ToTrainer(Steps, options.HeadLearningRate ?? options.LearningRate) with { Groups = [] }); // their names are the model's
        if (keepsBest) _bestHead = classifier.Head.CreateLike();
        if (options.AverageHorizon > 0) _headAverage = new WeightAverage(classifier.Head, options.AverageHorizon, null);
        _start = StartOf(classifier);
        _data = (Checksum(train), Checksum(validation));
        if (!trainsModel) return;
        _modelGradients = model.Parameters.CreateLike(Trains);
        _modelOptimizer = options.Optimizer.Create(model.Parameters, _schedule, Trains);
        if (keepsBest) _bestModel = model.Parameters.CreateLike(Trains);
        if (options.AverageHorizon > 0) _modelAverage = new WeightAverage(model.Parameters, options.AverageHorizon, Trains);
    }

    /// <summary>The classifier.</summary>
    public SequenceClassifier<float> Classifier { get; }

    /// <summary>Settings.</summary>
    public ClassifierTrainerOptions Options { get; }

    /// <summary>What was chosen to keep <see cref="SequenceTrainerOptions.MemoryLimit"/>; null without one.</summary>
    public MemoryPlan? Plan { get; }

    /// <summary>Optimiser steps in all; as many as an <see cref="int"/> counts where the epochs have more.</summary>
    public int Steps { get; }

    /// <summary>Optimiser steps of an epoch.</summary>
    public int StepsPerEpoch => _train.Count;

    /// <summary>Optimiser steps done.</summary>
    public int StepsDone => _headOptimizer.Steps;

    /// <summary>Examples that are trained on.</summary>
    public int TrainingExamples => _train.Examples;

    /// <summary>Examples that are held out.</summary>
    public int ValidationExamples => _validation?.Examples ?? 0;

    /// <summary>One optimiser step: the next batch.</summary>
    /// <exception cref="NonFiniteException">A layer or gradient became NaN or infinite; step and layer are named, the weights are those
    /// before the step.</exception>
    public ClassifierProgress Step()
    {
        using Hold held = _lease.Claim();
        long started = Stopwatch.GetTimestamp();
        int step = StepsDone;
        (int epoch, int batch) = Math.DivRem(step, _train.Count);
        double factor = LearningRate.Factor(_schedule, step, step / (double)Steps), loss, norm;
        using Activity? activity = TrainingTelemetry.StartStep(step + 1);
        _headGradients.Clear();
        _modelGradients?.Clear();
        _train.Fill(epoch, batch);
        try
        {
            loss = Classifier.Loss(
                _train.Tokens, _train.Lengths, _train.Labels, _context, _least, new DropoutStep(Options.Seed, (uint)step), _modelGradients, _headGradients);
            norm = _headOptimizer.GradientNorm(_headGradients, _workspace.Workers);
            if (_modelOptimizer is not null) norm = Math.Sqrt((norm * norm) + Math.Pow(_modelOptimizer.GradientNorm(_modelGradients!, _workspace.Workers), 2));
            _headOptimizer.RequireRange(_headGradients, norm); // before the model is changed
            _modelOptimizer?.Step(_modelGradients!, factor, _workspace.Workers, norm);
            _headOptimizer.Step(_headGradients, factor, _workspace.Workers, norm);
            _modelAverage?.Add(StepsDone, _workspace.Workers);
            _headAverage?.Add(StepsDone, _workspace.Workers);
        }
        catch (NonFiniteException error)
        {
            activity?.SetStatus(ActivityStatusCode.Error, error.Message);
            throw error.Within($"step {step + 1}");
        }

        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        TrainingTelemetry.EndStep(_train.Tokens.Length, seconds, loss, norm, factor * Options.LearningRate);
        return new ClassifierProgress(epoch + 1, Options.Epochs, StepsDone, Steps, loss, factor * Options.LearningRate, norm,
            _train.Filled / seconds, _resident.Read(), _train.Filled);
    }

    /// <summary>Mean loss in nats and accuracy on the validation examples, without dropout; NaN without any.</summary>
    public (double Loss, double Accuracy) Validate()
    {
        if (_validation is null) return (double.NaN, double.NaN);
        using Hold held = _lease.Claim();
        using AveragedWeights averaged = Averaged();
        double sum = 0;
        long right = 0;
        for (int batch = 0; batch < _validation.Count; batch++)
        {
            _validation.FillSorted(batch);
            sum += Classifier.Loss(_validation.Tokens, _validation.Lengths, _validation.Labels, _context, _least, null, null, null) * _validation.Filled;
            right += Classifier.CountRight(_validation.Labels, _context);
        }

        return (sum / _validation.Examples, (double)right / _validation.Examples);
    }

    /// <summary>Runs the remaining steps, reporting each; validates after every epoch.</summary>
    /// <param name="progress">Told after each step, on the calling thread if it reports there.</param>
    /// <param name="cancellation">Stops after the step under way.</param>
    /// <exception cref="OperationCanceledException">Cancelled, and <see cref="SequenceTrainerOptions.OnCancel"/> says so; the classifier
    /// holds the steps done so far.</exception>
    /// <exception cref="NonFiniteException">See <see cref="Step"/>.</exception>
    public ClassifierResult Run(IProgress<ClassifierProgress>? progress = null, CancellationToken cancellation = default)
    {
        bool cancelled = false, stopped = false;
        StateKeeper keeper = new(Options.StatePath, Options.StateEvery);
        if (StepsDone == 0) keeper.Begin(StateBytes, Resume);
        while (StepsDone < Steps && !stopped)
        {
            if (cancellation.IsCancellationRequested)
            {
                keeper.Save(StepsDone, SaveState);
                if (Options.OnCancel == WhenCancelled.Throw) cancellation.ThrowIfCancellationRequested();
                cancelled = true;
                break;
            }

            ClassifierProgress report = Step();
            _last = null;
            _sum = (_sum.Loss + (report.Loss * report.Examples), _sum.Examples + report.Examples);
            if (StepsDone % _train.Count == 0)
            {
                stopped = Options.LossFloor > 0 && _sum.Loss <= Options.LossFloor * _sum.Examples && StepsDone < Steps;
                _sum = (0, 0);
                if (_validation is not null)
                {
                    _last = Validate();
                    report = report with { ValidationLoss = _last.Value.Loss, ValidationAccuracy = _last.Value.Accuracy };
                    Remember(report.Epoch, _last.Value);
                    stopped |= EarlyStopping.IsOver(Options.Patience, report.Epoch, _best.Epoch);
                }
            }

            progress?.Report(report);
            if (StepsDone < Steps && !stopped) keeper.AfterStep(StepsDone, SaveState);
        }

        if (!cancelled) keeper.Complete();

        int epochs = StepsDone / _train.Count;
        if (_bestHead is null || _best.Epoch == 0 || (Options.Patience == 0 && !cancelled))
        {
            _modelAverage?.Apply();
            _headAverage?.Apply();
            return new ClassifierResult(StepsDone, epochs, 0, _last?.Loss, _last?.Accuracy, stopped, cancelled);
        }

        Classifier.Head.CopyFrom(_bestHead);
        if (_bestModel is not null) Classifier.Model.Parameters.CopyFrom(_bestModel);
        return new ClassifierResult(StepsDone, epochs, _best.Epoch, _best.Loss, _best.Accuracy, stopped, cancelled);
    }

    /// <summary>Ends the threads and frees the memory, after the step that is using them.</summary>
    public void Dispose() => _lease.Dispose();

    void ILeased.Free()
    {
        _context.Dispose();
        _modelOptimizer?.Dispose();
        _headOptimizer.Dispose();
        _modelAverage?.Dispose();
        _headAverage?.Dispose();
        foreach (ParameterVector<float>? vector in (ParameterVector<float>?[])[_modelGradients, _headGradients, _bestModel, _bestHead]) vector?.Dispose();
        _workspace.Dispose();
    }

    private void Remember(int epoch, (double Loss, double Accuracy) validation)
    {
        if (!(validation.Loss < _best.Loss)) return;
        using AveragedWeights averaged = Averaged();
        _best = (epoch, validation.Loss, validation.Accuracy);
        _bestHead?.CopyFrom(Classifier.Head);
        _bestModel?.CopyFrom(Classifier.Model.Parameters);
    }

    internal static void Check(SequenceClassifier<float> classifier, string what, IReadOnlyList<ClassifierExample> examples)
    {
        TransformerConfig config = classifier.Model.Config;
        for (int i = 0; i < examples.Count; i++)
        {
            ExampleCheck.Tokens(config, examples[i].Tokens, what, i);
            int label = examples[i].Label;
            if ((uint)label >= (uint)classifier.Config.Classes)
            {
                throw new TokenException($"label {label} of {what} {i} is outside 0 .. {classifier.Config.Classes - 1}. Number the classes from 0.");
            }
        }
    }

    // The normalised panel, the rows, and the head's parameters, gradients, best values, optimiser's state and average.
    private static long HeadBytes(SequenceClassifier<float> classifier, int batch, int length, int stateVectors)
    {
        TransformerModel<float> model = classifier.Model;
        long rows = (long)batch * ((3L * model.Config.Width) + classifier.Config.Classes + length);
        return sizeof(float)
            * (Panel<float>.Elements(checked(batch * length), model.Blocks[0].PaddedWidth) + rows + ((3 + stateVectors) * classifier.Head.Length));
    }
}
