namespace RbeMl.Tests.Support;

/// <summary>How long a test waits for another process or thread: far beyond what a busy machine needs, so that only a hang reaches it.</summary>
internal static class Patience
{
    public static TimeSpan Limit { get; } = TimeSpan.FromMinutes(10);

    /// <summary>Cancelled when the patience ends.</summary>
    public static CancellationTokenSource Start() => new(Limit);
}
