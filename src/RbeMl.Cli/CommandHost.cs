namespace RbeMl.Cli;

/// <summary>What a verb sees of the outside world, so that tests can run verbs in-process.</summary>
/// <param name="Out">Results.</param>
/// <param name="Error">One line for each error.</param>
internal sealed record CommandHost(TextWriter Out, TextWriter Error)
{
    /// <summary>Whether <see cref="Out"/> is a terminal that can redraw.</summary>
    public bool Interactive { get; init; }

    /// <summary>Asks the verb to finish its step, save and return <see cref="ExitCode.Cancelled"/>.</summary>
    public CancellationToken Cancel { get; init; }

    /// <summary>Whether errors show their stack trace.</summary>
    public bool Debug { get; init; }
}

/// <summary>Exit codes of the command.</summary>
internal static class ExitCode
{
    public const int Done = 0, Failed = 1, Usage = 2, Cancelled = 130;
}

/// <summary>Options that contradict each other; ends the command with <see cref="ExitCode.Usage"/>.</summary>
internal sealed class UsageException(string message) : Exception(message);
