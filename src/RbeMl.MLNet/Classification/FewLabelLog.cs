using RbeMl.MLNet.Training;
using RbeMl.Training;

namespace RbeMl.MLNet.Classification;

/// <summary>Passes the steps of a training on few labels on, and adds them up to epochs.</summary>
internal sealed class FewLabelLog(TrainingLog log, IProgress<ClassifierProgress>? listener) : IProgress<FewLabelProgress>
{
    private ClassificationProgress? _stage;

    /// <summary>The epochs of the fine-tuning or the contrastive stage.</summary>
    public IReadOnlyList<EpochSummary> Epochs() => _stage?.Epochs() ?? [];

    public void Report(FewLabelProgress value)
    {
        if (value.Stage == FewLabelStage.Head)
        {
            if (value.Report.ValidationAccuracy is { } share)
            {
                log.Say($"Head on the untrained embeddings, cross-validated: accuracy {100 * share:F1} %, log-loss {value.Report.Loss:F4}");
            }

            return;
        }

        _stage ??= new ClassificationProgress(log, value.StepsPerEpoch, listener);
        _stage.Report(value.Report);
    }
}
