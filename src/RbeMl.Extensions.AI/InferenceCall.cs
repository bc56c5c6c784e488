using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;

namespace RbeMl.Extensions.AI;

/// <summary>
/// One call of a client or generator, measured by the semantic conventions for generative AI on the meter <see cref="Name"/> and told to
/// the logger when it ends. No text is recorded.
/// </summary>
/// <param name="operation"><c>chat</c> or <c>embeddings</c>.</param>
/// <param name="model">What the model is called.</param>
/// <param name="logger">Hears of the end.</param>
internal sealed class InferenceCall(string operation, string model, ILogger logger) : IDisposable
{
    /// <summary>Name of the meter: that of training too.</summary>
    public const string Name = "RbeMl";

    /// <summary>The provider's name in metadata and measurements.</summary>
    public const string Provider = "rbeml";

    /// <summary>Histogram of the calls' wall time, in seconds.</summary>
    public const string Duration = "gen_ai.client.operation.duration";

    /// <summary>Histogram of the calls' tokens, input and output apart.</summary>
    public const string Usage = "gen_ai.client.token.usage";

    private static readonly Meter s_meter = new(Name);

    // The buckets that the conventions advise.
    private static readonly Histogram<double> s_duration = s_meter.CreateHistogram(Duration, "s", "GenAI operation duration.",
        advice: new InstrumentAdvice<double> { HistogramBucketBoundaries = [.. Enumerable.Range(0, 14).Select(i => 0.01 * (1 << i))] });

    private static readonly Histogram<int> s_usage = s_meter.CreateHistogram(Usage, "{token}", "Number of input and output tokens used.",
        advice: new InstrumentAdvice<int> { HistogramBucketBoundaries = [.. Enumerable.Range(0, 14).Select(i => 1 << (2 * i))] });

    private readonly long _started = Stopwatch.GetTimestamp();
    private Exception? _error;

    /// <summary>Tokens that the model read.</summary>
    public int InputTokens { get; set; }

    /// <summary>Tokens that it wrote.</summary>
    public int OutputTokens { get; set; }

    /// <summary>A model's name from its path: the file without its ending, or the folder.</summary>
    public static string NameOf(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        return Directory.Exists(full) ? Path.GetFileName(full) : Path.GetFileNameWithoutExtension(full); // a folder's name may have a dot: v1.5
    }

    /// <summary>The error for a call that names a model which this one is not.</summary>
    public static InvalidSettingException OtherModel(string asked, string model) =>
        new("ModelId", asked, $"the model here is {model}. Leave it out, or use the client of the other model.");

    /// <summary>Does a part of the call; its error is the call's.</summary>
    public T Watch<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (Exception error)
        {
            _error = error;
            throw;
        }
    }

    /// <summary>Waits for a part of the call; its error is the call's.</summary>
    public async ValueTask<T> Watch<T>(ValueTask<T> work)
    {
        try
        {
            return await work.ConfigureAwait(false);
        }
        catch (Exception error)
        {
            _error = error;
            throw;
        }
    }

    /// <summary>Measures and tells.</summary>
    public void Dispose()
    {
        TimeSpan elapsed = Stopwatch.GetElapsedTime(_started);
        TagList tags = new()
        {
            { "gen_ai.operation.name", operation },
            { "gen_ai.provider.name", Provider },
            { "gen_ai.request.model", model },
            { "gen_ai.response.model", model },
        };
        if (InputTokens > 0) Count("input", InputTokens, tags);
        if (OutputTokens > 0) Count("output", OutputTokens, tags);
        if (_error is not null) tags.Add("error.type", _error.GetType().FullName);
        s_duration.Record(elapsed.TotalSeconds, tags);
        switch (_error)
        {
            case null:
                logger.Completed(operation, model, InputTokens, OutputTokens, elapsed.TotalMilliseconds);
                break;
            case OperationCanceledException:
                logger.Cancelled(operation, model, OutputTokens, elapsed.TotalMilliseconds);
                break;
            default:
                logger.Failed(_error, operation, model, elapsed.TotalMilliseconds);
                break;
        }
    }

    private static void Count(string kind, int tokens, TagList tags)
    {
        tags.Add("gen_ai.token.type", kind); // a copy: the caller's has it not
        s_usage.Record(tokens, tags);
    }
}
