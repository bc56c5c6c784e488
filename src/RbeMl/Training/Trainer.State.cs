using RbeMl.Memory;

namespace RbeMl.Training;

/// <content>The state of a run in a file.</content>
public sealed partial class Trainer
{
    private const string ValidationKey = "validation";
    private string _start; // hash of the weights before the first step
    private RunIdentity? _identity;

    /// <summary>
    /// Saves all that the run needs to go on, as a whole or not at all: weights, the optimiser's state and the step. Order of data, dropout and
    /// schedule follow from the step.
    /// </summary>
    /// <param name="path">The file; an earlier state is replaced.</param>
    /// <exception cref="RbeFileException">The file cannot be written; what was there before is as it was.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite; nothing is written.</exception>
    public void SaveState(string path) => SaveState(path, []);

    /// <summary>
    /// Goes on where <see cref="SaveState(string)"/> was called: the remaining steps give the bits that they would have given then, for any
    /// number of threads. The trainer is made as it was then: of the same model before its first step, the same data and settings.
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

    /// <summary>Bytes of a state's vectors.</summary>
    internal long StateBytes => Model.Parameters.TrainableCount * sizeof(float) * (1 + StateVectors);

    /// <summary>Vectors of the weights' size that the run remembers: the optimiser's, and the average.</summary>
    internal int StateVectors => Optimizer.StateVectors.Count + (_average is null ? 0 : 1);

    /// <summary>Saves the state with parts of the caller's own.</summary>
    internal void SaveState(string path, IReadOnlyList<(string Name, ITrainingPart Part)> more)
    {
        using Hold held = _lease.Claim();
        TrainingStateFile.Save(path, Identity(), StepsDone, Options.Steps, [.. Parts, .. more]);
    }

    /// <summary>Resumes a state with parts of the caller's own.</summary>
    internal void Resume(TrainingStateFile state, bool anyStart, IReadOnlyList<(string Name, ITrainingPart Part)> more)
    {
        using Hold held = _lease.Claim();
        state.Load(Identity(), anyStart, [.. Parts, .. more]);
        _start = state.Start;
        _identity = null;
    }

    /// <inheritdoc/>
    void ITrainingPart.Save(StateWriter state)
    {
        if (!double.IsNaN(_lastValidation)) state.Add(ValidationKey, _lastValidation);
    }

    /// <inheritdoc/>
    void ITrainingPart.Load(StateReader state)
    {
        double last = state.Fields.OptionalReal(ValidationKey) ?? double.NaN;
        state.Then(() => _lastValidation = last);
    }

    private (string Name, ITrainingPart Part)[] Parts =>
    [
        ("trainer", this), ("weights", (ITrainingPart?)_latent ?? new WeightsPart(Model.Parameters)), ("optimizer", _optimizer),
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
}
