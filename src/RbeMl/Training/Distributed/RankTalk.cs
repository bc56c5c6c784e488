using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Text;
using RbeMl.Numerics;

namespace RbeMl.Training;

/// <summary>What ranks do at a place where they tell each other how they are.</summary>
internal enum RankTask
{
    /// <summary>They begin a step.</summary>
    Step = 1,

    /// <summary>They have the gradients of their micro-batches.</summary>
    Gradients,

    /// <summary>They have looked for gradients that are too large or no numbers, as the norm told of some.</summary>
    Update,

    /// <summary>They save a state that each has a part of.</summary>
    Saving,

    /// <summary>They have the losses of their part of a validation.</summary>
    Validation,

    /// <summary>They compare what they must have in common.</summary>
    Comparison,

    /// <summary>They decide whether to stop.</summary>
    Decision,

    /// <summary>They have done all that there is.</summary>
    Done,

    /// <summary>They end, because one has failed.</summary>
    Leaving,
}

/// <summary>
/// What the ranks of a training agree on besides gradients: how each of them is, and whose word counts. An error of one becomes an error of all at
/// the next such place, so that none waits for one that does not come.
/// </summary>
internal sealed class RankTalk
{
    private const int TextBytes = 2048;
    private readonly ICollective _ranks;
    private readonly State[] _states;
    private readonly int[] _counts;
    private Exception? _failed;

    /// <summary>Prepares it.</summary>
    /// <param name="ranks">The ranks.</param>
    public RankTalk(ICollective ranks)
    {
        (_ranks, _states, _counts) = (ranks, new State[ranks.Size], new int[ranks.Size]);
        Array.Fill(_counts, Unsafe.SizeOf<State>());
    }

    /// <summary>What all ranks must have in common besides a training's own: the build, and vectors of one width, which round alike.</summary>
    public static (string Name, string Value)[] Program =>
    [
        ("program", $"{typeof(RankTalk).Assembly.ManifestModule.ModuleVersionId}"),
        ("width of vectors (DOTNET_EnableAVX512=0 makes it 8, DOTNET_EnableAVX=0 makes it 4)", FormattableString.Invariant($"{Wide.Lanes} floats")),
    ];

    /// <summary>The ranks.</summary>
    public ICollective Ranks => _ranks;

    /// <summary>Whether there are several.</summary>
    public bool Several => _ranks.Size > 1;

    /// <summary>Remembers what failed in this rank, for the next agreement to tell.</summary>
    public void Failed(Exception error) => _failed ??= error;

    /// <summary>Tells all ranks how this one is, and learns how they are.</summary>
    /// <param name="task">What they all do.</param>
    /// <param name="count">A number that is added up over the ranks.</param>
    /// <param name="word">A number of which that of the first rank counts.</param>
    /// <returns>Both.</returns>
    /// <exception cref="OperationCanceledException">That was the error of the first rank that failed.</exception>
    /// <exception cref="NonFiniteException">The same.</exception>
    /// <exception cref="DistributedException">It was another one, or ranks do different things.</exception>
    public (long Count, double Word) Agree(RankTask task, long count = 0, double word = 0)
    {
        if (!Several)
        {
            if (Interlocked.Exchange(ref _failed, null) is { } own) ExceptionDispatchInfo.Throw(own);
            return (count, word);
        }

        Gather(task, count, word);
        long all = 0;
        bool failed = false;
        int other = -1;
        for (int rank = 0; rank < _states.Length; rank++)
        {
            State state = _states[rank];
            all += state.Count;
            failed |= state.Failed != 0;
            if (other < 0 && state.Task != task) other = rank;
        }

        if (failed) ThrowFirst();
        if (other < 0) return (all, _states[0].Word);
        throw new DistributedException(other, $"is at the task {_states[other].Task} while rank {_ranks.Rank} is at {task}. All ranks must make the same calls "
            + "in the same order.");
    }

    /// <summary>
    /// Tells the others of an error that they do not know of, or tells them once more of one that all know: at whatever place a rank is next, it learns of
    /// it. Returns when all ranks are leaving.
    /// </summary>
    /// <param name="error">The error.</param>
    /// <returns>The error of the first rank that failed, by which the training is known to have failed.</returns>
    public Exception Leave(Exception error)
    {
        Exception first = error;
        do
        {
            _failed = error;
            Gather(RankTask.Leaving, 0, 0);
            first = First();
        }
        while (Array.Exists(_states, state => state.Task != RankTask.Leaving));
        return first;
    }

