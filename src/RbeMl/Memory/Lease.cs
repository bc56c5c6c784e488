namespace RbeMl.Memory;

/// <summary>An object whose memory is freed when it has been disposed and no call is inside it any more.</summary>
internal interface ILeased
{
    /// <summary>Frees the memory; called once.</summary>
    void Free();
}

/// <summary>
/// Counts the calls inside an object that owns native memory: disposing it while another thread is in the middle of a call frees the
/// memory when that call leaves, and later calls are refused. Each public call takes it once, kernels never do. What holds the state of
/// one call at a time (a workspace, a context, a cache) is claimed, so that a second call is refused; what is only read (weights) is shared.
/// </summary>
internal sealed class Lease(ILeased owner)
{
    // Added to the number of calls by Dispose.
    private const int Disposed = 1 << 30;
    private int _state;

    /// <summary>Calls inside now.</summary>
    public int Calls => Volatile.Read(ref _state) & (Disposed - 1);

    /// <summary>Enters beside any number of others.</summary>
    /// <exception cref="ObjectDisposedException">The object was disposed.</exception>
    public Hold Share()
    {
        for (int state = Volatile.Read(ref _state); ;)
        {
            RequireAlive(state);
            int seen = Interlocked.CompareExchange(ref _state, state + 1, state);
            if (seen == state) return new Hold(this);
            state = seen;
        }
    }

    /// <summary>Enters alone.</summary>
    /// <exception cref="ObjectDisposedException">The object was disposed.</exception>
    /// <exception cref="ConcurrentUseException">A call is inside already.</exception>
    public Hold Claim()
    {
        int state = Interlocked.CompareExchange(ref _state, 1, 0);
        if (state == 0) return new Hold(this);
        RequireAlive(state);
        throw new ConcurrentUseException(NameOf(owner));
    }

    /// <summary>Refuses new calls; the memory is freed now, or by the last call that leaves. Once is enough.</summary>
    public void Dispose()
    {
        if (Interlocked.Or(ref _state, Disposed) == 0) owner.Free();
    }

    internal void Leave()
    {
        if (Interlocked.Decrement(ref _state) == Disposed) owner.Free();
    }

    private static string NameOf(object value) => value.GetType().Name.Split('`')[0];

    private void RequireAlive(int state)
    {
        if (state >= Disposed) throw new ObjectDisposedException(NameOf(owner));
    }
}

/// <summary>A call's stay in an object; leaves when disposed. It also keeps the object from being collected.</summary>
internal readonly struct Hold(Lease lease) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose() => lease?.Leave();
}
