namespace RbeMl.Training;

/// <summary>Holds examples out for validation, of every class about the same share.</summary>
internal static class ExampleSplit
{
    private const uint Order = uint.MaxValue - 1;

    /// <summary>Splits examples at places that the seed draws; every class keeps at least one example to train on.</summary>
    /// <param name="examples">The examples.</param>
    /// <param name="classes">Classes C.</param>
    /// <param name="fraction">Share to hold out; 0 holds out none, everything else at least one.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="InvalidSettingException">A class would have no example left to train on.</exception>
    public static (IReadOnlyList<ClassifierExample> Train,
        IReadOnlyList<ClassifierExample> Validation) Of(IReadOnlyList<ClassifierExample> examples, int classes, double fraction, ulong seed)
    {
        if (fraction == 0 || examples.Count == 0) return (examples, []);
        int[] counts = new int[classes];
        foreach (ClassifierExample example in examples) counts[example.Label]++;
        int held = Math.Max(1, (int)Math.Round(fraction * examples.Count)), most = examples.Count - counts.Count(n => n > 0);
        if (held > most)
        {
            string mend = most > 0 ? FormattableString.Invariant($"Use {(double)most / examples.Count:0.##} at most") : "Give more examples";
            throw new InvalidSettingException(
                nameof(ClassifierTrainerOptions.ValidationFraction), fraction,
                $"of {examples.Count} rows it would hold out {held}, and every class must keep one to train on. {mend}, or give validation data.");
        }

        int[] quota = Quota(counts, fraction, held);
        List<ClassifierExample> train = new(examples.Count - held), validation = new(held);
        for (int i = 0; i < examples.Count; i++)
        {
            ClassifierExample example = examples[(int)TokenShuffle.Permute(seed, Order, i, examples.Count)];
            (quota[example.Label]-- > 0 ? validation : train).Add(example);
        }

        return (train, validation);
    }

    // The whole part of each class's share, then one more where the rest is largest (of equals the first class), until there are enough.
    private static int[] Quota(int[] counts, double fraction, int held)
    {
        int[] quota = [.. counts.Select(n => Math.Min((int)(fraction * n), Math.Max(n - 1, 0)))];
        int[] byRest = [.. Enumerable.Range(0, counts.Length).OrderByDescending(c => (fraction * counts[c]) - quota[c])];
        for (int missing = held - quota.Sum(); missing > 0;)
        {
            foreach (int c in byRest)
            {
                if (missing == 0) break;
                if (quota[c] >= counts[c] - 1) continue;
                quota[c]++;
                missing--;
            }
        }

        return quota;
    }
}
