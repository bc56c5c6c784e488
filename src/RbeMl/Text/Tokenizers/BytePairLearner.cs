using System.Runtime.InteropServices;
using System.Text;

namespace RbeMl.Text;

/// <summary>Learns the merges of <see cref="BytePairTokenizer"/> on the distinct words of a text and their counts.</summary>
internal sealed class BytePairLearner
{
    private readonly List<int[]> _words = [];
    private readonly List<long> _counts = [];
    private readonly Dictionary<long, PairUse> _pairs = [];

    // Largest count first, then the lowest pair. Entries are checked against the true count when they come up.
    private readonly PriorityQueue<long, (long NegativeCount, long Pair)> _queue = new();

    public BytePairLearner(string text)
    {
        Dictionary<string, long> counts = new(StringComparer.Ordinal);
        var lookup = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        WordSplitter splitter = new(text);
        while (splitter.MoveNext()) lookup[splitter.Current] = lookup.TryGetValue(splitter.Current, out long count) ? count + 1 : 1;
        foreach ((string word, long count) in counts.OrderBy(pair => pair.Key, StringComparer.Ordinal))
        {
            _words.Add(Array.ConvertAll(Encoding.UTF8.GetBytes(word), b => (int)b));
            _counts.Add(count);
            Count(_words.Count - 1, 1);
        }

        foreach ((long pair, PairUse use) in _pairs) Queue(pair, use);
    }

    /// <summary>Learns up to <paramref name="limit"/> merges.</summary>
    public List<TokenPair> Learn(int limit)
    {
        List<TokenPair> merges = [];
        int[] lengths = [.. Enumerable.Repeat(1, 256)];
        List<int> tokenLength = [.. lengths];
        long total = 0;
        while (merges.Count < limit && _queue.TryDequeue(out long key, out (long NegativeCount, long Pair) priority))
        {
            PairUse use = _pairs[key];
            if (use.Count != -priority.NegativeCount || use.Count < 2) continue;
            TokenPair pair = new((int)(key >> 32), (int)key);
            int length = tokenLength[pair.Left] + tokenLength[pair.Right];
            if (length > BytePairTokenizer.LongestToken || total + length > TokenBytes.Most(merges.Count)) continue;
            total += length;
            Apply(pair, use, 256 + merges.Count);
            merges.Add(pair);
            tokenLength.Add(length);
        }

        return merges;
    }

    private void Apply(TokenPair pair, PairUse use, int id)
    {
        int[] affected = [.. use.Words];
        HashSet<long> changed = [];
        foreach (int word in affected)
        {
            Count(word, -1, changed);
            int length = BytePairTokenizer.Replace(_words[word], pair, id);
            _words[word] = _words[word][..length];
            Count(word, 1, changed);
        }

        foreach (long key in changed) Queue(key, _pairs[key]);
    }

    private void Count(int word, int sign, HashSet<long>? changed = null)
    {
        int[] tokens = _words[word];
        for (int i = 0; i + 1 < tokens.Length; i++)
        {
            long key = BytePairTokenizer.Key(tokens[i], tokens[i + 1]);
            ref PairUse? use = ref CollectionsMarshal.GetValueRefOrAddDefault(_pairs, key, out _);
            use ??= new PairUse();
            use.Count += sign * _counts[word];
            if (sign > 0) use.Words.Add(word);
            else use.Words.Remove(word);
            changed?.Add(key);
        }
    }

    private void Queue(long key, PairUse use)
    {
        if (use.Count >= 2) _queue.Enqueue(key, (-use.Count, key));
    }

    private sealed class PairUse
    {
        public long Count { get; set; }

        public HashSet<int> Words { get; } = [];
    }
}
