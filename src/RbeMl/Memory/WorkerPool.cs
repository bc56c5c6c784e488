using System.Runtime.CompilerServices;

namespace RbeMl.Memory;

/// <summary>The body of a parallel loop. A struct, so that running one allocates nothing.</summary>
internal interface IParallelWork
{
    /// <summary>Does item <paramref name="item"/>; <paramref name="worker"/> is the index of the thread, for its own scratch.</summary>
    void Execute(int item, int worker);
}

/// <summary>
/// A fixed number of threads that run loops over independent items. Which thread takes which item is not defined, so bodies must not
/// let their results depend on it: that is what makes results the same, bit for bit, for any number of threads. The threads end when the
/// pool is disposed, or collected without that.
/// </summary>
public sealed unsafe class WorkerPool : IDisposable
{
    // The loop whose body this thread runs, and the worker it is there; a body may use other teams as an outside caller.
    [ThreadStatic]
    private static Loop? t_loop;

    [ThreadStatic]
    private static int t_worker;

    private readonly Thread[] _threads;
    private readonly Loop _loop = new();

    /// <summary>Creates a pool.</summary>
    /// <param name="threads">Number of threads, the caller's included; 0 means one for each processor.</param>
    public WorkerPool(int threads = 0)
    {
        if (threads < 0) throw new InvalidSettingException("threads", threads, "use 0 for one thread a processor, or a positive number.");
        Threads = threads == 0 ? Environment.ProcessorCount : threads;
        _threads = new Thread[Threads - 1];
        for (int i = 0; i < _threads.Length; i++)
        {
            // A thread holds the loop and never the pool, which can therefore be collected while its threads wait.
            (Loop loop, int worker) = (_loop, i + 1);
            _threads[i] = new Thread(() => loop.Serve(worker)) { IsBackground = true, Name = $"rbeml-{worker}" };
            _threads[i].Start();
        }
    }

    /// <summary>Ends the threads of a pool that nobody disposed.</summary>
    ~WorkerPool() => _loop?.Stop();

    /// <summary>Number of threads, the caller's included.</summary>
    public int Threads { get; }

    /// <summary>
    /// Runs items 0 .. <paramref name="items"/> - 1 and returns when all are done. Called from within a body it runs them one after the other on the thread
    /// that is there. After an error no further items are started.
    /// </summary>
    /// <exception cref="Exception">The first error of a body.</exception>
    /// <exception cref="ObjectDisposedException">The pool was disposed.</exception>
    internal void For<TWork>(int items, ref TWork work)
        where TWork : struct, IParallelWork
    {
        ObjectDisposedException.ThrowIf(_loop.IsStopping, this);
        bool nested = ReferenceEquals(t_loop, _loop);
        if (Threads == 1 || items <= 1 || nested)
        {
            int worker = nested ? t_worker : 0;
            for (int i = 0; i < items; i++) work.Execute(i, worker);
            return;
        }

        _loop.Run(this, items, ref work);
        GC.KeepAlive(this);
    }

    /// <summary>Ends the threads: after the loop that is under way, or, called from within its body, without waiting for it.</summary>
    public void Dispose()
    {
        bool inside = ReferenceEquals(t_loop, _loop);
        if (inside) _loop.Stop();
        else _loop.StopAfterRun();
        GC.SuppressFinalize(this);
        if (inside) return;
        foreach (Thread thread in _threads) thread.Join();
    }

    /// <summary>What the threads share: the loop under way, and whether they are to end.</summary>
    private sealed class Loop
    {
        private const int SpinRounds = 2000;

        // Added to _inside while no loop is open to the other threads.
        private const int Closed = 1 << 30;
        private readonly object _gate = new();
        private readonly object _wake = new();
        private delegate*<void*, int, int, void> _body;
        private void* _work;
        private int _items;
        private int _next;
        private int _inside = Closed;
        private int _generation;
        private int _sleeping;
        private volatile bool _stopping;
        private Exception? _error;

        public bool IsStopping => _stopping;

        public void Run<TWork>(WorkerPool workers, int items, ref TWork work)
            where TWork : struct, IParallelWork
        {
            // The other threads reach the body by its address, so it must not be moved if it is part of an object.
            lock (_gate)
                fixed (byte* address = &Unsafe.As<TWork, byte>(ref work))
                {
                    ObjectDisposedException.ThrowIf(_stopping, workers);
                    _error = null;
                    _body = &Invoke<TWork>;
                    _work = address;
                    _items = items;
                    _next = 0;
                    Volatile.Write(ref _inside, 0);
                    Interlocked.Increment(ref _generation);
                    if (Volatile.Read(ref _sleeping) > 0)
                    {
                        lock (_wake) Monitor.PulseAll(_wake);
                    }

                    Drain(0);

                    // Waits for the threads at work only: one that comes late finds the loop closed, so an overloaded machine does not hold it up.
                    Interlocked.Add(ref _inside, Closed);
                    SpinWait spin = default;
                    while (Volatile.Read(ref _inside) != Closed) spin.SpinOnce(sleep1Threshold: -1);
                    _work = null;
                    if (_error is { } error)
                    {
                        _error = null; // what it holds may hold the pool
                        System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(error);
                    }
                }
        }

        public void Stop()
        {
            _stopping = true;
            lock (_wake) Monitor.PulseAll(_wake);
        }

        public void StopAfterRun()
        {
            lock (_gate) Stop();
        }

        public void Serve(int worker)
        {
            int seen = 0;
            while (true)
            {
                for (int i = 0; i < SpinRounds && Volatile.Read(ref _generation) == seen && !_stopping; i++) Thread.SpinWait(20);
                if (Volatile.Read(ref _generation) == seen && !_stopping) Sleep(seen);
                if (_stopping) return;
                seen = Volatile.Read(ref _generation);
                if (!Enter()) continue;
                Drain(worker);
                Interlocked.Decrement(ref _inside);
            }
        }

        private static void Invoke<TWork>(void* work, int item, int worker)
            where TWork : struct, IParallelWork => Unsafe.AsRef<TWork>(work).Execute(item, worker);

        private void Drain(int worker)
        {
            (Loop? loop, int outer) = (t_loop, t_worker);
            (t_loop, t_worker) = (this, worker);
            try
            {
                for (int i = Interlocked.Increment(ref _next) - 1; i < _items; i = Interlocked.Increment(ref _next) - 1) _body(_work, i, worker);
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref _error, error, null);
                Volatile.Write(ref _next, _items);
            }
            finally
            {
                (t_loop, t_worker) = (loop, outer);
            }
        }

        private bool Enter()
        {
            int inside = Volatile.Read(ref _inside);
            while (inside < Closed)
            {
                int found = Interlocked.CompareExchange(ref _inside, inside + 1, inside);
                if (found == inside) return true;
                inside = found;
            }

            return false;
        }

        // Counting itself as asleep before it looks at the generation, while the caller counts the generation before it looks for sleepers,
        // a thread cannot miss its call; all sleepers are woken together, so none can take another's call.
        private void Sleep(int seen)
        {
            lock (_wake)
            {
                Interlocked.Increment(ref _sleeping);
                while (Volatile.Read(ref _generation) == seen && !_stopping) Monitor.Wait(_wake);
                Interlocked.Decrement(ref _sleeping);
            }
        }
    }
}
