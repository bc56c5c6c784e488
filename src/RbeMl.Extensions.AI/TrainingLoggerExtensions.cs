using Microsoft.Extensions.Logging;
using RbeMl.Training;

namespace RbeMl.Extensions.AI;

/// <summary>
/// Runs trainings that a logger hears: where they begin, each tenth of them, validations, how they end, and at debug level each step. The figures are
/// those of the reports; texts are none of them.
/// </summary>
public static class TrainingLoggerExtensions
{
    /// <summary>As <see cref="Trainer.Run(IProgress{TrainingProgress}?, CancellationToken)"/>, and a logger hears of it.</summary>
    /// <param name="trainer">The trainer.</param>
    /// <param name="progress">Told after each step, on the calling thread if it reports there.</param>
    /// <param name="logger">The logger; null for none.</param>
    /// <param name="cancellation">Stops after the step under way.</param>
    /// <returns>The last validation loss; NaN without a validation source.</returns>
    /// <exception cref="OperationCanceledException">Cancelled; the model holds the steps done so far.</exception>
    public static double Run(
        this Trainer trainer, IProgress<TrainingProgress>? progress, ILogger? logger, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(trainer);
        TrainingLogger log = new(logger, nameof(Trainer), trainer.StepsDone, trainer.Options.Steps);
        return log.Run(() =>
        {
            double loss = trainer.Run(Report, cancellation);
            return (loss, trainer.StepsDone, false);
        });

        void Report(TrainingProgress step)
        {
            log.Step(step.Step, step.Loss, step.LearningRate, step.GradientNorm, step.TokensPerSecond, "tokens");
            if (step.ValidationLoss is { } loss) log.Validated(step.Step, loss);
            progress?.Report(step);
        }
    }

    /// <summary>As <see cref="ClassifierTrainer.Run"/>, and a logger hears of it.</summary>
    /// <inheritdoc cref="Run(Trainer, IProgress{TrainingProgress}?, ILogger?, CancellationToken)" path="/param"/>
    /// <returns>How it ended.</returns>
    /// <exception cref="OperationCanceledException">Cancelled, and <see cref="SequenceTrainerOptions.OnCancel"/> says so.</exception>
    public static ClassifierResult Run(
        this ClassifierTrainer trainer, IProgress<ClassifierProgress>? progress, ILogger? logger, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(trainer);
        TrainingLogger log = new(logger, nameof(ClassifierTrainer), trainer.StepsDone, trainer.Steps);
        return log.Run(() =>
        {
            ClassifierResult result = trainer.Run(new Sink<ClassifierProgress>(Report), cancellation);
            return (result, result.Steps, result.Cancelled);
        });

        void Report(ClassifierProgress step)
        {
            log.Step(step.Step, step.Loss, step.LearningRate, step.GradientNorm, step.ExamplesPerSecond, "examples");
            if (step is { ValidationLoss: { } loss, ValidationAccuracy: { } accuracy }) log.Validated(step.Step, loss, accuracy);
            progress?.Report(step);
        }
    }

    /// <summary>As <see cref="SimilarityTrainer.Run"/>, and a logger hears of it.</summary>
    /// <inheritdoc cref="Run(Trainer, IProgress{TrainingProgress}?, ILogger?, CancellationToken)" path="/param"/>
    /// <returns>How it ended.</returns>
    /// <exception cref="OperationCanceledException">Cancelled, and <see cref="SequenceTrainerOptions.OnCancel"/> says so.</exception>
    public static SimilarityResult Run(
        this SimilarityTrainer trainer, IProgress<SimilarityProgress>? progress, ILogger? logger, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(trainer);
        TrainingLogger log = new(logger, nameof(SimilarityTrainer), trainer.StepsDone, trainer.Steps);
        return log.Run(() =>
        {
            SimilarityResult result = trainer.Run(new Sink<SimilarityProgress>(Report), cancellation);
            return (result, result.Steps, result.Cancelled);
        });

        void Report(SimilarityProgress step)
        {
            log.Step(step.Step, step.Loss, step.LearningRate, step.GradientNorm, step.PairsPerSecond, "pairs");
            progress?.Report(step);
        }
    }

    // On the calling thread, unlike Progress<T>.
    private sealed class Sink<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