    /// <summary>Whether something is so on any rank.</summary>
    public bool Any(bool here) => Agree(RankTask.Decision, here ? 1 : 0).Count > 0;

    /// <summary>The first rank's number.</summary>
    public double OfFirst(double here) => Agree(RankTask.Decision, word: here).Word;

    /// <summary>Requires what all ranks must have in common.</summary>
    /// <param name="values">By name; the same names on all ranks.</param>
    /// <exception cref="DistributedException">One has something else; rank, name and both values are named.</exception>
    public void RequireSame(IReadOnlyList<(string Name, string Value)> values)
    {
        if (!Several) return;
        Agree(RankTask.Comparison);
        byte[] text = Encoding.UTF8.GetBytes(string.Join('\n', values.Select(value => $"{value.Name}\t{Line(value.Value)}")));
        byte[][] all = Texts(text);
        string[][] first = Fields(all[0]);
        for (int rank = 1; rank < all.Length; rank++)
        {
            if (all[rank].AsSpan().SequenceEqual(all[0])) continue;
            string[][] theirs = Fields(all[rank]);
            int at = Enumerable.Range(0, Math.Max(first.Length, theirs.Length)).First(i => i >= first.Length || i >= theirs.Length
                || !first[i].SequenceEqual(theirs[i]));
            string name = (at < theirs.Length ? theirs[at] : first[at])[0];
            throw new DistributedException(rank, $"{name}: it has {Value(theirs, name)}, rank 0 has {Value(first, name)}. Start all ranks with the same "
                + "program, options, model and data.");
        }

        static string Line(string value) => value.ReplaceLineEndings(" ").Replace('\t', ' ');
        static string[][] Fields(byte[] text) => [.. Encoding.UTF8.GetString(text).Split('\n').Select(line => line.Split('\t'))];
        static string Value(string[][] fields, string name) => fields.FirstOrDefault(field => field[0] == name)?[^1] ?? "none";
    }

    private void Gather(RankTask task, long count, double word)
    {
        _states[_ranks.Rank] = new State { Task = task, Failed = _failed is null ? 0 : 1, Count = count, Word = word };
        _ranks.AllGather(MemoryMarshal.AsBytes(_states.AsSpan()), _counts);
    }

    private void ThrowFirst() => ExceptionDispatchInfo.Throw(First());

    // The error of the first rank that failed becomes that of all; what has a type that callers tell apart keeps it.
    private Exception First()
    {
        Exception? own = Interlocked.Exchange(ref _failed, null);
        byte[] text = own switch
        {
            null => [],
            OperationCanceledException => "c"u8.ToArray(),
            NonFiniteException bad => Encoding.UTF8.GetBytes($"n{bad.Where}\t{bad.Detail}"),
            _ => Encoding.UTF8.GetBytes($"e{own.Message}"),
        };
        byte[][] all = Texts(text.Length > TextBytes ? text[..TextBytes] : text);
        int rank = Array.FindIndex(all, one => one.Length > 0);
        if (rank == _ranks.Rank && own is OperationCanceledException or NonFiniteException) return own;
        string told = Encoding.UTF8.GetString(all[rank].AsSpan(1));
        return all[rank][0] switch
        {
            (byte)'c' => new OperationCanceledException(),
            (byte)'n' => new NonFiniteException(told.Split('\t', 2)[0], told.Split('\t', 2)[^1]),
            _ => new DistributedException(rank, told, rank == _ranks.Rank ? own : null),
        };
    }

    // A text of each rank.
    private byte[][] Texts(byte[] own)
    {
        int[] lengths = new int[_ranks.Size], counts = new int[_ranks.Size];
        Array.Fill(counts, sizeof(int));
        lengths[_ranks.Rank] = own.Length;
        _ranks.AllGather(MemoryMarshal.AsBytes(lengths.AsSpan()), counts);
        byte[] all = new byte[lengths.Sum()];
        own.CopyTo(all, lengths[.._ranks.Rank].Sum());
        _ranks.AllGather(all, lengths);
        int at = 0;
        return [.. lengths.Select(length => all[at..(at += length)])];
    }

    private struct State
    {
        public RankTask Task;
        public int Failed;
        public long Count;
        public double Word;
    }
}
