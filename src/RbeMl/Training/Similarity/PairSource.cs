namespace RbeMl.Training;

/// <summary>A pair as a step takes it.</summary>
/// <param name="First">Ids.</param>
/// <param name="Second">Ids.</param>
/// <param name="Target">The cosine wanted.</param>
/// <param name="FirstGroup">Partners of the first are the texts of this group.</param>
/// <param name="SecondGroup">The same of the second.</param>
internal readonly record struct GroupedPair(int[] First, int[] Second, float Target, int FirstGroup, int SecondGroup);

/// <summary>Where pairs come from: each epoch may pair anew.</summary>
internal abstract class PairSource
{
    /// <summary>Pairs of an epoch.</summary>
    public abstract int Count { get; }

    /// <summary>Tokens of the longest text.</summary>
    public abstract int Longest { get; }

    /// <summary>A pair, a function of its place and the epoch.</summary>
    public abstract GroupedPair Pair(long epoch, int place);

    /// <summary>What there is to learn, in words that differ where it does.</summary>
    public string Checksum() => DataChecksum.Of("text", [.. Enumerable.Range(0, Count).Select(place => Pair(0, place)).SelectMany(pair =>
        ((int[], int)[])[(pair.First, pair.FirstGroup ^ BitConverter.SingleToInt32Bits(pair.Target)), (pair.Second, pair.SecondGroup)])]);
}

/// <summary>Pairs that are given. Each is a group of its own.</summary>
internal sealed class GivenPairs(IReadOnlyList<SimilarityPair> pairs) : PairSource
{
    public override int Count => pairs.Count;

    public override int Longest { get; } = pairs.Count == 0 ? 1 : pairs.Max(p => Math.Max(p.First.Length, p.Second.Length));

    public override GroupedPair Pair(long epoch, int place)
    {
        SimilarityPair pair = pairs[place];
        return new GroupedPair(pair.First, pair.Second, pair.Similarity, place, place);
    }
}

/// <summary>
/// Pairs of labelled texts, drawn anew every epoch: each text with one of its label (with itself where its label has no other), for the cosine loss
/// also with one of another label, whose cosine should be 0.
/// </summary>
internal sealed class LabelPairs : PairSource
{
    private const ulong Same = 0x5A3E, Different = 0xD1FF;
    private readonly IReadOnlyList<ClassifierExample> _examples;
    private readonly int[] _rank; // of an example among those of its label
    private readonly int[][] _ofLabel;
    private readonly bool _different;
    private readonly ulong _seed;

    /// <summary>Prepares pairs.</summary>
    /// <param name="examples">The examples, of at least two labels.</param>
    /// <param name="different">Whether pairs of different labels are wanted too.</param>
    /// <param name="seed">Seed.</param>
    public LabelPairs(IReadOnlyList<ClassifierExample> examples, bool different, ulong seed)
    {
        (_examples, _different, _seed) = (examples, different, seed);
        List<int>[] places = [.. Enumerable.Range(0, examples.Max(e => e.Label) + 1).Select(_ => new List<int>())];
        _rank = new int[examples.Count];
        for (int i = 0; i < examples.Count; i++)
        {
            _rank[i] = places[examples[i].Label].Count;
            places[examples[i].Label].Add(i);
        }

        _ofLabel = [.. places.Select(p => p.ToArray())];
        Longest = examples.Max(e => e.Tokens.Length);
    }

    public override int Count => _examples.Count * (_different ? 2 : 1);

    public override int Longest { get; }

    public override GroupedPair Pair(long epoch, int place)
    {
        (int i, bool different) = _different ? (place / 2, place % 2 == 1) : (place, false);
        int j = different ? OfAnother(epoch, i) : OfSame(epoch, i);
        ClassifierExample first = _examples[i], second = _examples[j];
        return new GroupedPair(first.Tokens, second.Tokens, different ? 0 : 1, first.Label, second.Label);
    }

    private int OfSame(long epoch, int i)
    {
        int[] own = _ofLabel[_examples[i].Label];
        return own.Length == 1 ? i : own[(_rank[i] + 1 + (int)Draw(Same, epoch, i, own.Length - 1)) % own.Length];
    }

    private int OfAnother(long epoch, int i)
    {
        int[] own = _ofLabel[_examples[i].Label];
        int pick = (int)Draw(Different, epoch, i, _examples.Count - own.Length);

        // The pick-th example that is not of its label.
        foreach (int[] others in _ofLabel)
        {
            if (ReferenceEquals(others, own)) continue;
            if (pick < others.Length) return others[pick];
            pick -= others.Length;
        }

        throw new InvalidOperationException("There is one label only.");
    }

    private long Draw(ulong what, long epoch, int i, int count) => TokenShuffle.Uniform(_seed ^ (what << 32) ^ (ulong)epoch, i, count);
}
