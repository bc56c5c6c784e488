using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// Examples in batches of about one length. Each epoch has an order of its own: examples are shuffled, sorted by padded length within windows of some
/// batches, and the batches of a window shuffled again. Every example comes once an epoch.
/// </summary>
internal sealed class ExampleBatches
{
    // Batches of a window: enough lengths to sort, few enough that the order stays random.
    private const int Window = 32;

    // Epoch numbers of other permutations of the same seed.
    private const uint BatchOrder = 1u << 31;

    // In place of an epoch: by length, then by place.
    private const long Sorted = long.MaxValue;

    private readonly IReadOnlyList<ClassifierExample> _examples;
    private readonly int _positions;
    private readonly ulong _seed;
    private readonly long[] _order;
    private readonly int[] _tokens, _lengths, _labels;
    private long _epoch = -1;

    /// <summary>Prepares batches of at most <paramref name="batch"/> examples.</summary>
    public ExampleBatches(IReadOnlyList<ClassifierExample> examples, int batch, int positions, ulong seed)
    {
        (_examples, _positions, _seed) = (examples, positions, seed);
        _order = new long[examples.Count];
        Longest = examples.Max(e => e.Tokens.Length);
        Batch = Math.Min(batch, Math.Min(examples.Count, Math.Max(1, Array.MaxLength / 2 / Longest)));
        _tokens = new int[checked(Batch * Longest)];
        _lengths = new int[Batch];
        _labels = new int[_lengths.Length];
    }

    /// <summary>B: no more than there are examples, or an array holds.</summary>
    public int Batch { get; }

    /// <summary>Tokens of the longest example.</summary>
    public int Longest { get; }

    /// <summary>Examples.</summary>
    public int Examples => _order.Length;

    /// <summary>Batches of an epoch.</summary>
    public int Count => ((_order.Length - 1) / Batch) + 1;

    /// <summary>Examples of the batch that was filled last.</summary>
    public int Filled { get; private set; }

    /// <summary>Its tokens, one example after the other.</summary>
    public ReadOnlySpan<int> Tokens => _tokens.AsSpan(0, Total);

    /// <summary>Its lengths.</summary>
    public ReadOnlySpan<int> Lengths => _lengths.AsSpan(0, Filled);

    /// <summary>Its labels.</summary>
    public ReadOnlySpan<int> Labels => _labels.AsSpan(0, Filled);

    private int Total { get; set; }

    /// <summary>Fills a batch of a shuffled epoch.</summary>
    public void Fill(long epoch, int batch)
    {
        if (epoch != _epoch) Shuffle(epoch);
        int window = batch / Window * Window, batches = Math.Min(Window, Count - window);

        // The last batch of all may be short, so it stays where it is.
        int movable = window + batches == Count && Examples % Batch != 0 ? batches - 1 : batches, place = batch - window;
        if (place < movable) place = (int)TokenShuffle.Permute(_seed ^ (ulong)window, BatchOrder | (uint)epoch, place, movable);
        Gather(window + place);
    }

    /// <summary>Fills a batch of all examples in the order of their lengths.</summary>
    public void FillSorted(int batch)
    {
        if (_epoch != Sorted)
        {
            for (int i = 0; i < _order.Length; i++) _order[i] = Key(i, i);
            Array.Sort(_order);
            _epoch = Sorted;
        }

        Gather(batch);
    }

    private void Shuffle(long epoch)
    {
        for (int i = 0; i < _order.Length; i++) _order[i] = Key(Shuffled(epoch, i), i);
        long window = (long)Window * Batch;
        for (long first = 0; first < _order.Length; first += window) Array.Sort(_order, (int)first, (int)Math.Min(window, _order.Length - first));
        _epoch = epoch;
    }

    // Examples of one length stay in the order of the epoch.
    private long Key(int example, int place) => ((long)RaggedBatches.PaddedLength(_examples[example].Tokens.Length, _positions) << 32) | (uint)place;

    private int Shuffled(long epoch, int place) => (int)TokenShuffle.Permute(_seed, (uint)epoch, place, _order.Length);

    private void Gather(int batch)
    {
        int first = batch * Batch;
        Filled = Math.Min(Batch, _order.Length - first);
        Total = 0;
        for (int i = 0; i < Filled; i++)
        {
            ClassifierExample example = _examples[_epoch == Sorted ? (int)_order[first + i] : Shuffled(_epoch, (int)_order[first + i])];
            example.Tokens.CopyTo(_tokens, Total);
            Total += _lengths[i] = example.Tokens.Length;
            _labels[i] = example.Label;
        }
    }
}
