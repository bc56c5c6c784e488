using System.Diagnostics;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Trains a model so that the cosine of two texts' embeddings says how alike they are: pooled hidden states of length 1. On pairs with a similarity,
/// or on labelled texts, of which those of one label are alike. The same seed gives the same bits, for any number of threads. One call at a time.
/// </summary>
public sealed partial class SimilarityTrainer : IDisposable, ITrainingPart, ILeased
{
    private const string MorePairs = "the contrastive loss tells the texts of a pair from others: give at least two pairs a batch.";

    private readonly PairBatches _pairs;
    private readonly Workspace<float> _workspace;
    private readonly SimilarityStep<float> _step;
    private readonly ParameterVector<float> _gradients;
    private readonly Optimizer<float> _optimizer;
    private readonly WeightAverage? _average;
    private readonly TrainerOptions _schedule;
    private readonly int _least;
    private readonly Lease _lease;
    private readonly PairSource _source;
    private (double Loss, long Pairs) _sum; // of the epoch
    private double _last = double.NaN; // of the last whole epoch
    private ResidentMeter _resident;

    /// <summary>Prepares a run on pairs.</summary>
    /// <param name="model">The model; it stays its owner's, its parameters change.</param>
    /// <param name="pairs">The pairs.</param>
    /// <param name="options">Settings.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <exception cref="InvalidSettingException">A setting or similarity is out of range, there is no pair, or the contrastive loss has one
    /// pair only.</exception>
    /// <exception cref="TokenException">A text is empty or too long, or an id is out of range; the pair is named.</exception>
    /// <exception cref="MemoryLimitException">The run does not fit into the limit; it says the least that would do.</exception>
    public SimilarityTrainer(TransformerModel<float> model, IReadOnlyList<SimilarityPair> pairs, SimilarityTrainerOptions options, int threads = 0)
        : this(model, Checked(model, pairs, options), options, threads)
    {
    }

    /// <summary>Prepares a run on labelled texts: pairs of one label, for the cosine loss also of two, are drawn anew every epoch.</summary>
    /// <param name="model">The model; it stays its owner's, its parameters change.</param>
    /// <param name="examples">The texts; two labels at least.</param>
    /// <param name="options">Settings.</param>
    /// <param name="threads">0 for one a processor.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range, or the examples have one label only.</exception>
    /// <exception cref="TokenException">An example is empty or too long, or an id or label is out of range; the example is named.</exception>
    /// <exception cref="MemoryLimitException">The run does not fit into the limit; it says the least that would do.</exception>
    public SimilarityTrainer(TransformerModel<float> model, IReadOnlyList<ClassifierExample> examples, SimilarityTrainerOptions options, int threads = 0)
        : this(model, Checked(model, examples, options), options, threads)
    {
    }

    private SimilarityTrainer(TransformerModel<float> model, PairSource pairs, SimilarityTrainerOptions options, int threads)
    {
        options.RequireGroups(model);
        Options = options;
        Model = model;
        _source = pairs;
        int positions = model.Config.MaxSequenceLength;
        _pairs = new PairBatches(pairs, options.BatchSize, positions, options.Seed);
        Steps = (int)Math.Min((long)options.Epochs * _pairs.Count, int.MaxValue - 1);
        _schedule = options.ToTrainer(Steps, options.LearningRate);
        int longest = RaggedBatches.PaddedLength(pairs.Longest, positions);
        (ActivationSettings settings, Plan) = options.Fit(model, new MemoryPlanOptions
        {
            LimitBytes = 0,
            BatchSize = 2 * _pairs.Batch,
            Context = longest,
            Threads = threads == 0 ? Environment.ProcessorCount : threads,
            GradientVectors = 1,
            OptimizerMoments = options.Optimizer.StateVectors + (options.AverageHorizon > 0 ? 1 : 0),
            VectorElements = model.Parameters.LengthOf(Trains),
            OptimizerBytes = options.CodedStateBytes(model),
            OptimizerScratch = options.Optimizer.ScratchElements([.. model.Parameters.Slices.Where(Trains)]),
            ExtraBytes = SimilarityStep<float>.RowBytes(2L * _pairs.Batch, longest, model.Config.Width),
        });
        _least = settings.PartSequences > 0 ? longest : 0;
        _lease = new Lease(this);
        _workspace = new Workspace<float>(threads);
        _step = new SimilarityStep<float>(model, options.Pooling, options.Loss, options.Temperature, _workspace, settings);
        _gradients = model.Parameters.CreateLike(Trains);
        _optimizer = options.Optimizer.Create(model.Parameters, _schedule, Trains);
        if (options.AverageHorizon > 0) _average = new WeightAverage(model.Parameters, options.AverageHorizon, Trains);
        _start = RunMark.HashOf(model);
    }

    /// <summary>The model.</summary>
    public TransformerModel<float> Model { get; }

    /// <summary>Settings.</summary>
    public SimilarityTrainerOptions Options { get; }

    /// <summary>What was chosen to keep <see cref="SequenceTrainerOptions.MemoryLimit"/>; null without one.</summary>
    public MemoryPlan? Plan { get; }

    /// <summary>Optimiser steps in all; as many as an <see cref="int"/> counts where the epochs have more.</summary>
    public int Steps { get; }

    /// <summary>Optimiser steps of an epoch.</summary>
    public int StepsPerEpoch => _pairs.Count;

    /// <summary>Optimiser steps done.</summary>
    public int StepsDone => _optimizer.Steps;

