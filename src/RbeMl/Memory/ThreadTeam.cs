using System.Runtime.CompilerServices;

namespace RbeMl.Memory;

/// <summary>The body of a parallel loop. A struct, so that running one allocates nothing.</summary>
public interface IParallelWork
{
    /// <summary>Does item <paramref name="item"/>; <paramref name="worker"/> is the index of the thread, for its own scratch.</summary>
    void Execute(int item, int worker);
}

/// <summary>
/// A fixed number of threads that run loops over independent items. Which thread takes which item is not defined, so bodies must not
/// let their results depend on it: that is what makes results the same, bit for bit, for any number of threads.
/// </summary>
public sealed unsafe class ThreadTeam : IDisposable
{
    private const int SpinRounds = 2000;
    private readonly Thread[] _threads;
    private readonly SemaphoreSlim _wake = new(0);
    private readonly object _gate = new();
    private delegate*<void*, int, int, void> _body;
    private void* _work;
    private int _items;
    private int _next;
    private int _running;
    private int _generation;
    private int _sleeping;
    private volatile bool _stopping;
    private Exception? _error;

    /// <summary>Creates a team.</summary>
    /// <param name="threads">Number of threads, the caller's included; 0 means one for each processor.</param>
    public ThreadTeam(int threads = 0)
    {
        if (threads < 0) throw new InvalidSettingException("threads", threads, "use 0 for one thread a processor, or a positive number.");
        Threads = threads == 0 ? Environment.ProcessorCount : threads;
        _threads = new Thread[Threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            int worker = i + 1;
            _threads[i] = new Thread(() => Loop(worker)) { IsBackground = true, Name = $"rbeml-{worker}" };
            _threads[i].Start();
        }
    }

    /// <summary>Number of threads, the caller's included.</summary>
    public int Threads { get; }

    /// <summary>Runs items 0 .. <paramref name="items"/> - 1 and returns when all are done.</summary>
    /// <exception cref="Exception">The first error of a body.</exception>
    public void For<TWork>(int items, ref TWork work)
        where TWork : struct, IParallelWork
    {
        if (Threads == 1 || items <= 1)
        {
            for (int i = 0; i < items; i++) work.Execute(i, 0);
            return;
        }

        lock (_gate)
        {
            _error = null;
            _body = &Invoke<TWork>;
            _work = Unsafe.AsPointer(ref work);
            _items = items;
            _next = 0;
            Volatile.Write(ref _running, Threads - 1);
            Interlocked.Increment(ref _generation);
            int sleeping = Volatile.Read(ref _sleeping);
            if (sleeping > 0) _wake.Release(sleeping);
            Drain(0);
            SpinWait spin = default;
            while (Volatile.Read(ref _running) > 0) spin.SpinOnce(sleep1Threshold: -1);
            _work = null;
            if (_error is { } error) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping = true;
        _wake.Release(Math.Max(1, _threads.Length));
        foreach (Thread thread in _threads) thread.Join();
        _wake.Dispose();
    }

    private static void Invoke<TWork>(void* work, int item, int worker)
        where TWork : struct, IParallelWork => Unsafe.AsRef<TWork>(work).Execute(item, worker);

    private void Drain(int worker)
    {
        try
        {
            for (int i = Interlocked.Increment(ref _next) - 1; i < _items; i = Interlocked.Increment(ref _next) - 1) _body(_work, i, worker);
        }
        catch (Exception error)
        {
            Interlocked.CompareExchange(ref _error, error, null);
            Volatile.Write(ref _next, _items);
        }
    }

    private void Loop(int worker)
    {
        int seen = 0;
        while (true)
        {
            for (int i = 0; i < SpinRounds && Volatile.Read(ref _generation) == seen && !_stopping; i++) Thread.SpinWait(20);
            while (Volatile.Read(ref _generation) == seen && !_stopping)
            {
                Interlocked.Increment(ref _sleeping);
                if (Volatile.Read(ref _generation) == seen && !_stopping) _wake.Wait();
                Interlocked.Decrement(ref _sleeping);
            }

            if (_stopping) return;
            seen++;
            Drain(worker);
            Interlocked.Decrement(ref _running);
        }
    }
}
