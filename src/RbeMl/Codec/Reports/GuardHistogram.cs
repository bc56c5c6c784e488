namespace RbeMl.Codec;

/// <summary>Counts values rounded to multiples of a step. What lies beyond the range counts as at its ends, which can only lower the entropy.</summary>
internal sealed class GuardHistogram
{
    private const int Bins = 1 << 16;
    private const double Range = 16;
    private readonly int[] _counts;
    private readonly double _inverse;

    /// <summary>A histogram from -16 to 16, with a step of at least 32 / 65536.</summary>
    public GuardHistogram(double step)
    {
        Step = Math.Max(step, 2 * Range / Bins);
        _inverse = 1 / Step;
        _counts = new int[(2 * (int)(Range * _inverse)) + 3];
    }

    /// <summary>The step used.</summary>
    public double Step { get; }

    /// <summary>Values counted.</summary>
    public long Count { get; private set; }

    /// <summary>Counts a value.</summary>
    public void Add(double value)
    {
        int middle = _counts.Length / 2;
        int at = (int)Math.Round(Math.Clamp(value * _inverse, -middle, middle));
        _counts[middle + at]++;
        Count++;
    }

    /// <summary>Entropy of the rounded values in bits; 0 without any.</summary>
    public double Entropy()
    {
        double sum = 0;
        foreach (int count in _counts)
        {
            if (count > 0) sum += count * Math.Log2(count);
        }

        return Count == 0 ? 0 : Math.Log2(Count) - (sum / Count);
    }
}
