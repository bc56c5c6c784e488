using System.IO.Hashing;
using System.Runtime.InteropServices;
using RbeMl.Text;

namespace RbeMl.Training;

/// <summary>The tokens of documents, put together one by one: in memory are their ids, and where there are prompts a mark for each.</summary>
/// <param name="endToken">Id that is put behind each document; null for none.</param>
internal sealed class DocumentTokens(int? endToken)
{
    private const int Part = 1 << 12;
    private readonly List<long> _starts = [0];
    private TokenList? _learnt;

    /// <summary>All ids.</summary>
    public TokenList Ids { get; } = new();

    /// <summary>1 for each id that is learnt, else 0; null where all are.</summary>
    public TokenList? Learnt => _learnt;

    /// <summary>Where each begins, and the end of the last.</summary>
    public long[] Starts => [.. _starts];

    /// <summary>Documents so far.</summary>
    public int Count => _starts.Count - 1;

    /// <summary>Whether a document's first id follows an end token, by which it is predicted.</summary>
    public bool Joined => endToken is not null;

    /// <summary>Adds a document.</summary>
    /// <returns>False for one that has nothing to learn: nothing was added.</returns>
    /// <exception cref="ShapeMismatchException">There are not as many marks as ids.</exception>
    public bool Add(int[] ids, bool[]? learnt = null)
    {
        if (learnt is not null && learnt.Length != ids.Length)
        {
            throw new ShapeMismatchException("learnt", $"{ids.Length} marks like the ids", $"{learnt.Length}", "Give one for each id.");
        }

        bool ends = endToken is not { } end || (ids.Length > 0 && ids[^1] == end);
        if (ids.Length == 0 || (learnt is null ? ids.Length == 1 && ends : !learnt.AsSpan(1).Contains(true))) return false;
        if (learnt is not null && _learnt is null) Fill(_learnt = new TokenList(), Ids.Length, 1);
        Ids.Add(ids);
        if (learnt is null && _learnt is not null) Fill(_learnt, ids.Length, 1);
        else if (learnt is not null) _learnt!.Add([.. learnt.Select(each => each ? 1 : 0)]);
        if (!ends)
        {
            Ids.Add([endToken!.Value]);
            _learnt?.Add([1]);
        }

        _starts.Add(Ids.Length);
        return true;
    }

    /// <summary>Adds a document of many ids.</summary>
    /// <param name="ids">The ids.</param>
    /// <param name="runs">How many ids, one run after the other, are learnt or only read; null where all are learnt.</param>
    /// <returns>False for one that has nothing to learn: nothing was added.</returns>
    public bool Add(TokenList ids, IReadOnlyList<(long Count, bool Learnt)>? runs = null)
    {
        if (ids.Length <= Part) return Add(ids.ToArray(), runs is null ? null : [.. runs.SelectMany(run => Enumerable.Repeat(run.Learnt, (int)run.Count))]);
        if (runs is not null && !LearnsAfterFirst(runs)) return false;
        if (runs is not null && _learnt is null) Fill(_learnt = new TokenList(), Ids.Length, 1);
        int[] part = new int[Part];
        for (long done = 0; done < ids.Length; done += part.Length)
        {
            Span<int> some = part.AsSpan(0, (int)Math.Min(part.Length, ids.Length - done));
            ids.CopyTo(done, some);
            Ids.Add(some);
        }

        foreach ((long count, bool learnt) in runs ?? []) Fill(_learnt!, count, learnt ? 1 : 0);
        if (endToken is { } end && ids[ids.Length - 1] != end) Ids.Add([end]);
        if (_learnt is not null) Fill(_learnt, Ids.Length - _learnt.Length, 1);
        _starts.Add(Ids.Length);
        return true;
    }

    /// <summary>Adds what decides the rows besides ids and starts.</summary>
    public void AddTo(XxHash128 hash, DocumentPacking packing)
    {
        DataChecksum.Add(hash, [(int)packing, endToken ?? -1, _learnt is null ? 0 : 1]);
        if (_learnt is null) return;
        int[] part = new int[Part];
        for (long done = 0; done < _learnt.Length; done += part.Length)
        {
            Span<int> some = part.AsSpan(0, (int)Math.Min(part.Length, _learnt.Length - done));
            _learnt.CopyTo(done, some);
            hash.Append(MemoryMarshal.AsBytes(some));
        }
    }

    private static bool LearnsAfterFirst(IReadOnlyList<(long Count, bool Learnt)> runs)
    {
        long place = 0;
        foreach ((long count, bool learnt) in runs)
        {
            place += count;
            if (learnt && place > 1 && count > 0) return true;
        }

        return false;
    }

    private static void Fill(TokenList marks, long count, int mark)
    {
        int[] some = new int[Math.Min(count, Part)];
        Array.Fill(some, mark);
        for (long done = 0; done < count; done += some.Length) marks.Add(some.AsSpan(0, (int)Math.Min(some.Length, count - done)));
    }
}
