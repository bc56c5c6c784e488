using RbeMl.MLNet.Training;
using RbeMl.Training;

namespace RbeMl.MLNet.Classification;

/// <summary>Passes the steps of a training on, and adds them up to epochs.</summary>
internal sealed class ClassificationProgress(TrainingLog log, int stepsPerEpoch, IProgress<ClassifierProgress>? listener) : IProgress<ClassifierProgress>
{
    private readonly List<EpochSummary> _epochs = [];
    private double _sum;
    private long _examples;

    /// <summary>The epochs so far; the last may have been cut short.</summary>
    public IReadOnlyList<EpochSummary> Epochs() => _examples > 0 ? [.. _epochs, new EpochSummary(_sum / _examples)] : _epochs;

    public void Report(ClassifierProgress value)
    {
        _sum += value.Loss * value.Examples; // the last batch of an epoch may be a short one
        _examples += value.Examples;
        log.Step(value.Step, value.Steps, value.Loss);
        if (value.Step % stepsPerEpoch == 0) Close(value);
        listener?.Report(value);
    }

    private void Close(ClassifierProgress last)
    {
        _epochs.Add(new EpochSummary(_sum / _examples, last.ValidationLoss, last.ValidationAccuracy));
        log.Epoch(last.Epoch, last.Epochs, _epochs[^1]);
        (_sum, _examples) = (0, 0);
    }
}
