using System.Diagnostics;
using System.Runtime.CompilerServices;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Trains a model on a token source: gradients of compressed weights, an optimiser, warm-up and schedule, clipping, accumulation. The same seed gives the same
/// bits, for any number of threads, and of ranks that share the micro-batches of its steps, unless <see cref="TrainerOptions.Sum"/>,
/// <see cref="TrainerOptions.Wire"/> or <see cref="TrainerOptions.LocalSteps"/> say otherwise. One call at a time.
/// </summary>
public sealed partial class Trainer : IDisposable, ITrainingPart, ILeased
{
    private readonly ITokenSource _train;
    private readonly ITokenSource? _validation;
    private readonly Workspace<float> _workspace;
    private readonly TransformerContext<float> _context;
    private readonly GradientTree<float> _gradients;
    private readonly LatentWeights? _latent;
    private readonly Optimizer<float> _optimizer;
    private readonly WeightAverage? _average;
    private readonly MicroBatch _batch;
    private readonly RankTalk _ranks;
    private readonly VectorShares _shares; // of ranks in the vector of what is trained
    private readonly long? _optimizerBytes; // of this rank's part of a shared state
    private readonly IGradientExchange? _exchange; // null in one process, and where ranks step by themselves
    private readonly LocalSteps? _local; // where they do
    private readonly (int First, int Last) _share; // of a step's micro-batches, those of this rank
    private readonly SharedLosses _losses;
    private readonly Lease _lease;
    private bool _cleared = true;
    private double _lastValidation = double.NaN;
    private ResidentMeter _resident;

