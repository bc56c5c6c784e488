using RbeMl.Memory;

namespace RbeMl.Tests.Memory;

public sealed class WorkerPoolTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Every_item_is_done_once(int threads)
    {
        using WorkerPool workers = new(threads);
        Assert.Equal(threads, workers.Threads);
        foreach (int items in new[] { 0, 1, 2, 3, 4, 5, 100, 1000 })
        {
            Count work = new() { Done = new int[items], Threads = threads };
            workers.For(items, ref work);
            Assert.All(work.Done, n => Assert.Equal(1, n));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void An_error_of_a_body_reaches_the_caller_and_the_team_goes_on(int threads)
    {
        using WorkerPool workers = new(threads);
        for (int round = 0; round < 50; round++)
        {
            Fail failing = new() { Bad = round % 10 };
            Assert.Equal(FormattableString.Invariant($"item {round % 10}"), Assert.Throws<FormatException>(() => workers.For(10, ref failing)).Message);
            Count work = new() { Done = new int[20], Threads = threads };
            workers.For(20, ref work);
            Assert.All(work.Done, n => Assert.Equal(1, n));
        }
    }

    [Theory]
    [InlineData(2)]
    [InlineData(4)]
    public void A_team_is_reused_many_times(int threads)
    {
        // Short pauses let the threads fall asleep in some rounds, so waking is covered as well as spinning.
        using WorkerPool workers = new(threads);
        Count work = new() { Done = new int[8], Threads = threads };
        for (int round = 0; round < 10_000; round++)
        {
            workers.For(8, ref work);
            if (round % 500 == 0) Thread.Sleep(3);
        }

        Assert.All(work.Done, n => Assert.Equal(10_000, n));
    }

    [Fact]
    public void A_loop_within_a_body_runs_on_its_own_thread()
    {
        using WorkerPool workers = new(3);
        Nested work = new() { Team = workers, Done = new int[6 * 5], Workers = new int[6 * 5], Outer = new int[6] };
        workers.For(6, ref work);
        Assert.All(work.Done, n => Assert.Equal(1, n));
        for (int i = 0; i < work.Workers.Length; i++) Assert.Equal(work.Outer[i / 5], work.Workers[i]);
    }

    [Fact]
    public void Callers_on_several_threads_take_turns()
    {
        using WorkerPool workers = new(2);
        int[][] done = [.. Enumerable.Range(0, 4).Select(_ => new int[50])];
        Parallel.ForEach(done, counts =>
        {
            Count work = new() { Done = counts, Threads = 2 };
            for (int round = 0; round < 100; round++) workers.For(counts.Length, ref work);
        });
        Assert.All(done.SelectMany(d => d), n => Assert.Equal(100, n));
    }

    [Fact]
    public void Dispose_ends_the_threads_and_refuses_further_work()
    {
        for (int round = 0; round < 20; round++)
        {
            WorkerPool workers = new(3);
            Count work = new() { Done = new int[5], Threads = 3 };
            if (round % 2 == 0) workers.For(5, ref work);
            workers.Dispose();
            workers.Dispose();
            Assert.Throws<ObjectDisposedException>(() => workers.For(5, ref work));
        }
    }

    [Fact]
    public void A_negative_number_of_threads_is_refused() =>
        Assert.Contains("threads = -1", Assert.Throws<InvalidSettingException>(() => new WorkerPool(-1)).Message, StringComparison.Ordinal);

    private struct Count : IParallelWork
    {
        internal int[] Done;
        internal int Threads;

        public readonly void Execute(int item, int worker)
        {
            Assert.InRange(worker, 0, Threads - 1);
            Interlocked.Increment(ref Done[item]);
        }
    }

    private struct Fail : IParallelWork
    {
        internal int Bad;

        public readonly void Execute(int item, int worker)
        {
            if (item == Bad) throw new FormatException(FormattableString.Invariant($"item {item}"));
        }
    }

    private struct Inner : IParallelWork
    {
        internal Nested Owner;
        internal int Start;

        public readonly void Execute(int item, int worker)
        {
            Interlocked.Increment(ref Owner.Done[Start + item]);
            Owner.Workers[Start + item] = worker;
        }
    }

    private struct Nested : IParallelWork
    {
        internal WorkerPool Team;
        internal int[] Done, Workers, Outer;

        public readonly void Execute(int item, int worker)
        {
            Outer[item] = worker;
            Inner inner = new() { Owner = this, Start = item * 5 };
            Team.For(5, ref inner);
        }
    }

    /// <summary>A body that uses another team is an outside caller there: it sees that team's workers only, and its own index again afterwards.</summary>
    [Fact]
    public void A_body_can_use_another_team()
    {
        using WorkerPool outer = new(3), inner = new(1);
        OtherTeam work = new() { Team = inner, Outer = outer, Workers = new int[60 * 4], Nested = new int[60] };
        outer.For(60, ref work);
        Assert.All(work.Workers, w => Assert.Equal(0, w));
        Assert.All(work.Nested, n => Assert.Equal(1, n));
    }

    private struct OtherTeam : IParallelWork
    {
        internal WorkerPool Team, Outer;
        internal int[] Workers, Nested;

        public readonly void Execute(int item, int worker)
        {
            Record record = new() { Into = Workers, Start = item * 4 };
            Team.For(4, ref record);
            int[] own = [-1];
            Record again = new() { Into = own };
            Outer.For(1, ref again); // nested in its own team: the worker it already is
            Nested[item] = own[0] == worker ? 1 : 0;
        }
    }

    private struct Record : IParallelWork
    {
        internal int[] Into;
        internal int Start;

        public readonly void Execute(int item, int worker) => Into[Start + item] = worker;
    }
}
