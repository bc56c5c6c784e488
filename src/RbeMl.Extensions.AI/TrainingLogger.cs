using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace RbeMl.Extensions.AI;

/// <summary>What a logger hears of one run: begin, steps, validations, end. Steps allocate nothing where nobody listens.</summary>
/// <param name="logger">The logger; null for none.</param>
/// <param name="trainer">Name of the trainer's class.</param>
/// <param name="done">Steps done before.</param>
/// <param name="steps">Steps in all.</param>
internal sealed class TrainingLogger(ILogger? logger, string trainer, int done, int steps)
{
    private const int Parts = 10;
    private readonly ILogger _logger = logger ?? NullLogger.Instance;
    private int _done = done;

    /// <summary>Runs it.</summary>
    /// <param name="run">Gives its result, the steps done, and whether it was cancelled.</param>
    public T Run<T>(Func<(T Result, int Steps, bool Cancelled)> run)
    {
        long started = Stopwatch.GetTimestamp();
        int before = _done;
        _logger.Started(trainer, steps, before);
        try
        {
            (T result, int last, bool cancelled) = run();
            if (cancelled) _logger.Cancelled(trainer, last, steps, Seconds(started));
            else _logger.Completed(trainer, last, Seconds(started));
            return result;
        }
        catch (OperationCanceledException)
        {
            _logger.Cancelled(trainer, _done, steps, Seconds(started));
            throw;
        }
        catch (Exception error)
        {
            _logger.Failed(error, trainer, _done, steps, Seconds(started));
            throw;
        }
    }

    /// <summary>A step is done.</summary>
    /// <param name="step">Which, from 1.</param>
    /// <param name="loss">Its mean loss.</param>
    /// <param name="rate">Its learning rate.</param>
    /// <param name="norm">Its gradient's norm before clipping.</param>
    /// <param name="speed">Units a second.</param>
    /// <param name="unit">What is counted.</param>
    public void Step(int step, double loss, double rate, double norm, double speed, string unit)
    {
        if (step > _done + 1) _logger.Resumed(trainer, step - 1);
        bool tenth = (long)Parts * step / steps > (long)Parts * (step - 1) / steps;
        _done = step;
        LogLevel level = tenth ? LogLevel.Information : LogLevel.Debug;
        if (_logger.IsEnabled(level)) _logger.Step(level, step, steps, loss, rate, norm, speed, unit);
    }

    /// <summary>A validation is done.</summary>
    public void Validated(int step, double loss) => _logger.Validated(step, steps, loss);

    /// <summary>A validation of a classifier is done.</summary>
    public void Validated(int step, double loss, double accuracy)
    {
        if (_logger.IsEnabled(LogLevel.Information)) _logger.ValidatedRight(step, steps, loss, accuracy.ToString("P1", CultureInfo.InvariantCulture));
    }

    private static double Seconds(long started) => Stopwatch.GetElapsedTime(started).TotalSeconds;
}

/// <summary>The events of <see cref="TrainingLogger"/>; their numbers follow those of <see cref="InferenceLog"/>.</summary>
internal static partial class TrainingLog
{
    [LoggerMessage(11, LogLevel.Information, "{Trainer} begins: {Steps} steps, {Done} of them done.", EventName = "RbeTrainingStarted")]
    public static partial void Started(this ILogger logger, string trainer, int steps, int done);

    [LoggerMessage(12, LogLevel.Information, "{Trainer} goes on from its state after step {Step}.", EventName = "RbeTrainingResumed")]
    public static partial void Resumed(this ILogger logger, string trainer, int step);

    [LoggerMessage(EventId = 13, EventName = "RbeTrainingStep",
        Message = "Step {Step} of {Steps}: loss {Loss:F4}, learning rate {LearningRate:G3}, gradient norm {GradientNorm:G3}, {Speed:F0} {Unit}/s.")]
    public static partial void Step(this ILogger logger, LogLevel level, int step, int steps, double loss, double learningRate,
        double gradientNorm, double speed, string unit);

    [LoggerMessage(14, LogLevel.Information, "Step {Step} of {Steps}: validation loss {ValidationLoss:F4}.", EventName = "RbeTrainingValidated")]
    public static partial void Validated(this ILogger logger, int step, int steps, double validationLoss);

    [LoggerMessage(15, LogLevel.Information, "Step {Step} of {Steps}: validation loss {ValidationLoss:F4}, accuracy {ValidationAccuracy}.",
        EventName = "RbeClassifierValidated")]
    public static partial void ValidatedRight(this ILogger logger, int step, int steps, double validationLoss, string validationAccuracy);

    [LoggerMessage(16, LogLevel.Information, "{Trainer} is done after step {Step} and {Seconds:F1} s.", EventName = "RbeTrainingCompleted")]
    public static partial void Completed(this ILogger logger, string trainer, int step, double seconds);

    [LoggerMessage(17, LogLevel.Warning, "{Trainer} was cancelled after step {Step} of {Steps} and {Seconds:F1} s.",
        EventName = "RbeTrainingCancelled")]
    public static partial void Cancelled(this ILogger logger, string trainer, int step, int steps, double seconds);

    [LoggerMessage(18, LogLevel.Error, "{Trainer} failed after step {Step} of {Steps} and {Seconds:F1} s.", EventName = "RbeTrainingFailed")]
    public static partial void Failed(this ILogger logger, Exception error, string trainer, int step, int steps, double seconds);
}