    /// <summary>Prepares a run.</summary>
    /// <param name="model">The model; its parameters change.</param>
    /// <param name="train">Training batches.</param>
    /// <param name="validation">Held-out sequences, or null. Those of a <see cref="TokenDataset"/> in random order are shuffled instead: a
    /// validation takes none twice.</param>
    /// <param name="options">Settings.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <param name="collective">The ranks that share the micro-batches of a step, all of which make a trainer of the same model, data and options
    /// and call the same methods in the same order: results are those of one process, bit for bit, but for the options that say otherwise. Null for
    /// one process.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range, or a step has fewer micro-batches than there are ranks.</exception>
    /// <exception cref="DistributedException">Another rank has another model, data, options or program.</exception>
    /// <exception cref="MemoryLimitException">The run does not fit into <see cref="TrainerOptions.MemoryLimit"/> (it says the least that
    /// would do), or, without one, into the machine.</exception>
    /// <exception cref="RbeFileException">The folder of a spill file cannot be used.</exception>
    /// <exception cref="TokenException">The context is longer than the model's positions, or a source has more ids than the model's vocabulary.</exception>
    public Trainer(TransformerModel<float> model, ITokenSource train, ITokenSource? validation, TrainerOptions options, int threads = 0,
        ICollective? collective = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(options);
        Options = options.Validate();
        model.Config.RequireLanguageModel("predicting the next token trains");
        if (options.Context > model.Config.MaxSequenceLength)
        {
            throw new TokenException(
                $"a context of {Amount.Of(options.Context, "token")} is longer than the model's "
                    + $"{Amount.Of(model.Config.MaxSequenceLength, "position")}. Use a shorter context or a model with more positions.");
        }

        foreach (ITokenSource source in validation is null ? [train] : (ITokenSource[])[train, validation])
        {
            if (source.Vocabulary > model.Config.Vocabulary)
            {
                throw new TokenException(
                    $"the text has token ids up to {source.Vocabulary - 1}, the model a vocabulary of {model.Config.Vocabulary}. Use the model's own "
                        + $"tokenizer, or a larger vocabulary.");
            }
        }

        bool documents = train.IsolatesDocuments || validation is { IsolatesDocuments: true };
        if (options.TrainBits is not null) LatentWeights.Require(model);
        ParameterGroup.Require(options.Groups, model.Parameters.Slices);
        Model = model;
        _train = train;
        _validation = validation is TokenDataset held ? held.WithoutRepeats() : validation;
        if (threads < 0) throw new InvalidSettingException("threads", threads, "use 0 for one thread a processor, or a positive number.");
        ICollective ranks = collective ?? SingleProcess.Instance;
        SumTree tree = new(options.Accumulate);
        _share = SharedLosses.ShareOf(tree, ranks);
        bool alone = ranks.Size > 1
            && (options.Sum is not GradientSum.Reproducible || options.Wire is not GradientWire.Float32 || options.LocalSteps > 1);
        (SumTree Tree, (int First, int Last) Leaves) own = alone ? (new SumTree(_share.Last - _share.First), (0, _share.Last - _share.First)) : (tree, _share);
        _ranks = new RankTalk(ranks);
        long elements = model.Parameters.LengthOf(Trains);
        OptimizerShare? sharing = options.ShardOptimizer && _ranks.Several
            ? new OptimizerShare(_ranks, model.Parameters.Slices, Trains, options.Optimizer) : null;
        _shares = sharing?.Shares ?? VectorShares.Even(elements, ranks.Size);
        _optimizerBytes = sharing?.StateBytes(options.Optimizer);
        ActivationSettings settings =
            new()
            {
                Checkpointing = options.Checkpointing ?? CheckpointPolicy.None,
                Offload = options.Offload ?? ActivationOffload.None,
                SpillFolder = options.SpillFolder
            };
        MemoryPlanOptions needs = new()
        {
            LimitBytes = options.MemoryLimit is { } limit ? (long)limit << 20 : RuntimeFootprint.MachineBytes,
            BatchSize = options.BatchSize,
            Context = options.Context,
            Documents = documents,
            Threads = threads == 0 ? Environment.ProcessorCount : threads,
            GradientVectors = own.Tree.MostOpen(own.Leaves.First, own.Leaves.Last),
            ExchangeBytes = ExchangeBytes,
            OptimizerMoments = (sharing is null ? options.Optimizer.StateVectors : 0) + (options.AverageHorizon > 0 ? 1 : 0),
            VectorElements = elements,
            OptimizerBytes = (_optimizerBytes ?? CodedStateBytes) + LatentBytes,
            OptimizerScratch = options.Optimizer.ScratchElements([.. model.Parameters.Slices.Where(Trains)]),
            Checkpointing = options.Checkpointing,
            Offload = options.Offload,
            SpillFolder = options.SpillFolder,
            ExtraBytes = options.ExtraBytes,
        };
        if (options.MemoryLimit is not null)
        {
            Plan = MemoryPlan.Create(model, needs);
            settings = Plan.Settings;
        }

        Estimate = Plan?.Estimate ?? MemoryPlan.Require(model, settings, needs);

        _lease = new Lease(this);
        _workspace = new Workspace<float>(threads);
        if (options.Profile) Profile = new StepProfile(_workspace.Workers.Threads);
        _context = new TransformerContext<float>(model, _workspace, settings);
        _gradients = new GradientTree<float>(model.Parameters, own.Tree, own.Leaves, Trains);
        _start = RunMark.HashOf(model);
        if (options.TrainBits is { } bits) _latent = new LatentWeights(model, slice => ParameterGroup.BitsOf(options.Groups, slice, bits), _workspace.Workers);
        ParameterVector<float> trained = _latent?.Values ?? model.Parameters;
        _optimizer = options.Optimizer.Create(trained, options, Trains, sharing);
        if (options.AverageHorizon > 0) _average = new WeightAverage(trained, options.AverageHorizon, Trains, _latent is null ? null : _latent.Round);
        _local = MakeLocal(trained);
        _exchange = _local is null ? MakeExchange() : null;
        _batch = new MicroBatch(options.BatchSize, options.Context, documents);
        _losses = new SharedLosses(_ranks, _batch, options.Accumulate);
        RequireSame();
    }

    /// <summary>The model.</summary>
    public TransformerModel<float> Model { get; }

    /// <summary>Settings.</summary>
    public TrainerOptions Options { get; }

    /// <summary>The optimiser.</summary>
    public IOptimizer<float> Optimizer => _optimizer;

    /// <summary>Where a step sums its gradients, those of what is trained; zero between steps, as the optimiser leaves them.</summary>
    public ParameterVector<float> Gradients => _gradients.Root;

    /// <summary>Threads and scratch.</summary>
    public Workspace<float> Workspace => _workspace;

    /// <summary>What was chosen to keep <see cref="TrainerOptions.MemoryLimit"/>; null without one.</summary>
    public MemoryPlan? Plan { get; }

    /// <summary>What the run was predicted to take before it allocated anything.</summary>
    public MemoryEstimate Estimate { get; }

    /// <summary>Where the time of the steps went; null unless <see cref="TrainerOptions.Profile"/> is set. Validation is not counted.</summary>
    public StepProfile? Profile { get; }

    /// <summary>Bytes that the steps so far work in, without weights, gradients and optimiser.</summary>
    public StepMemory StepBytes => TransformerModel<float>.MeasureStep(_context);