    /// <summary>One optimiser step: the next batch of pairs.</summary>
    /// <exception cref="NonFiniteException">A layer or gradient became NaN or infinite; step and layer are named, the weights are those
    /// before the step.</exception>
    public SimilarityProgress Step()
    {
        using Hold held = _lease.Claim();
        long started = Stopwatch.GetTimestamp();
        int step = StepsDone;
        (int epoch, int batch) = Math.DivRem(step, _pairs.Count);
        double factor = LearningRate.Factor(_schedule, step, step / (double)Steps), loss, norm;
        using Activity? activity = TrainingTelemetry.StartStep(step + 1);
        _gradients.Clear();
        _pairs.Fill(epoch, batch);
        try
        {
            loss = _step.Loss(_pairs.Tokens, _pairs.Lengths, _pairs.Groups, _pairs.Targets, _least, new DropoutStep(Options.Seed, (uint)step), _gradients);
            norm = _optimizer.Step(_gradients, factor, _workspace.Workers);
            _average?.Add(StepsDone, _workspace.Workers);
        }
        catch (NonFiniteException error)
        {
            activity?.SetStatus(ActivityStatusCode.Error, error.Message);
            throw error.Within($"step {step + 1}");
        }

        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        TrainingTelemetry.EndStep(_pairs.Tokens.Length, seconds, loss, norm, factor * Options.LearningRate);
        return new SimilarityProgress(epoch + 1, Options.Epochs, StepsDone, Steps, loss, factor * Options.LearningRate, norm,
            _pairs.Filled / seconds, _resident.Read(), _pairs.Filled);
    }

    /// <summary>Runs the remaining steps, reporting each.</summary>
    /// <param name="progress">Told after each step, on the calling thread if it reports there.</param>
    /// <param name="cancellation">Stops after the step under way.</param>
    /// <exception cref="OperationCanceledException">Cancelled, and <see cref="SequenceTrainerOptions.OnCancel"/> says so; the model holds
    /// the steps done so far.</exception>
    /// <exception cref="NonFiniteException">See <see cref="Step"/>.</exception>
    public SimilarityResult Run(IProgress<SimilarityProgress>? progress = null, CancellationToken cancellation = default)
    {
        StateKeeper keeper = new(Options.StatePath, Options.StateEvery);
        if (StepsDone == 0) keeper.Begin(StateBytes, Resume);
        while (StepsDone < Steps)
        {
            if (cancellation.IsCancellationRequested)
            {
                keeper.Save(StepsDone, SaveState);
                if (Options.OnCancel == WhenCancelled.Throw) cancellation.ThrowIfCancellationRequested();
                _average?.Apply();
                return new SimilarityResult(StepsDone, StepsDone / _pairs.Count, _last, true);
            }

            SimilarityProgress report = Step();
            _sum = (_sum.Loss + (report.Loss * report.Pairs), _sum.Pairs + report.Pairs);
            if (StepsDone % _pairs.Count == 0) (_last, _sum) = (_sum.Loss / _sum.Pairs, (0, 0));
            progress?.Report(report);
            if (StepsDone < Steps) keeper.AfterStep(StepsDone, SaveState);
        }

        _average?.Apply();
        keeper.Complete();
        return new SimilarityResult(StepsDone, StepsDone / _pairs.Count, _last, false);
    }

    /// <summary>Ends the threads and frees the memory, after the step that is using them.</summary>
    public void Dispose() => _lease.Dispose();

    void ILeased.Free()
    {
        _step.Dispose();
        _optimizer.Dispose();
        _average?.Dispose();
        _gradients.Dispose();
        _workspace.Dispose();
    }

    private static GivenPairs Checked(TransformerModel<float> model, IReadOnlyList<SimilarityPair> pairs, SimilarityTrainerOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(pairs);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        int least = options.Loss is SimilarityLoss.Contrastive ? 2 : 1;
        if (pairs.Count < least || (least > 1 && options.BatchSize < least))
        {
            throw new InvalidSettingException(
                pairs.Count < least ? "pairs" : nameof(options.BatchSize), Math.Min(pairs.Count, options.BatchSize),
                least == 1 ? "give at least one pair." : MorePairs);
        }

        for (int i = 0; i < pairs.Count; i++)
        {
            ExampleCheck.Tokens(model.Config, pairs[i].First, "the first text of pair", i);
            ExampleCheck.Tokens(model.Config, pairs[i].Second, "the second text of pair", i);
            if (!(pairs[i].Similarity is >= -1 and <= 1))
            {
                throw new InvalidSettingException(nameof(SimilarityPair.Similarity), pairs[i].Similarity, $"pair {i}: use a cosine, -1 to 1.");
            }
        }

        return new GivenPairs(pairs);
    }

    private static LabelPairs Checked(TransformerModel<float> model, IReadOnlyList<ClassifierExample> examples, SimilarityTrainerOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(examples);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        for (int i = 0; i < examples.Count; i++)
        {
            ExampleCheck.Tokens(model.Config, examples[i].Tokens, "example", i);
            if (examples[i].Label is < 0 or > 1 << 20) throw new TokenException($"label {examples[i].Label} of example {i} is no class. Number them from 0.");
        }

        if (options.Loss is SimilarityLoss.Contrastive && options.BatchSize < 2)
        {
            throw new InvalidSettingException(nameof(options.BatchSize), options.BatchSize, MorePairs);
        }

        if (examples.Count == 0 || examples.All(e => e.Label == examples[0].Label))
        {
            throw new InvalidSettingException("examples", examples.Count, "they have one label or none; give texts of two labels at least.");
        }

        return new LabelPairs(examples, options.Loss is SimilarityLoss.Cosine, options.Seed);
    }
}
