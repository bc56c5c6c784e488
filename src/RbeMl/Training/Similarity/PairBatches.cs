using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>Pairs in batches of about one length, in the order of <see cref="EpochOrder"/>; the texts of a pair are neighbours.</summary>
internal sealed class PairBatches
{
    private readonly PairSource _pairs;
    private readonly EpochOrder _order;
    private readonly int[] _tokens, _lengths, _groups;
    private readonly float[] _targets;
    private int _total;

    /// <summary>Prepares batches of at most <paramref name="batch"/> pairs.</summary>
    public PairBatches(PairSource pairs, int batch, int positions, ulong seed)
    {
        _pairs = pairs;
        Batch = Math.Min(batch, Math.Min(pairs.Count, Math.Max(1, Array.MaxLength / 4 / pairs.Longest)));
        _order = new EpochOrder(pairs.Count, Batch, seed, (epoch, place) =>
        {
            GroupedPair pair = pairs.Pair(epoch, place);
            return RaggedBatches.PaddedLength(Math.Max(pair.First.Length, pair.Second.Length), positions);
        });
        _tokens = new int[checked(2 * Batch * pairs.Longest)];
        _lengths = new int[2 * Batch];
        _groups = new int[2 * Batch];
        _targets = new float[Batch];
    }

    /// <summary>Pairs of a batch: no more than there are, or an array holds.</summary>
    public int Batch { get; }

    /// <summary>Batches of an epoch.</summary>
    public int Count => _order.Batches;

    /// <summary>Pairs of the batch that was filled last.</summary>
    public int Filled => _order.Filled;

    /// <summary>Its tokens, one text after the other.</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, _total);

    /// <summary>Lengths of its texts.</summary>
    public ReadOnlySpan<int> Lengths => _lengths.AsSpan(0, 2 * Filled);

    /// <summary>Groups of its texts.</summary>
    public ReadOnlySpan<int> Groups => _groups.AsSpan(0, 2 * Filled);

    /// <summary>Targets of its pairs.</summary>
    public ReadOnlySpan<float> Targets => _targets.AsSpan(0, Filled);

    /// <summary>Fills a batch of an epoch.</summary>
    public void Fill(long epoch, int batch)
    {
        _order.Choose(epoch, batch);
        _total = 0;
        for (int i = 0; i < Filled; i++)
        {
            GroupedPair pair = _pairs.Pair(epoch, _order[i]);
            Add(2 * i, pair.First, pair.FirstGroup);
            Add((2 * i) + 1, pair.Second, pair.SecondGroup);
            _targets[i] = pair.Target;
        }
    }

    private void Add(int text, int[] tokens, int group)
    {
        tokens.CopyTo(_tokens, _total);
        _total += _lengths[text] = tokens.Length;
        _groups[text] = group;
    }
}
