using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace RbeMl.Training;

/// <summary>
/// What training tells listeners of <see cref="System.Diagnostics"/>, such as OpenTelemetry: a meter and an activity source, both named
/// <see cref="Name"/>. Without a listener a step pays a few branches.
/// </summary>
internal static class TrainingTelemetry
{
    /// <summary>Name of the meter and of the activity source.</summary>
    public const string Name = "RbeMl";

    /// <summary>Counter of trained tokens: those that were predicted, without padding.</summary>
    public const string Tokens = "rbeml.training.tokens";

    /// <summary>Histogram of the steps' wall time, in seconds.</summary>
    public const string StepDuration = "rbeml.training.step.duration";

    /// <summary>Gauge of the last step's mean loss, in nats a token.</summary>
    public const string Loss = "rbeml.training.loss";

    /// <summary>Gauge of the last validation's mean loss, in nats a token.</summary>
    public const string ValidationLoss = "rbeml.training.validation.loss";

    /// <summary>Gauge of the last step's gradient norm, before clipping.</summary>
    public const string GradientNorm = "rbeml.training.gradient.norm";

    /// <summary>Gauge of the last step's learning rate.</summary>
    public const string LearningRate = "rbeml.training.learning_rate";

    /// <summary>Activity of one step; its tag <see cref="StepTag"/> holds the step's number.</summary>
    public const string StepActivity = "rbeml.training.step";

    /// <summary>Tag of the step's number, counted from 1.</summary>
    public const string StepTag = "rbeml.training.step.number";

    private static readonly Meter s_meter = new(Name);
    private static readonly ActivitySource s_source = new(Name);
    private static readonly Counter<long> s_tokens = s_meter.CreateCounter<long>(Tokens, "{token}", "Tokens trained on.");
    private static readonly Histogram<double> s_duration = s_meter.CreateHistogram<double>(StepDuration, "s", "Wall time of an optimiser step.");
    private static readonly Gauge<double> s_loss = s_meter.CreateGauge<double>(Loss, "nat", "Mean loss of the step's batch.");

    private static readonly Gauge<double> s_validation = s_meter.CreateGauge<double>(ValidationLoss, "nat", "Mean loss of the last validation.");
    private static readonly Gauge<double> s_norm = s_meter.CreateGauge<double>(GradientNorm, null, "Norm of the step's gradient before clipping.");
    private static readonly Gauge<double> s_rate = s_meter.CreateGauge<double>(LearningRate, null, "Learning rate of the step.");

    /// <summary>An activity if somebody listens.</summary>
    internal static Activity? StartStep(int step)
    {
        if (!s_source.HasListeners()) return null;
        Activity? activity = s_source.StartActivity(StepActivity);
        activity?.SetTag(StepTag, step);
        return activity;
    }

    /// <summary>Measurements of a step that is done.</summary>
    internal static void EndStep(long tokens, double seconds, double loss, double norm, double rate)
    {
        s_norm.Record(norm);
        s_rate.Record(rate);
        s_tokens.Add(tokens);
        s_duration.Record(seconds);
        s_loss.Record(loss);
    }

    /// <summary>Measurement of a validation that is done.</summary>
    internal static void EndValidation(double loss) => s_validation.Record(loss);
}
