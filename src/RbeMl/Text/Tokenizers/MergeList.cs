namespace RbeMl.Text;

/// <summary>The tokens of a piece of text as a linked list, with its mergeable pairs in a queue: merging n tokens takes n log n steps.</summary>
/// <param name="tokens">The tokens; used up.</param>
internal readonly ref struct MergeList(int[] tokens)
{
    private const int Gone = -1;
    private readonly int[] _tokens = tokens;
    private readonly int[] _next = Neighbours(tokens.Length, 1);
    private readonly int[] _previous = Neighbours(tokens.Length, -1);
    private readonly PriorityQueue<int, (int Rank, int Place)> _queue = new(tokens.Length);

    /// <summary>Merges the pairs of the earliest merge from left to right, then those of the next, until none applies.</summary>
    /// <param name="merges">The merges.</param>
    /// <param name="rankOf">Their index by pair.</param>
    /// <returns>What is left.</returns>
    public int[] Merge(IReadOnlyList<TokenMerge> merges, Dictionary<long, int> rankOf)
    {
        for (int place = 0; place + 1 < _tokens.Length; place++) Queue(place, rankOf);
        List<int> batch = [], merged = [];
        while (_queue.TryPeek(out _, out (int Rank, int Place) first))
        {
            // A merge may make a pair of an earlier one: all of this one go first.
            batch.Clear();
            merged.Clear();
            while (_queue.TryPeek(out int place, out (int Rank, int Place) key) && key.Rank == first.Rank)
            {
                _queue.Dequeue();
                batch.Add(place);
            }

            foreach (int place in batch)
            {
                if (Apply(place, merges[first.Rank])) merged.Add(place);
            }

            foreach (int place in merged)
            {
                if (_previous[place] >= 0) Queue(_previous[place], rankOf);
                Queue(place, rankOf);
            }
        }

        return [.. _tokens.Where(token => token != Gone)];
    }

    // What was queued may have been merged since.
    private bool Apply(int place, TokenMerge merge)
    {
        int right = _next[place];
        if (_tokens[place] != merge.Left || right >= _tokens.Length || _tokens[right] != merge.Right) return false;
        _tokens[place] = merge.Result;
        _tokens[right] = Gone;
        _next[place] = _next[right];
        if (_next[place] < _tokens.Length) _previous[_next[place]] = place;
        return true;
    }

    private void Queue(int place, Dictionary<long, int> rankOf)
    {
        int right = _next[place];
        if (right < _tokens.Length && rankOf.TryGetValue(BytePairTokenizer.Key(_tokens[place], _tokens[right]), out int rank))
        {
            _queue.Enqueue(place, (rank, place));
        }
    }

    private static int[] Neighbours(int count, int step)
    {
        int[] places = new int[count];
        for (int i = 0; i < count; i++) places[i] = i + step;
        return places;
    }
}
