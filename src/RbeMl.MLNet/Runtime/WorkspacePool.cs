using System.Collections.Concurrent;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.MLNet.Runtime;

/// <summary>
/// Scratch memory of a transformer, rented for one computation and given back. ML.NET's prediction engines never dispose their rows, so scratch must
/// belong to no row. As many workspaces are kept as there are processors. All transformers of a process share the threads.
/// </summary>
internal sealed class WorkspacePool
{
    private static readonly ConcurrentDictionary<int, Lazy<WorkerPool>> Pools = [];
    private readonly ConcurrentBag<Workspace<float>> _kept = [];
    private readonly int _threads;

    /// <summary>Creates an empty pool.</summary>
    /// <param name="threads">Threads of a computation; 0 means one for each processor. No more than <see cref="RunLimits.MostThreads"/> are started.</param>
    /// <exception cref="InvalidSettingException">They are fewer than 0 or more than <see cref="RunLimits.Threads"/>.</exception>
    public WorkspacePool(int threads)
    {
        RunLimits.CheckThreads(threads);
        _threads = threads == 0 ? Environment.ProcessorCount : Math.Min(threads, RunLimits.MostThreads);
    }

    /// <summary>The threads of all pools of this number.</summary>
    public WorkerPool Workers => Pools.GetOrAdd(_threads, n => new Lazy<WorkerPool>(() => new WorkerPool(n))).Value;

    /// <summary>Takes a workspace; disposing the lease gives it back.</summary>
    public Lease Rent() => new(this, _kept.TryTake(out Workspace<float>? kept) ? kept : new Workspace<float>(Workers));

    private void Return(Workspace<float> workspace)
    {
        if (_kept.Count < Environment.ProcessorCount) _kept.Add(workspace);
        else workspace.Dispose();
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
