using System.Diagnostics;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Trains a classifier on examples in memory: epochs of batches of about one length, an optimiser with warm-up and schedule, clipping,
/// validation, early stopping. The same seed gives the same bits, for any number of threads, and of ranks that share the batches of its steps. One call
/// at a time.
/// </summary>
public sealed partial class ClassifierTrainer : IDisposable, ITrainingPart, ILeased
{
    private readonly ExampleBatches _train;
    private readonly ExampleBatches? _validation;
    private readonly Workspace<float> _workspace;
    private readonly ClassifierContext<float> _context;
    private readonly ParameterVector<float>? _bestModel;
    private readonly GradientTree<float>? _modelGradients;
    private readonly GradientTree<float> _headGradients;
    private readonly ParameterVector<float>? _bestHead;
    private readonly Optimizer<float>? _modelOptimizer;
    private readonly Optimizer<float> _headOptimizer;
    private readonly WeightAverage? _modelAverage, _headAverage;
    private readonly TrainerOptions _schedule;
    private readonly int _least;
    private readonly RankTalk _ranks;
    private readonly (int First, int Last) _share; // of a step's batches, those of this rank
    private readonly GradientExchange? _modelExchange, _headExchange; // null in one process
    private readonly StepLosses _losses;
    private readonly StepLosses? _validationLosses;
    private readonly Lease _lease;
    private bool _cleared = true;
    private ResidentMeter _resident;
    private (int Epoch, double Loss, double Accuracy) _best = (0, double.PositiveInfinity, double.NaN);

    /// <summary>Prepares a run.</summary>
    /// <param name="classifier">The classifier; its parameters change.</param>
    /// <param name="train">Training examples.</param>
    /// <param name="validation">Validation examples; null holds out <see cref="ClassifierTrainerOptions.ValidationFraction"/> of the
    /// others, of each class.</param>
    /// <param name="options">Settings.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <param name="collective">The ranks that share the batches of a step, all of which make a trainer of the same classifier, examples and options and
    /// call the same methods in the same order: results are those of one process, bit for bit. Null for one process.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range, there are too few examples, or a step has fewer batches than there are
    /// ranks.</exception>
    /// <exception cref="DistributedException">Another rank has another classifier, examples, options or program.</exception>
    /// <exception cref="TokenException">An example is empty or too long, or an id or label is out of range; the example is named.</exception>
    /// <exception cref="MemoryLimitException">The run does not fit into the limit; it says the least that would do.</exception>
    public ClassifierTrainer(
        SequenceClassifier<float> classifier, IReadOnlyList<ClassifierExample> train, IReadOnlyList<ClassifierExample>? validation,
        ClassifierTrainerOptions options, int threads = 0, ICollective? collective = null)
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
        ICollective ranks = collective ?? SingleProcess.Instance;
        SumTree tree = new(options.Accumulate);
        _share = SharedLosses.ShareOf(tree, ranks);
        _ranks = new RankTalk(ranks);
        _losses = new StepLosses(ranks, options.Accumulate);
        if (_validation is not null) _validationLosses = new StepLosses(ranks, _validation.Count);
        Steps = (int)Math.Min((long)options.Epochs * StepsPerEpoch, int.MaxValue - 1);
        _schedule = options.ToTrainer(Steps, options.LearningRate);
        bool trainsModel = options.Trained != TrainedParts.Head, keepsBest = _validation is not null
            && (options.Patience > 0 || options.OnCancel == WhenCancelled.ReturnBest);
        int longest = RaggedBatches.PaddedLength(Math.Max(_train.Longest, _validation?.Longest ?? 1), model.Config.MaxSequenceLength);
        int batch = Math.Max(_train.Batch, _validation?.Batch ?? 1), vectors = tree.MostOpen(_share.First, _share.Last);
        VectorShares modelShares = VectorShares.Even(trainsModel ? model.Parameters.LengthOf(Trains) : 0, ranks.Size),
            headShares = VectorShares.Even(classifier.Head.Length, ranks.Size);
        (ActivationSettings settings, Plan) = options.Fit(model, new MemoryPlanOptions
        {
            LimitBytes = 0,
            BatchSize = batch,
            Context = longest,
            Threads = threads == 0 ? Environment.ProcessorCount : threads,
            GradientVectors = trainsModel ? vectors : 0,
            ExchangeBytes = GradientExchange.BytesOf(tree, modelShares) + GradientExchange.BytesOf(tree, headShares),
            OptimizerMoments = (trainsModel ? options.Optimizer.StateVectors : 0) + (keepsBest && trainsModel ? 1 : 0)
                + (options.AverageHorizon > 0 && trainsModel ? 1 : 0),
            VectorElements = model.Parameters.LengthOf(Trains),
            OptimizerBytes = options.Optimizer.CodedStateBytes(classifier.Head.Slices) + (trainsModel ? options.CodedStateBytes(model) : 0),
            OptimizerScratch = trainsModel ? options.Optimizer.ScratchElements([.. model.Parameters.Slices.Where(Trains)]) : 0,
            ExtraBytes = HeadBytes(classifier, batch, longest, options.Optimizer.StateVectors + (options.AverageHorizon > 0 ? 1 : 0) + vectors - 1),
        });
        _least = settings.PartSequences > 0 ? longest : 0;
        _lease = new Lease(this);
        _workspace = new Workspace<float>(threads);
        _context = new ClassifierContext<float>(classifier, _workspace, settings);
        _headGradients = new GradientTree<float>(classifier.Head, tree, _share);
        if (_ranks.Several) _headExchange = new GradientExchange(ranks, tree, headShares, gathers: true);
        _headOptimizer = options.Optimizer.Create(classifier.Head,
            options.ToTrainer(Steps, options.HeadLearningRate ?? options.LearningRate) with { Groups = [] }); // their names are the model's
        if (keepsBest) _bestHead = classifier.Head.CreateLike();
        if (options.AverageHorizon > 0) _headAverage = new WeightAverage(classifier.Head, options.AverageHorizon, null);
        _start = StartOf(classifier);
        _data = (Checksum(train), Checksum(validation));
        if (trainsModel)
        {
            _modelGradients = new GradientTree<float>(model.Parameters, tree, _share, Trains);
            if (_ranks.Several) _modelExchange = new GradientExchange(ranks, tree, modelShares, gathers: true);
            _modelOptimizer = options.Optimizer.Create(model.Parameters, _schedule, Trains);
            if (keepsBest) _bestModel = model.Parameters.CreateLike(Trains);
            if (options.AverageHorizon > 0) _modelAverage = new WeightAverage(model.Parameters, options.AverageHorizon, Trains);
        }

