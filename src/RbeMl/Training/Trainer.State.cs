using System.Globalization;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <content>The state of a run in a file, and what its ranks share.</content>
public sealed partial class Trainer
{
    private const string ValidationKey = "validation", RateKey = "rateScale";
    private string _start; // hash of the weights before the first step
    private RunIdentity? _identity;

    /// <summary>
    /// Saves all that the run needs to go on, as a whole or not at all: weights, the optimiser's state and the step. Order of data, dropout and
    /// schedule follow from the step. Any rank may, for itself; with <see cref="TrainerOptions.ShardOptimizer"/> or
    /// <see cref="TrainerOptions.LocalSteps"/> all do together, and the first writes the file.
    /// </summary>
    /// <param name="path">The file; an earlier state is replaced.</param>
    /// <exception cref="RbeFileException">The file cannot be written; what was there before is as it was.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite, or what the weights predict; nothing is written.</exception>
    public void SaveState(string path) => SaveState(path, []);

    /// <summary>
    /// Goes on where <see cref="SaveState(string)"/> was called: the remaining steps give the bits that they would have given then, for any
    /// number of threads (not of gradients in bf16, whose rounding is forgotten). The trainer is made as it was then: of the same model before
    /// its first step, the same data and settings.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <exception cref="StateMismatchException">It is the state of another run, or of one that is complete; nothing is changed.</exception>
    /// <exception cref="RbeFileException">It is missing, damaged, no training state or of another version; nothing is changed.</exception>
    /// <exception cref="NonFiniteException">A value in it is NaN or infinite; nothing is changed.</exception>
    public void Resume(string path)
    {
        using TrainingStateFile state = TrainingStateFile.Open(path);
        Resume(state, anyStart: false, []);
    }

    /// <summary>Factor of the learning rate: below 1 in a run that went back.</summary>
    internal double RateScale { get; set; } = 1;

    /// <summary>Counts a step that changes nothing: data and schedule go on, weights and the optimiser's state stay.</summary>
    internal TrainingProgress Skip(double? progress)
    {
        using Hold held = _lease.Claim();
        double factor = RateScale * LearningRate.Factor(Options, StepsDone, progress ?? (StepsDone / (double)Options.Steps));
        _optimizer.Skip();
        return new TrainingProgress(StepsDone, Options.Steps, 0, factor * Options.LearningRate, 0, 1, _resident.Read(), null, 0);
    }

    /// <summary>The loss of the next step's first batch by the weights as they are, without average and dropout; infinity where it is no number.</summary>
    /// <param name="cancel">Ends it between two blocks.</param>
    internal double Probe(CancellationToken cancel = default)
    {
        using Hold held = _lease.Claim();
        _batch.Fill(_train, (long)StepsDone * Options.Accumulate);
        int predicted = _batch.Predicted(_batch.Sequences);
        if (predicted == 0) return 0;
        _context.Cancel = cancel;
        try
        {
            double loss = _batch.LossSum(_batch.Sequences, Model, _context) / predicted;
            return double.IsFinite(loss) ? loss : double.PositiveInfinity;
        }
        catch (NonFiniteException)
        {
            return double.PositiveInfinity;
        }
        finally
        {
            _context.Cancel = default;
        }
    }

    /// <summary>Whether the weights are those after a step, and not on their way to those after the next, where an error has left them.</summary>
    internal bool IsWhole { get; private set; } = true;

    /// <summary>Whether the weights to be saved predict numbers, as far as this rank can tell by itself: of data that cannot be read nothing.</summary>
    internal bool PredictsHere()
    {
        using AveragedWeights averaged = Averaged();
        try
        {
            return double.IsFinite(Probe());
        }
        catch (Exception error) when (error is not NonFiniteException)
        {
            return true;
        }
    }

    /// <summary>A copy of the weights, to keep those that are best.</summary>
    internal BestWeights KeepBest() => new(_latent?.Values ?? Model.Parameters, Trains, _latent is null ? null : _latent.Round);

    /// <summary>Goes on from the best weights, and averages from there.</summary>
    internal void Apply(BestWeights best)
    {
        using Hold held = _lease.Claim();
        best.Apply();
        _average?.Restart();
        _exchange?.Forget();
    }

