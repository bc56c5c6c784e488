namespace RbeMl.Training;

/// <summary>
/// Ranks that are threads of this process: to try and test what runs on several machines, and to hold a program against its own result on
/// one rank. It is no way to use more processors, which one trainer does by itself and with less memory.
/// </summary>
public sealed unsafe class ThreadCollective
{
    private readonly Member[] _members;
    private readonly nint[] _bytes, _counts; // of each rank in the call that is under way
    private readonly object _gate = new();
    private int _arrived, _meeting;
    private (int Rank, string Reason)? _failed;

    /// <summary>Creates it.</summary>
    /// <param name="size">Ranks, at least 1.</param>
    /// <exception cref="InvalidSettingException">It is less.</exception>
    public ThreadCollective(int size)
    {
        if (size < 1) throw new InvalidSettingException(nameof(size), size, "use at least 1 rank.");
        _members = [.. Enumerable.Range(0, size).Select(rank => new Member(this, rank))];
        (_bytes, _counts) = (new nint[size], new nint[size]);
    }

    /// <summary>Ranks.</summary>
    public int Size => _members.Length;

    /// <summary>What a rank sees.</summary>
    /// <param name="rank">The rank.</param>
    public ICollective this[int rank] => _members[rank];

    /// <summary>
    /// Does the same on all ranks, each on a thread of its own, and returns when all have done it. An error of one ends the others at their next call.
    /// </summary>
    /// <param name="body">Does it, given what its rank sees.</param>
    /// <exception cref="Exception">The error of the rank that failed first.</exception>
    public void Run(Action<ICollective> body)
    {
        ArgumentNullException.ThrowIfNull(body);
        Exception? first = null;
        Thread[] threads = [.. _members.Select(member => new Thread(() =>
        {
            try
            {
                body(member);
            }
            catch (Exception error)
            {
                Interlocked.CompareExchange(ref first, error, null);
                member.Abort(error.Message);
            }
        })
        { Name = $"rbeml-rank-{member.Rank}" })];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        if (first is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(first);
    }

    // All ranks have come into a call; or one has failed, and from then on all fail.
    private void Meet()
    {
        lock (_gate)
        {
            if (_failed is null)
            {
                int meeting = Arrive();
                while (_meeting == meeting && _failed is null) Monitor.Wait(_gate);
                if (_meeting != meeting) return;
            }

            throw new DistributedException(_failed!.Value.Rank, _failed.Value.Reason);
        }
    }

    // All have read what the others lent them. Who came into a call comes here, so that nobody's memory goes before that, whatever has failed.
    private void Part()
    {
        lock (_gate)
        {
            int meeting = Arrive();
            while (_meeting == meeting) Monitor.Wait(_gate);
        }
    }

    // Which meeting this is, that the last to come ends.
    private int Arrive()
    {
        int meeting = _meeting;
        if (++_arrived == Size)
        {
            _arrived = 0;
            _meeting++;
            Monitor.PulseAll(_gate);
        }

        return meeting;
    }

    private void Fail(int rank, string reason)
    {
        lock (_gate)
        {
            _failed ??= (rank, reason);
            Monitor.PulseAll(_gate);
        }
    }

    private sealed class Member(ThreadCollective all, int rank) : ICollective
    {
        public int Rank => rank;

        public int Size => all.Size;

        public string Description => "threads of one process";

        public void AllToAll(ReadOnlySpan<byte> send, ReadOnlySpan<int> sendCounts, Span<byte> receive, ReadOnlySpan<int> receiveCounts)
        {
            RequireRoom(send.Length, sendCounts);
            RequireRoom(receive.Length, receiveCounts);
            fixed (byte* bytes = send)
            fixed (int* counts = sendCounts)
            {
                (all._bytes[rank], all._counts[rank]) = ((nint)bytes, (nint)counts);
                all.Meet();
                int at = 0, wrong = -1;
                for (int from = 0; from < Size; from++)
                {
                    int* theirs = (int*)all._counts[from];
                    long start = 0;
                    for (int to = 0; to < rank; to++) start += theirs[to];
                    if (theirs[rank] != receiveCounts[from]) wrong = from;
                    else new ReadOnlySpan<byte>((byte*)all._bytes[from] + start, theirs[rank]).CopyTo(receive[at..]);
                    at += receiveCounts[from];
                }

                all.Part();
                Require(wrong);
            }
        }

        public void AllGather(Span<byte> parts, ReadOnlySpan<int> counts)
        {
            RequireRoom(parts.Length, counts);
            fixed (byte* bytes = parts)
            fixed (int* own = counts)
            {
                (all._bytes[rank], all._counts[rank]) = ((nint)bytes, (nint)own);
                all.Meet();
                int at = 0, wrong = -1;
                for (int from = 0; from < Size; from++)
                {
                    if (((int*)all._counts[from])[from] != counts[from]) wrong = from;
                    else if (from != rank) new ReadOnlySpan<byte>((byte*)all._bytes[from] + at, counts[from]).CopyTo(parts[at..]);
                    at += counts[from];
                }

                all.Part();
                Require(wrong);
            }
        }

        // In the order of ranks. Each adds up a slice of the values where its own are, which nobody else reads there, and takes the other slices.
        public void AllReduceSum(Span<float> values)
        {
            int length = values.Length, slice = (length + Size - 1) / Size, wrong = -1;
            int first = (int)Math.Min(length, (long)rank * slice), last = Math.Min(length, first + slice);
            fixed (float* own = values)
            {
                (all._bytes[rank], all._counts[rank]) = ((nint)own, (nint)(&length));
                all.Meet();
                for (int from = 0; from < Size; from++) wrong = *(int*)all._counts[from] != length ? from : wrong;
                for (int i = first; wrong < 0 && i < last; i++)
                {
                    float sum = ((float*)all._bytes[0])[i];
                    for (int from = 1; from < Size; from++) sum += ((float*)all._bytes[from])[i];
                    own[i] = sum;
                }

                all.Part();
                for (int from = 0; wrong < 0 && from < Size; from++)
                {
                    int at = (int)Math.Min(length, (long)from * slice), count = Math.Min(slice, length - at);
                    if (from != rank) new ReadOnlySpan<float>((float*)all._bytes[from] + at, count).CopyTo(values[at..]);
                }

                all.Part();
            }

            Require(wrong);
        }

        public void Abort(string reason) => all.Fail(rank, reason);

        // Before anybody is met: what comes after must not fail.
        private void RequireRoom(int bytes, ReadOnlySpan<int> counts)
        {
            long needed = 0;
            bool fits = counts.Length == Size;
            foreach (int count in counts) (needed, fits) = (needed + count, fits && count >= 0);
            if (!fits || needed != bytes)
            {
                throw new ShapeMismatchException("parts", $"{Size} parts in {Amount.Of(bytes, "byte")}", $"{counts.Length} parts of {needed} bytes in all",
                    "Give a number of bytes, 0 or more, for each rank, and exactly as much room.");
            }
        }

        private void Require(int wrong)
        {
            if (wrong < 0) return;
            throw new DistributedException(wrong, $"sends another number of bytes than rank {rank} expects. All ranks must make the same calls "
                + "in the same order.");
        }
    }
}