        RequireSame();
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
    public int StepsPerEpoch => ((_train.Count - 1) / Options.Accumulate) + 1;

    /// <summary>Optimiser steps done.</summary>
    public int StepsDone => _headOptimizer.Steps;

    /// <summary>Examples that are trained on.</summary>
    public int TrainingExamples => _train.Examples;

    /// <summary>Examples that are held out.</summary>
    public int ValidationExamples => _validation?.Examples ?? 0;

    /// <summary>One optimiser step: the next <see cref="ClassifierTrainerOptions.Accumulate"/> batches.</summary>
    /// <exception cref="NonFiniteException">A layer or gradient became NaN or infinite; step and layer are named, the weights are those
    /// before the step.</exception>
    public ClassifierProgress Step()
    {
        using Hold held = _lease.Claim();
        long started = Stopwatch.GetTimestamp();
        int step = StepsDone;
        (int epoch, int place) = Math.DivRem(step, StepsPerEpoch);
        int first = place * Options.Accumulate, examples = _train.ExamplesOf(first, Math.Min(Options.Accumulate, _train.Count - first));
        double factor = LearningRate.Factor(_schedule, step, step / (double)Steps), loss, norm;
        long tokens;
        using Activity? activity = TrainingTelemetry.StartStep(step + 1);
        if (!_cleared) ClearGradients(); // a step that failed left them
        _cleared = false;
        try
        {
            (loss, tokens) = AddGradients(epoch, first, examples);
            ParameterVector<float> head = _headGradients.Root;
            norm = _headOptimizer.GradientNorm(head, _workspace.Workers);
            if (_modelOptimizer is not null)
            {
                norm = Math.Sqrt((norm * norm) + Math.Pow(_modelOptimizer.GradientNorm(_modelGradients!.Root, _workspace.Workers), 2));
            }

            _headOptimizer.RequireRange(head, norm); // before the model is changed
            _modelOptimizer?.Step(_modelGradients!.Root, factor, _workspace.Workers, norm);
            _headOptimizer.Step(head, factor, _workspace.Workers, norm);
            _cleared = true;
            _modelAverage?.Add(StepsDone, _workspace.Workers);
            _headAverage?.Add(StepsDone, _workspace.Workers);
        }
        catch (NonFiniteException error)
        {
            activity?.SetStatus(ActivityStatusCode.Error, error.Message);
            throw error.Within($"step {step + 1}");
        }

        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        TrainingTelemetry.EndStep(tokens, seconds, loss, norm, factor * Options.LearningRate);
        return new ClassifierProgress(epoch + 1, Options.Epochs, StepsDone, Steps, loss, factor * Options.LearningRate, norm,
            examples / seconds, _resident.Read(), examples);
    }

    /// <summary>Mean loss in nats and accuracy on the validation examples, without dropout; NaN without any.</summary>
    public (double Loss, double Accuracy) Validate()
    {
        if (_validation is null) return (double.NaN, double.NaN);
        using Hold held = _lease.Claim();
        RequireSameWeights(); // what a fault of a machine has changed is found here
        using AveragedWeights averaged = Averaged();
        long right = AddValidation(_validation, _validationLosses!);
        return (_validationLosses!.Sum() / _validation.Examples, (double)right / _validation.Examples);
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
        StateKeeper keeper = new(Options.StatePath, Options.StateEvery, _ranks.Ranks.Rank == 0);
        if (StepsDone == 0) keeper.Begin(StateBytes, Resume);
        RequireSameWeights();
        while (StepsDone < Steps && !stopped)
        {
            if (_ranks.Any(cancellation.IsCancellationRequested))
            {
                keeper.Save(StepsDone, SaveState);
                if (Options.OnCancel == WhenCancelled.Throw) throw new OperationCanceledException(cancellation);
                cancelled = true;
                break;
            }

            ClassifierProgress report = Step();
            _last = null;
            _sum = (_sum.Loss + (report.Loss * report.Examples), _sum.Examples + report.Examples);
            if (StepsDone % StepsPerEpoch == 0)
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

        int epochs = StepsDone / StepsPerEpoch;
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
        foreach (IDisposable? part in (IDisposable?[])[_modelGradients, _headGradients, _modelExchange, _headExchange, _bestModel, _bestHead]) part?.Dispose();
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