    /// <summary>The spill file, or null.</summary>
    public string? SpillPath => _context.SpillPath;

    /// <summary>What is kept for the backward, where, and how much of a batch is done at a time.</summary>
    public ActivationSettings Activations => _context.Settings;

    /// <summary>Optimiser steps done.</summary>
    public int StepsDone => Optimizer.Steps;

    /// <summary>Sizes of the run; activations are known after the first step.</summary>
    public TrainingBytes Bytes
    {
        get
        {
            ModelSize size = ModelSize.Of(Model);
            return new TrainingBytes(size.ResidentBytes, (VectorBytes * _gradients.Vectors) + ExchangeBytes,
                OptimizerBytes, _context.ActivationBytes, size.DenseValues * sizeof(float));
        }
    }

    /// <summary>
    /// Whether the last step failed since the weights, those of the step before, predict NaN or infinity. Where it was a gradient that overflowed, they
    /// are as good as they were.
    /// </summary>
    internal bool Diverged { get; private set; }

    /// <summary>
    /// One optimiser step: loss and gradient are those of the mean over all tokens that its micro-batches predict, however these divide
    /// them. One that predicts nothing counts for nothing.
    /// </summary>
    /// <param name="progress">Fraction of the run that is done, for the schedule; steps done / steps when null.</param>
    /// <param name="cancel">Ends the step between two blocks, as if it had never begun.</param>
    /// <exception cref="TokenException">The whole step predicts nothing, or an id is outside the vocabulary.</exception>
    /// <exception cref="NonFiniteException">A layer or gradient became NaN or infinite; step and layer are named, the weights are those
    /// before the step.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the weights are those before the step.</exception>
    public TrainingProgress Step(double? progress = null, CancellationToken cancel = default)
    {
        using Hold held = _lease.Claim();
        long started = Stopwatch.GetTimestamp();
        int step = StepsDone;
        double factor = RateScale * LearningRate.Factor(Options, step, progress ?? (step / (double)Options.Steps));
        double loss = 0, norm;
        long predicted;
        using Activity? activity = TrainingTelemetry.StartStep(step + 1);
        if (!_cleared) Forget();
        _cleared = false;
        _workspace.Profile = Profile;
        _context.Cancel = cancel;
        bool predicts = false;
        try
        {
            predicted = AddGradients((long)step * Options.Accumulate, ref factor, cancel, out loss);
            predicts = true;
            loss /= predicted;
            long updating = StepProfile.Now(Profile);
            IsWhole = false;
            if (_local is null)
            {
                norm = Optimizer.Step(_gradients.Root, factor, _workspace.Workers);
                FollowWeights(1);
            }
            else
            {
                norm = StepAlone(factor);
            }

            _cleared = IsWhole = true;
            Profile?.Lap(ProfileStage.Optimizer, updating);
        }
        catch (NonFiniteException error)
        {
            Diverged = !predicts;
            IsWhole = true; // a step that cannot be done changes nothing
            activity?.SetStatus(ActivityStatusCode.Error, error.Message);
            throw error.Within($"step {step + 1}");
        }
        finally
        {
            Profile?.EndStep(started);
            _workspace.Profile = null;
            _context.Cancel = default;
        }

        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        TrainingTelemetry.EndStep(predicted, seconds, loss, norm, factor * Options.LearningRate);
        return new TrainingProgress(StepsDone, Options.Steps, loss, factor * Options.LearningRate, norm, predicted / seconds,
            _resident.Read(), null, predicted);
    }

    // The gradients of the step's mean loss in the tree's root, the sum of its losses, and its predicted tokens. The first rank's factor counts.
    private long AddGradients(long first, ref double factor, CancellationToken cancel, out double loss)
    {
        long predicted = 0;
        try
        {
            cancel.ThrowIfCancellationRequested();
            predicted = CountTargets(first);
        }
        catch (Exception error)
        {
            _ranks.Failed(error);
        }

        long divisor = Math.Max(1, predicted); // of this rank, which steps by itself; or of all
        (predicted, factor) = _ranks.Agree(RankTask.Step, predicted, factor);
        if (_local is null) divisor = predicted;
        if (predicted == 0) throw TokenTargets.None("the step");
        try
        {
            for (int micro = _share.First; micro < _share.Last; micro++)
            {
                if (micro > _share.First) Fill(first + micro); // the first is there
                DropoutStep dropout = new(Options.Seed, (uint)(first + micro));
                _losses[micro] = _batch.LossSum(_batch.Sequences, Model, _context, dropout, _gradients.Leaf, 1.0 / divisor);
                _gradients.Add(_workspace.Workers);
            }
        }
        catch (Exception error)
        {
            _ranks.Failed(error);
        }

        _ranks.Agree(RankTask.Gradients);
        long exchanging = StepProfile.Now(Profile);
        loss = _losses.Sum();
        _exchange?.Sum(_gradients);
        if (_ranks.Several) Profile?.Lap(ProfileStage.Exchange, exchanging);
        return predicted;
    }

