using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace RbeMl.Extensions.AI.Tests.Support;

/// <summary>Keeps what it is told: name of the event, message, error.</summary>
internal sealed class RecordingLogger<T> : ILogger<T>
{
    private readonly ConcurrentQueue<(string? Event, LogLevel Level, string Message, Exception? Error)> _entries = [];

    public IReadOnlyList<(string? Event, LogLevel Level, string Message, Exception? Error)> Entries => [.. _entries];

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => true;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        _entries.Enqueue((eventId.Name, logLevel, formatter(state, exception), exception));
}
