using System.Collections.Concurrent;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// Scratch memory rented for one computation and given back, so that many threads may use one model. As many workspaces are kept as there are processors.
/// All pools of a process with the same number of threads share them.
/// </summary>
internal sealed class WorkspacePool : IDisposable
{
    private static readonly ConcurrentDictionary<int, Lazy<WorkerPool>> Pools = [];
    private readonly ConcurrentBag<Workspace<float>> _kept = [];
    private readonly int _threads;
    private volatile bool _disposed;

    /// <summary>Creates an empty pool.</summary>
    /// <param name="threads">Threads of a computation; 0 means one for each processor. No more than four for each are started: no result depends on
    /// them.</param>
    /// <exception cref="InvalidSettingException">They are fewer than 0 or more than <see cref="MostThreads"/>.</exception>
    public WorkspacePool(int threads)
    {
        CheckThreads(threads);
        _threads = threads == 0 ? Environment.ProcessorCount : Math.Min(threads, 4 * Environment.ProcessorCount);
    }

    /// <summary>Threads that may be asked for.</summary>
    public const int MostThreads = 1024;

    /// <summary>The threads of all pools of this number.</summary>
    public WorkerPool Workers => Pools.GetOrAdd(_threads, n => new Lazy<WorkerPool>(() => new WorkerPool(n))).Value;

    /// <summary>Checks a number of threads.</summary>
    /// <exception cref="InvalidSettingException">It is outside 0 .. <see cref="MostThreads"/>.</exception>
    public static void CheckThreads(int threads)
    {
        if (threads is < 0 or > MostThreads)
        {
            throw new InvalidSettingException("Threads", threads, $"use 0 for one thread a processor, or up to {MostThreads}.");
        }
    }

    /// <summary>Takes a workspace; disposing the lease gives it back.</summary>
    public Lease Rent() => new(this, _kept.TryTake(out Workspace<float>? kept) ? kept : new Workspace<float>(Workers));

    /// <summary>Frees the workspaces, those that are rented when they come back.</summary>
    public void Dispose()
    {
        _disposed = true;
        while (_kept.TryTake(out Workspace<float>? kept)) kept.Dispose();
    }

    private void Return(Workspace<float> workspace)
    {
        if (_kept.Count < Environment.ProcessorCount && !_disposed) _kept.Add(workspace);
        else workspace.Dispose();
        if (_disposed) Dispose(); // it may have ended while this one was put back
    }

    /// <summary>A rented workspace.</summary>
    public readonly struct Lease(WorkspacePool pool, Workspace<float> workspace) : IDisposable
    {
        /// <summary>The workspace.</summary>
        public Workspace<float> Workspace => workspace;

        /// <inheritdoc/>
        public void Dispose() => pool.Return(workspace);
    }
}