    /// <summary>Bytes of a state's vectors.</summary>
    internal long StateBytes =>
        (_latent is null ? VectorBytes : sizeof(float) * Model.Parameters.TrainableCount) + (VectorBytes * StateVectors) + CodedStateBytes;

    /// <summary>Bytes of the values that are trained.</summary>
    internal long VectorBytes => sizeof(float) * _gradients.Root.TrainableCount;

    /// <summary>Vectors of the size of what is trained that the run remembers, on all ranks together: the optimiser's, and the average.</summary>
    internal int StateVectors => Options.Optimizer.StateVectors + (_average is null ? 0 : 1);

    // Of this rank.
    private long OptimizerBytes => LatentBytes + (_optimizerBytes is { } part ? part + (_average is null ? 0 : VectorBytes)
        : (VectorBytes * StateVectors) + CodedStateBytes);

    // A micro-batch of the step under way.
    private void Fill(long index)
    {
        long filling = StepProfile.Now(Profile);
        _batch.Fill(_train, index);
        Profile?.Lap(ProfileStage.Data, filling);
    }

    // Floats behind weights of a few bits, and their scales.
    private long LatentBytes => Options.TrainBits is null ? 0 : LatentWeights.BytesOf(Model.Parameters);

    private long CodedStateBytes => Options.Optimizer.CodedStateBytes(Model.Parameters.Slices.Where(Trains));

    /// <summary>Whether a slice is trained.</summary>
    internal bool Trains(ParameterSlice slice) => ParameterGroup.Trains(Options.Groups, slice);

    /// <summary>Bytes of native memory of the optimiser's state on this rank.</summary>
    internal long OptimizerBytesHeld => _optimizer.AllocatedBytes;

    /// <summary>Whether each rank has a part of the optimiser's state, so that all must save together.</summary>
    internal bool SavesTogether => _optimizer.IsShared || _local is not null;

    /// <summary>Whether all ranks have the same weights, as they have but between two means of <see cref="TrainerOptions.LocalSteps"/>.</summary>
    internal bool HasMet => _local is not { Done: > 0 };

    /// <summary>Makes the weights of all ranks their mean, where they are not the same. All must.</summary>
    internal void Meet()
    {
        if (_local is not { Done: > 0 and var steps } local) return;
        (bool whole, bool cleared) = (IsWhole, _cleared);
        IsWhole = _cleared = false; // until all vectors are means
        local.Average();
        FollowWeights(steps);
        (IsWhole, _cleared) = (whole, cleared);
    }

    // What follows from weights that have moved.
    private void FollowWeights(int steps)
    {
        _latent?.Round();
        _average?.Add(StepsDone, _workspace.Workers, steps);
    }

    // The step of a rank by its own gradients; what is wrong with those of one is wrong on all, before anything is changed.
    private double StepAlone(double factor)
    {
        double norm = 0;
        try
        {
            norm = _optimizer.GradientNorm(_gradients.Root, _workspace.Workers);
            _optimizer.RequireRange(_gradients.Root, norm);
        }
        catch (NonFiniteException error)
        {
            _ranks.Failed(error);
        }

        double first = _ranks.Agree(RankTask.Update, word: norm).Word;
        _optimizer.Step(_gradients.Root, factor, _workspace.Workers, norm);
        if (_local!.Step()) Meet();
        else _latent?.Round();
        return first;
    }

    /// <summary>Saves the state with parts of the caller's own.</summary>
    /// <param name="path">The file.</param>
    /// <param name="more">The parts.</param>
    /// <param name="before">Done before the file is written, by the rank that writes it.</param>
    internal void SaveState(string path, IReadOnlyList<(string Name, ITrainingPart Part)> more, Action? before = null)
    {
        using Hold held = _lease.Claim();
        if (!SavesTogether)
        {
            Save();
            return;
        }

        Meet();

        try
        {
            TrainingStateFile.Require(Predict, StepsDone);
            _optimizer.RequireFinite();
        }
        catch (Exception error)
        {
            _ranks.Failed(error);
        }

        _ranks.Agree(RankTask.Saving);
        Action? write = _ranks.Ranks.Rank == 0 ? Save : null;
        if (_optimizer.IsShared) _optimizer.SaveShared(_gradients.Root, write);
        else write?.Invoke();

        void Save()
        {
            before?.Invoke();
            TrainingStateFile.Save(path, Identity(), StepsDone, Options.Steps, Predict, [.. Parts, .. more]);
        }
    }

