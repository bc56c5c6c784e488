using Microsoft.Extensions.Logging;

namespace RbeMl.Extensions.AI;

/// <summary>What loggers hear: names, counts and times, never texts.</summary>
internal static partial class InferenceLog
{
    [LoggerMessage(1, LogLevel.Information, "Loaded {Path} as {Model}.", EventName = "RbeModelLoaded")]
    public static partial void Loaded(this ILogger logger, string path, string model);

    [LoggerMessage(2, LogLevel.Debug, "{Operation} of {Model}: {InputTokens} tokens in, {OutputTokens} out, {Milliseconds:F1} ms.",
        EventName = "RbeCallCompleted")]
    public static partial void Completed(
        this ILogger logger, string operation, string model, int inputTokens, int outputTokens, double milliseconds);

    [LoggerMessage(3, LogLevel.Debug, "{Operation} of {Model} was cancelled after {OutputTokens} tokens and {Milliseconds:F1} ms.",
        EventName = "RbeCallCancelled")]
    public static partial void Cancelled(this ILogger logger, string operation, string model, int outputTokens, double milliseconds);

    [LoggerMessage(4, LogLevel.Warning, "{Operation} of {Model} failed after {Milliseconds:F1} ms.", EventName = "RbeCallFailed")]
    public static partial void Failed(this ILogger logger, Exception error, string operation, string model, double milliseconds);
}
