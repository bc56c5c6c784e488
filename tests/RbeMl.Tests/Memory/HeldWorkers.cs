using RbeMl.Memory;

namespace RbeMl.Tests.Memory;

/// <summary>A team of two whose threads can be held, so that a call that works on it stops in its middle, at its first loop, until they are let go.</summary>
internal sealed class HeldWorkers : IDisposable
{
    public WorkerPool Team { get; } = new(2);

    /// <summary>
    /// Starts the call on another thread, waits until it is inside, does <paramref name="meanwhile"/>, lets the call end, and gives its
    /// result or error.
    /// </summary>
    /// <param name="busy">Of something that the call claims.</param>
    /// <param name="call">The call.</param>
    /// <param name="meanwhile">What is done in its middle.</param>
    public T InTheMiddle<T>(Lease busy, Func<T> call, Action meanwhile)
    {
        using ManualResetEventSlim held = new(), released = new();
        Task holder = Task.Factory.StartNew(
            () =>
            {
                Hold work = new() { Held = held, Released = released };
                Team.For(2, ref work);
            },
            TaskCreationOptions.LongRunning);
        held.Wait();
        Task<T> caller = Task.Factory.StartNew(call, TaskCreationOptions.LongRunning);
        try
        {
            SpinWait spin = default;
            while (busy.Calls == 0 && !caller.IsCompleted) spin.SpinOnce();
            Assert.False(caller.IsCompleted, "the call ended without a loop on the team");
            meanwhile();
        }
        finally
        {
            released.Set();
        }

        holder.GetAwaiter().GetResult();
        return caller.GetAwaiter().GetResult();
    }

    public void Dispose() => Team.Dispose();

    private struct Hold : IParallelWork
    {
        internal ManualResetEventSlim Held, Released;

        public readonly void Execute(int item, int worker)
        {
            Held.Set();
            Released.Wait();
        }
    }
}
