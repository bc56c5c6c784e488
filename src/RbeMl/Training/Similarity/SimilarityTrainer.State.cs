using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Training;

/// <content>The state of a run in a file.</content>
public sealed partial class SimilarityTrainer
{
    private const string LossKey = "loss", SumKey = "sum", PairsKey = "pairs";
    private readonly string _start; // hash of the weights before the first step
    private RunIdentity? _identity;

    /// <inheritdoc cref="Trainer.SaveState(string)"/>
    public void SaveState(string path)
    {
        using Hold held = _lease.Claim();
        TrainingStateFile.Save(path, Identity(), StepsDone, Steps, Predict, Parts);
    }

    /// <inheritdoc cref="Trainer.Resume(string)"/>
    public void Resume(string path)
    {
        using Hold held = _lease.Claim();
        using TrainingStateFile state = TrainingStateFile.Open(path);
        state.Load(Identity(), anyStart: false, Parts);
    }

    /// <inheritdoc/>
    void ITrainingPart.Save(StateWriter state)
    {
        if (!double.IsNaN(_last)) state.Add(LossKey, _last);
        state.Add(SumKey, _sum.Loss);
        state.Add(PairsKey, (double)_sum.Pairs);
    }

    /// <inheritdoc/>
    void ITrainingPart.Load(StateReader state)
    {
        double last = state.Fields.OptionalReal(LossKey) ?? double.NaN, sum = state.Fields.Real(SumKey);
        long pairs = (long)Math.Clamp(state.Fields.Real(PairsKey), 0, long.MaxValue / 2);
        state.Then(() => (_last, _sum) = (last, (sum, pairs)));
    }

    // The next step's batch: pairs depend on each other.
    private void Predict()
    {
        (int epoch, int batch) = Math.DivRem(StepsDone, _pairs.Count);
        _pairs.Fill(epoch, batch);
        _step.Loss(_pairs.Tokens, _pairs.Lengths, _pairs.Groups, _pairs.Targets, _least);
    }

    private long StateBytes =>
        (_gradients.TrainableCount * sizeof(float) * (1 + _optimizer.StateVectors.Count + (_average is null ? 0 : 1))) + Options.CodedStateBytes(Model);

    private (string Name, ITrainingPart Part)[] Parts =>
    [
        ("trainer", this), ("weights", new WeightsPart(Model.Parameters, Trains)), ("optimizer", _optimizer),
        .. _average is { } average ? [("average", average)] : Array.Empty<(string, ITrainingPart)>(),
    ];

    private bool Trains(ParameterSlice slice) => Options.Trains(slice, Model.Config);

    private RunIdentity Identity() => _identity ??= new RunIdentity()
        .Add("trainer", nameof(SimilarityTrainer))
        .Add(nameof(Options.Loss), Options.Loss)
        .Add(nameof(Options.Temperature), Options.Temperature)
        .Add(nameof(Options.Pooling), Options.Pooling)
        .Add(Options.Deciding(_schedule, _least))
        .Add("model", RunIdentity.Describe(Model))
        .Add("training data", _source.Checksum())
        .Add(RunIdentity.Start, _start);
}
