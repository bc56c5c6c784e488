using System.Diagnostics;
using Microsoft.ML.Runtime;

namespace RbeMl.MLNet.Training;

/// <summary>
/// Tells ML.NET how a training goes: messages, which reach <c>MLContext.Log</c>, at its beginning, after every epoch and every few seconds in between; and a
/// progress channel for hosts that listen to one.
/// </summary>
internal sealed class TrainingLog : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);
    private readonly IChannel _channel;
    private readonly IProgressChannel _progress;
    private long _told = Stopwatch.GetTimestamp();
    private double _step, _steps = double.NaN, _loss = double.NaN;

    public TrainingLog(IHost host)
    {
        _channel = host.Start("Training");
        _progress = host.StartProgressChannel("Training");
        _progress.SetHeader(new ProgressHeader(["Loss"], ["steps"]), entry =>
        {
            entry.SetProgress(0, _step, _steps);
            entry.SetMetric(0, _loss);
        });
    }

    /// <summary>Says something.</summary>
    public void Say(FormattableString message) => _channel.Info(MessageSensitivity.None, "{0}", FormattableString.Invariant(message));

    /// <summary>Says that something is not as it should be.</summary>
    public void Warn(FormattableString message) => _channel.Warning(MessageSensitivity.None, "{0}", FormattableString.Invariant(message));

    /// <summary>Tells of a step.</summary>
    public void Step(int step, int steps, double loss)
    {
        (_step, _steps, _loss) = (step, steps, loss);
        if (Stopwatch.GetElapsedTime(_told) < Interval) return;
        _told = Stopwatch.GetTimestamp();
        Say($"Step {step} of {steps}: loss {loss:F4}");
    }

    /// <summary>Tells of an epoch's end.</summary>
    public void Epoch(int epoch, int epochs, EpochSummary summary)
    {
        string validation = summary.ValidationLoss is { } loss ? FormattableString.Invariant($", validation loss {loss:F4}") : "";
        string accuracy = summary.ValidationAccuracy is { } share ? FormattableString.Invariant($", accuracy {share:P1}") : "";
        Say($"Epoch {epoch} of {epochs}: loss {summary.Loss:F4}{validation}{accuracy}");
        _progress.Checkpoint(summary.Loss, _step);
        _told = Stopwatch.GetTimestamp();
    }

    public void Dispose()
    {
        _progress.Dispose();
        _channel.Dispose();
    }
}
