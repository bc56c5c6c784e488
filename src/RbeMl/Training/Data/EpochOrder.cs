namespace RbeMl.Training;

/// <summary>
/// In which order examples come, in batches of about one length. Each epoch has an order of its own: examples are shuffled, sorted by length within
/// windows of some batches, and the batches of a window shuffled again. Every example comes once an epoch.
/// </summary>
/// <param name="examples">Examples.</param>
/// <param name="batch">Examples of a batch, at most as many as there are.</param>
/// <param name="seed">Seed.</param>
/// <param name="length">Padded length of an example in an epoch.</param>
internal sealed class EpochOrder(int examples, int batch, ulong seed, Func<long, int, int> length)
{
    /// <summary>In place of an epoch: by length, then by place.</summary>
    public const long Sorted = long.MaxValue;

    // Batches of a window: enough lengths to sort, few enough that the order stays random.
    private const int Window = 32;

    // Epoch numbers of other permutations of the same seed.
    private const uint BatchOrder = 1u << 31;

    private readonly long[] _order = new long[examples];
    private long _epoch = -1;
    private int _first;

    /// <summary>Examples.</summary>
    public int Examples => examples;

    /// <summary>Batches of an epoch.</summary>
    public int Batches => ((examples - 1) / batch) + 1;

    /// <summary>Examples of the batch that was chosen last.</summary>
    public int Filled => Math.Min(batch, examples - _first);

    /// <summary>Example <paramref name="i"/> of that batch.</summary>
    public int this[int i] => _epoch == Sorted ? (int)_order[_first + i] : Shuffled(_epoch, (int)_order[_first + i]);

    /// <summary>Chooses a batch of an epoch, or of all examples in the order of their lengths (<see cref="Sorted"/>).</summary>
    public void Choose(long epoch, int number)
    {
        if (epoch != _epoch) Order(epoch);
        _first = (epoch == Sorted ? number : Place(epoch, number)) * batch;
    }

    private int Place(long epoch, int number)
    {
        int window = number / Window * Window, batches = Math.Min(Window, Batches - window);

        // The last batch of all may be short, so it stays where it is.
        int movable = window + batches == Batches && examples % batch != 0 ? batches - 1 : batches, place = number - window;
        if (place < movable) place = (int)TokenShuffle.Permute(seed ^ (ulong)window, BatchOrder | (uint)epoch, place, movable);
        return window + place;
    }

    private void Order(long epoch)
    {
        // Examples of one length stay in the order of the epoch.
        for (int i = 0; i < examples; i++)
        {
            int example = epoch == Sorted ? i : Shuffled(epoch, i);
            _order[i] = ((long)length(epoch, example) << 32) | (uint)i;
        }

        long window = epoch == Sorted ? examples : (long)Window * batch;
        for (long first = 0; first < examples; first += window) Array.Sort(_order, (int)first, (int)Math.Min(window, examples - first));
        _epoch = epoch;
    }

    private int Shuffled(long epoch, int place) => (int)TokenShuffle.Permute(seed, (uint)epoch, place, examples);
}
