namespace RbeMl.Memory;

/// <summary>
/// Counts native buffers: all of the process's (<see cref="Process"/>), or those that one thread allocates while a counter of its own is open
/// (<see cref="Open"/>). A buffer stays with the counters it was allocated under, whichever thread frees it.
/// </summary>
internal sealed class MemoryCounter : IDisposable
{
    [ThreadStatic]
    private static MemoryCounter? t_open;

    private readonly MemoryCounter? _outer;
    private long _bytes;
    private long _peak;
    private long _live;
    private long _lost;

    private MemoryCounter(MemoryCounter? outer) => _outer = outer;

    /// <summary>Everything that this process allocated.</summary>
    public static MemoryCounter Process { get; } = new(null);

    /// <summary>Bytes allocated now.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>Most bytes allocated at a time, since the start or <see cref="ResetPeak"/>.</summary>
    public long PeakBytes => Interlocked.Read(ref _peak);

    /// <summary>Buffers allocated now.</summary>
    public long LiveBuffers => Interlocked.Read(ref _live);

    /// <summary>Buffers that nobody disposed and the garbage collector freed.</summary>
    public long LostBuffers => Interlocked.Read(ref _lost);

    /// <summary>Counts what this thread allocates until the counter is disposed; afterwards the figures stay and frees are still counted.</summary>
    public static MemoryCounter Open() => t_open = new MemoryCounter(t_open ?? Process);

    /// <summary>Lets the peak start again from the bytes allocated now.</summary>
    public void ResetPeak() => Interlocked.Exchange(ref _peak, Bytes);

    /// <summary>Stops counting this thread's allocations.</summary>
    public void Dispose()
    {
        if (ReferenceEquals(t_open, this)) t_open = ReferenceEquals(_outer, Process) ? null : _outer;
    }

    /// <summary>Counts a new buffer; the result is to be given to <see cref="Remove"/>.</summary>
    internal static MemoryCounter Add(long bytes)
    {
        MemoryCounter first = t_open ?? Process;
        for (MemoryCounter? counter = first; counter is not null; counter = counter._outer)
        {
            Interlocked.Increment(ref counter._live);
            counter.AddBytes(bytes);
        }

        return first;
    }

    /// <summary>Counts a buffer that was given another size; old and new memory were there together.</summary>
    internal void Resize(long before, long after)
    {
        for (MemoryCounter? counter = this; counter is not null; counter = counter._outer)
        {
            counter.AddBytes(after);
            Interlocked.Add(ref counter._bytes, -before);
        }
    }

    /// <summary>Counts a freed buffer.</summary>
    internal void Remove(long bytes, bool lost)
    {
        for (MemoryCounter? counter = this; counter is not null; counter = counter._outer)
        {
            Interlocked.Add(ref counter._bytes, -bytes);
            Interlocked.Decrement(ref counter._live);
            if (lost) Interlocked.Increment(ref counter._lost);
        }
    }

    private void AddBytes(long bytes)
    {
        long now = Interlocked.Add(ref _bytes, bytes);
        for (long peak = PeakBytes; now > peak;)
        {
            long seen = Interlocked.CompareExchange(ref _peak, now, peak);
            if (seen == peak) break;
            peak = seen;
        }
    }
}