    /// <summary>Resumes a state with parts of the caller's own.</summary>
    internal void Resume(TrainingStateFile state, bool anyStart, IReadOnlyList<(string Name, ITrainingPart Part)> more)
    {
        using Hold held = _lease.Claim();
        state.Load(Identity(), anyStart, [.. Parts, .. more]);
        _start = state.Start;
        _identity = null;
        _local?.Restart();
        _exchange?.Forget();
    }

    /// <summary>Gives the gradients of a batch at the weights as they are, without dropout, to be looked at.</summary>
    /// <param name="batch">Which batch of the training data.</param>
    /// <param name="look">Looks at them.</param>
    /// <param name="cancel">Ends the step between two blocks.</param>
    internal void LookAtGradients(long batch, Action<ParameterVector<float>> look, CancellationToken cancel)
    {
        using Hold held = _lease.Claim();
        _gradients.Clear();
        _context.Cancel = cancel;
        try
        {
            _batch.Fill(_train, batch);
            int predicted = _batch.Predicted(_batch.Sequences);
            if (predicted == 0) return;
            _batch.LossSum(_batch.Sequences, Model, _context, null, _gradients.Leaf, 1.0 / predicted);
            look(_gradients.Leaf);
        }
        finally
        {
            _context.Cancel = default;
            _gradients.Clear();
        }
    }

    /// <inheritdoc/>
    void ITrainingPart.Save(StateWriter state)
    {
        if (!double.IsNaN(_lastValidation)) state.Add(ValidationKey, _lastValidation);
        if (RateScale != 1) state.Add(RateKey, RateScale);
    }

    /// <inheritdoc/>
    void ITrainingPart.Load(StateReader state)
    {
        double last = state.Fields.OptionalReal(ValidationKey) ?? double.NaN, scale = state.Fields.OptionalReal(RateKey) ?? 1;
        state.Then(() => (_lastValidation, RateScale) = (last, scale));
    }

    // One sequence of the next step.
    private void Predict()
    {
        _batch.Fill(_train, (long)StepsDone * Options.Accumulate);
        _batch.LossSum(1, Model, _context);
    }

    private (string Name, ITrainingPart Part)[] Parts =>
    [
        ("trainer", this), ("weights", (ITrainingPart?)_latent ?? new WeightsPart(Model.Parameters, Trains)), ("optimizer", _optimizer),
        .. _average is { } average ? [("average", average)] : Array.Empty<(string, ITrainingPart)>(),
    ];

    /// <summary>
    /// Sets the model's weights to their average over the last steps, which is what is to be saved and used; without
    /// <see cref="TrainerOptions.AverageHorizon"/> they stay. At the end of a run: further steps would go on from there.
    /// </summary>
    public void ApplyAverage()
    {
        using Hold held = _lease.Claim();
        _average?.Apply();
    }

    /// <summary>A stay in which the model's weights are their average, to be looked at or saved.</summary>
    internal AveragedWeights Averaged() => new(_average);

    private RunIdentity Identity() => _identity ??= new RunIdentity()
        .Add("trainer", nameof(Trainer))
        .Add(Options.Deciding())
        .Add("activations in bf16", Activations.Offload is ActivationOffload.BFloat16)
        .Add("model", RunIdentity.Describe(Model))
        .Add("training data", DataChecksum.Of(_train, Options.BatchSize, Options.Context))
        .Add("validation data", _validation is null ? null : DataChecksum.Of(_validation, Options.BatchSize, Options.Context))
        .Add(RunIdentity.Start, _start);

