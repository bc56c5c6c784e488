using System.Runtime.InteropServices;

namespace RbeMl.Cli;

/// <summary>
/// Ends a verb at Ctrl-C, Ctrl-\, TERM, a terminal that goes away, or when nobody reads standard output any more. The verb is asked first,
/// and ends by itself at its next look; one that does not within a moment is ended, unless it has work to save. Files are written as a
/// whole or not at all, so nothing is lost. A second signal ends the process at once.
/// </summary>
internal sealed class Stopping : IDisposable
{
    private const int PatienceMilliseconds = 600;
    private readonly CancellationTokenSource _cancel = new();
    private readonly List<PosixSignalRegistration> _signals = [];
    private Thread? _watch;
    private int _stopped, _told;

    /// <summary>Listens to signals.</summary>
    public Stopping()
    {
        foreach (PosixSignal signal in new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP, PosixSignal.SIGQUIT })
        {
            _signals.Add(PosixSignalRegistration.Create(signal, OnSignal));
        }
    }

    /// <summary>Asks the verb to stop.</summary>
    public CancellationToken Token => _cancel.Token;

    /// <summary>Whether the verb has work that it saves when it is asked to stop: it gets the time for that.</summary>
    public bool HasWork { get; set; }

    /// <summary>Whether nobody reads standard output any more.</summary>
    public bool PipeClosed { get; private set; }

    /// <summary>
    /// Whether the caller may write the one line that says how it ended: true once. A verb that ends while the watch writes the line waits for it,
    /// since the process would end before the line is out.
    /// </summary>
    public bool MayTell()
    {
        if (Interlocked.Exchange(ref _told, 1) == 0) return true;
        if (Volatile.Read(ref _watch) is { } watch && watch != Thread.CurrentThread) watch.Join();
        return false;
    }

    /// <summary>Notices when the reader of standard output goes away, though nothing is written.</summary>
    public void WatchOutput() => new Thread(() =>
    {
        if (StandardOutput.WaitForClosedPipe()) OnPipeClosed();
    })
    { IsBackground = true, Name = "standard output" }.Start();

    /// <summary>Stops because nobody reads any more.</summary>
    public void OnPipeClosed()
    {
        PipeClosed = true;
        Stop(ExitCode.PipeClosed, "");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PosixSignalRegistration signal in _signals) signal.Dispose();
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = !_cancel.IsCancellationRequested || PipeClosed;
        Stop(ExitCode.Cancelled, "rbeml: cancelled before there was anything to save.");
    }

    private void Stop(int code, string message)
    {
        if (Interlocked.Exchange(ref _stopped, 1) != 0) return;
        Thread watch = new(() =>
        {
            Thread.Sleep(PatienceMilliseconds);
            if (HasWork || !MayTell()) return;
            if (message.Length > 0) new ForgivingWriter(Console.Error).WriteLine(message);
            Environment.Exit(code);
        })
        { IsBackground = true, Name = "stopping" };
        Volatile.Write(ref _watch, watch);
        watch.Start();
        _cancel.Cancel();
    }
}