    /// <summary>The weights to store and serve: the model's, whose matrices of a training at few bits are in format <see cref="QuantizedFormat"/>.</summary>
    public TransformerWeights GetWeights()
    {
        using Hold held = _lease.Claim();
        return _latent?.GetWeights() ?? Model.GetWeights();
    }

    /// <summary>
    /// Mean loss over all tokens that the first sequences of the validation source predict, without dropout; NaN without a source. Each is
    /// taken once, and they are added in their order: the same bits for any <see cref="TrainerOptions.BatchSize"/> and number of threads.
    /// </summary>
    /// <param name="sequences">How many, if the source has as many; <see cref="TrainerOptions.ValidationSequences"/> when null.</param>
    /// <param name="cancel">Ends the validation between two blocks.</param>
    /// <exception cref="TokenException">They predict nothing.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    /// <exception cref="DistributedException">A rank has other weights.</exception>
    public double Validate(int? sequences = null, CancellationToken cancel = default)
    {
        int most = sequences ?? Options.ValidationSequences;
        if (most < 1) throw new InvalidSettingException(nameof(sequences), most, "use at least 1 sequence.");
        if (_validation is null) return double.NaN;
        using Hold held = _lease.Claim();
        Meet();
        RequireSameWeights(); // what a fault of a machine has changed is found here
        using AveragedWeights averaged = new(_average);
        long all = Math.Min(most, _validation.EpochSequences(Options.Context) ?? most), predicted;
        double sum;
        _context.Cancel = cancel;
        try
        {
            (sum, predicted) = _losses.Validate(_validation, all, Model, _context);
        }
        finally
        {
            _context.Cancel = default;
        }

        if (predicted == 0) throw TokenTargets.None("the validation");
        TrainingTelemetry.EndValidation(sum / predicted);
        return sum / predicted;
    }

    /// <summary>Runs the remaining steps, reporting each; validates every <see cref="TrainerOptions.ValidateEvery"/> steps and after the last.</summary>
    /// <param name="progress">Told after each step, on the calling thread.</param>
    /// <param name="cancellation">Stops after the step under way.</param>
    /// <returns>The last validation loss; NaN without a validation source. With no steps left it is that of the run before.</returns>
    /// <exception cref="OperationCanceledException">Cancelled; the model holds the steps done so far.</exception>
    [OverloadResolutionPriority(1)] // of null
    public double Run(Action<TrainingProgress>? progress = null, CancellationToken cancellation = default)
    {
        StateKeeper keeper = new(Options.StatePath, Options.StateEvery, _ranks.Ranks.Rank == 0, SavesTogether ? _ranks : null);
        if (StepsDone == 0) keeper.Begin(StateBytes, Resume);
        keeper.StartAt(StepsDone);
        RequireSameWeights();
        while (StepsDone < Options.Steps)
        {
            if (_ranks.Any(cancellation.IsCancellationRequested))
            {
                Meet();
                keeper.Save(StepsDone, SaveState);
                throw new OperationCanceledException(cancellation);
            }

            TrainingProgress report = Step();
            if (_validation is not null && (StepsDone == Options.Steps || (Options.ValidateEvery > 0 && StepsDone % Options.ValidateEvery == 0)))
            {
                _lastValidation = Validate();
                report = report with { ValidationLoss = _lastValidation };
            }

            progress?.Invoke(report);
            if (StepsDone < Options.Steps && HasMet) keeper.AfterStep(StepsDone, SaveState);
        }

        Meet();
        ApplyAverage();
        keeper.Complete();
        return _lastValidation;
    }

    /// <summary>Ends the threads and frees the memory, after the step that is using them.</summary>
    public void Dispose() => _lease.Dispose();

    void ILeased.Free()
    {
        _context.Dispose();
        _average?.Dispose();
        _gradients.Dispose();
        _exchange?.Dispose();
        _local?.Dispose();
        Optimizer.Dispose();
        _latent?.Dispose();
        _workspace.Dispose();
    }
}