    // Targets of this rank's micro-batches of a step. From the last to the first, which is then the one to begin with.
    private long CountTargets(long first)
    {
        long predicted = 0, filling = StepProfile.Now(Profile);
        for (int micro = _share.Last - 1; micro >= _share.First; micro--)
        {
            _batch.Fill(_train, first + micro);
            predicted += _batch.Predicted(_batch.Sequences);
        }

        Profile?.Lap(ProfileStage.Data, filling);
        return predicted;
    }

    // The last of what is made: who is refused leaves nothing behind.
    private void RequireSame()
    {
        if (!_ranks.Several) return;
        try
        {
            _ranks.RequireSame([.. RankTalk.Program, (nameof(Options.ShardOptimizer), $"{Options.ShardOptimizer}"), .. Identity().Values]);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <inheritdoc cref="Run(Action{TrainingProgress}?, CancellationToken)"/>
    /// <param name="progress">Told after each step, on the calling thread if it reports there. <see cref="Progress{T}"/> reports elsewhere.</param>
    /// <param name="cancellation">Stops after the step under way.</param>
    public double Run(IProgress<TrainingProgress>? progress, CancellationToken cancellation = default)
    {
        Action<TrainingProgress>? report = progress is null ? null : progress.Report;
        return Run(report, cancellation);
    }

    // What makes the weights of ranks that step by themselves one; null where their gradients become one.
    private LocalSteps? MakeLocal(ParameterVector<float> trained) => !_ranks.Several || Options.LocalSteps == 1 ? null
        : new LocalSteps(_ranks.Ranks, Options.LocalSteps, [trained, .. _optimizer.StateVectors], _gradients, _workspace.Workers);

    // How the gradients of ranks become one.
    private IGradientExchange? MakeExchange() => (_ranks.Several, Options.Sum, Options.Wire) switch
    {
        (false, _, _) => null,
        (_, GradientSum.Engine, _) => new EngineExchange(_ranks.Ranks, _gradients.Root.Length),
        (_, _, GradientWire.BFloat16) => new RoundedExchange(_ranks.Ranks, _shares),
        _ => new GradientExchange(_ranks.Ranks, new SumTree(Options.Accumulate), _shares, gathers: !Options.ShardOptimizer),
    };

    // What a step that failed has left.
    private void Forget()
    {
        _gradients.Clear();
        _exchange?.Forget();
    }

    /// <summary>Bytes that this rank sends to others in a step; 0 in one process.</summary>
    internal long ExchangedBytes => _exchange?.BytesSent ?? _local?.BytesSent ?? 0;

    /// <summary>The same of so many elements.</summary>
    internal long BytesExchanged(long elements)
    {
        VectorShares shares = VectorShares.Even(elements, _ranks.Ranks.Size);
        return _exchange switch
        {
            null when _local is not null => (long)((Int128)ExchangedBytes * elements / Math.Max(1, _gradients.Root.Length)),
            null => 0,
            EngineExchange => EngineExchange.Bytes(_ranks.Ranks.Size, elements),
            RoundedExchange => RoundedExchange.Bytes(_ranks.Ranks.Rank, shares),
            _ => GradientExchange.Bytes(new SumTree(Options.Accumulate), _ranks.Ranks.Rank, shares),
        };
    }

    /// <summary>What the ranks of the training tell each other.</summary>
    internal RankTalk Ranks => _ranks;

    /// <summary>Requires all ranks to be at the same step with the same weights.</summary>
    /// <exception cref="DistributedException">One is not.</exception>
    internal void RequireSameWeights()
    {
        if (_ranks.Several) _ranks.RequireSame([("steps done", StepsDone.ToString(CultureInfo.InvariantCulture)), ("weights", RunMark.HashOf(Model))]);
    }

    // What gradients are exchanged in.
    private long ExchangeBytes => (_ranks.Several, Options.Sum, Options.Wire) switch
    {
        (false, _, _) or (_, GradientSum.Engine, _) => 0,
        _ when Options.LocalSteps > 1 => LocalSteps.BytesOf(_ranks.Ranks.Size, _shares.Length),
        (_, _, GradientWire.BFloat16) => RoundedExchange.BytesOf(_shares),
        _ => GradientExchange.BytesOf(new SumTree(Options.Accumulate), _shares),
    };
}
