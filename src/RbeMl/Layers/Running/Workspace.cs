using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// The threads and the scratch memory of one caller: a scratch area for each thread, and panels that live for the length of a call. Layers hold
/// no state, so one model serves several callers, each with its own workspace; a second call at the same time is refused. Memory is kept from call to call.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class Workspace<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly NativeBuffer<T>?[] _scratch;
    private readonly Dictionary<string, Panel<T>> _panels = [];
    private readonly bool _ownsTeam;
    private readonly List<IWorkspaceState> _states = [];
    private readonly GrowableBuffer<int> _ids = new();
    private readonly PaddingMask<T> _padding = new();

    /// <summary>Creates a workspace.</summary>
    /// <param name="threads">Threads of a pool made for it; 0 means one for each processor.</param>
    public Workspace(int threads = 0)
        : this(new WorkerPool(threads)) => _ownsTeam = true;

    /// <summary>Creates a workspace on a pool that others may share.</summary>
    public Workspace(WorkerPool workers)
    {
        ArgumentNullException.ThrowIfNull(workers);
        Workers = workers;
        Lease = new Lease(this);
        _scratch = new NativeBuffer<T>?[workers.Threads];
    }

    /// <summary>The threads.</summary>
    public WorkerPool Workers { get; }

    internal Lease Lease { get; }

    /// <summary>Where the stages of the calls are added up; null measures nothing.</summary>
    internal StepProfile? Profile { get; set; }

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes =>
        ScratchBytes + _panels.Values.Sum(p => p.AllocatedBytes) + _states.Sum(s => s.AllocatedBytes) + _ids.AllocatedBytes
            + _padding.AllocatedBytes;

    /// <summary>Those of the threads' scratch.</summary>
    public long ScratchBytes => _scratch.Sum(b => b?.AllocatedBytes ?? 0);

    /// <summary>Makes every thread's scratch at least that large. Call it before the parallel loop that uses it.</summary>
    internal void EnsureScratch(long elements)
    {
        for (int worker = 0; worker < _scratch.Length; worker++)
        {
            if (_scratch[worker] is { } buffer && buffer.Length >= elements) continue;
            _scratch[worker]?.Dispose();
            _scratch[worker] = new NativeBuffer<T>(elements);
        }
    }

    /// <summary>Scratch of one thread; contents are whatever the last use left.</summary>
    internal ScratchArea<T> Scratch(int worker) => new(_scratch[worker] is { } b ? b.Pointer : null, _scratch[worker]?.Length ?? 0);

    /// <summary>The panel of that name; give it a shape with <see cref="Panel{T}.Reshape"/>.</summary>
    internal Panel<T> Panel(string name)
    {
        if (!_panels.TryGetValue(name, out Panel<T>? panel)) _panels[name] = panel = new Panel<T>();
        return panel;
    }

    /// <summary>A copy of a caller's ids, valid until the next: what is checked must not change before it is used.</summary>
    internal ReadOnlySpan<int> Own(ReadOnlySpan<int> ids)
    {
        Span<int> own = new(_ids.Ensure(ids.Length), ids.Length);
        ids.CopyTo(own);
        return own;
    }

    /// <summary>The mask of a call's padded sequences.</summary>
    internal PaddingMask<T> Padding => _padding;

    /// <summary>The state object of a kind of call; calls of one workspace run one after the other.</summary>
    internal TState State<TState>()
        where TState : class, IWorkspaceState, new()
    {
        foreach (IWorkspaceState state in _states) if (state is TState kept) return kept;
        TState made = new();
        _states.Add(made);
        return made;
    }

    /// <summary>Ends the threads made for it and frees the memory, after the call that is using it.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        foreach (IWorkspaceState state in _states) state.Dispose();
        _ids.Dispose();
        _padding.Dispose();
        foreach (NativeBuffer<T>? buffer in _scratch) buffer?.Dispose();
        foreach (Panel<T> panel in _panels.Values) panel.Dispose();
        if (_ownsTeam) Workers.Dispose();
    }
}

/// <summary>What a workspace keeps from call to call of one kind, memory included.</summary>
internal interface IWorkspaceState : IDisposable
{
    /// <summary>Bytes of native memory held.</summary>
    long AllocatedBytes { get; }
}

/// <summary>A bump allocator over a thread's scratch; pieces are 64-byte aligned.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal unsafe struct ScratchArea<T>
    where T : unmanaged
{
    private readonly T* _start;
    private readonly long _length;
    private long _used;

    internal ScratchArea(T* start, long length)
    {
        _start = start;
        _length = length;
    }

    /// <summary>Elements that a piece of that length takes.</summary>
    public static long Size(long elements) => (elements + 15) / 16 * 16;

    /// <summary>Takes the next piece.</summary>
    public T* Take(long elements)
    {
        long next = _used + Size(elements);
        if (next > _length)
        {
            throw new InvalidOperationException(
                $"Scratch of {_length} elements is too small: {next} are needed. Call EnsureScratch with the layer's size first.");
        }

        T* piece = _start + _used;
        _used = next;
        return piece;
    }
}
