using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>Examples in batches of about one length, in the order of <see cref="EpochOrder"/>.</summary>
internal sealed class ExampleBatches
{
    private readonly IReadOnlyList<ClassifierExample> _examples;
    private readonly EpochOrder _order;
    private readonly int[] _tokens, _lengths, _labels;

    /// <summary>Prepares batches of at most <paramref name="batch"/> examples.</summary>
    public ExampleBatches(IReadOnlyList<ClassifierExample> examples, int batch, int positions, ulong seed)
    {
        _examples = examples;
        Longest = examples.Max(e => e.Tokens.Length);
        Batch = Math.Min(batch, Math.Min(examples.Count, Math.Max(1, Array.MaxLength / 2 / Longest)));
        _order = new EpochOrder(examples.Count, Batch, seed, (_, i) => RaggedBatches.PaddedLength(examples[i].Tokens.Length, positions));
        _tokens = new int[checked(Batch * Longest)];
        _lengths = new int[Batch];
        _labels = new int[_lengths.Length];
    }

    /// <summary>B: no more than there are examples, or an array holds.</summary>
    public int Batch { get; }

    /// <summary>Tokens of the longest example.</summary>
    public int Longest { get; }

    /// <summary>Examples.</summary>
    public int Examples => _order.Examples;

    /// <summary>Batches of an epoch.</summary>
    public int Count => _order.Batches;

    /// <summary>Examples of some batches of a shuffled epoch, of which the last may be a short one.</summary>
    /// <param name="first">The first batch.</param>
    /// <param name="count">Batches, as many as there are.</param>
    public int ExamplesOf(int first, int count) => (int)(Math.Min((long)(first + count) * Batch, Examples) - ((long)first * Batch));

    /// <summary>Examples of the batch that was filled last.</summary>
    public int Filled => _order.Filled;

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
        _order.Choose(epoch, batch);
        Total = 0;
        for (int i = 0; i < Filled; i++)
        {
            ClassifierExample example = _examples[_order[i]];
            example.Tokens.CopyTo(_tokens, Total);
            Total += _lengths[i] = example.Tokens.Length;
            _labels[i] = example.Label;
        }
    }

    /// <summary>Fills a batch of all examples in the order of their lengths.</summary>
    public void FillSorted(int batch) => Fill(EpochOrder.Sorted, batch);
}
