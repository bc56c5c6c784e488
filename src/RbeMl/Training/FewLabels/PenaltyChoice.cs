namespace RbeMl.Training;

/// <summary>How strongly a head is held back, chosen by cross-validation: every text is scored by a head that did not see it.</summary>
/// <param name="Penalty">The penalty of <see cref="LogisticFit"/>.</param>
/// <param name="Loss">Mean cross-entropy of the texts left out, in nats; null where there were too few for folds.</param>
/// <param name="Accuracy">Share of them that was right; null likewise.</param>
internal sealed record PenaltyChoice(double Penalty, double? Loss, double? Accuracy)
{
    /// <summary>Without folds: as much as a prior of variance 1 on weights over rows of length 1.</summary>
    public const double Default = 1;

    // Above so many rows one fold says enough.
    private const int MostFolds = 5, Many = 1500;

    private const uint Order = uint.MaxValue - 2;

    // From the strongest on, each fit begins where the stronger one ended.
    private static readonly double[] s_penalties = [30, 10, 3, 1, 0.3, 0.1, 0.03, 0.01, 0.003];

    /// <summary>Chooses.</summary>
    /// <param name="rows">[N, D].</param>
    /// <param name="features">D.</param>
    /// <param name="labels">[N].</param>
    /// <param name="classes">C.</param>
    /// <param name="seed">Seed of the folds.</param>
    /// <param name="cancel">Ends the work.</param>
    public static PenaltyChoice Of(float[] rows, int features, int[] labels, int classes, ulong seed, CancellationToken cancel = default)
    {
        int[] counts = new int[classes];
        foreach (int label in labels) counts[label]++;
        int folds = Math.Min(MostFolds, counts.Where(n => n > 0).Min());
        if (folds < 2) return new PenaltyChoice(Default, null, null);
        int[] fold = Folds(labels, counts, folds, seed);
        double[] losses = new double[s_penalties.Length];
        int[] right = new int[s_penalties.Length];
        int held = 0;
        for (int f = 0; f < (labels.Length > Many ? 1 : folds); f++)
        {
            (float[] train, int[] trainLabels) = Part(fold.Select(own => own != f));
            (float[] test, int[] testLabels) = Part(fold.Select(own => own == f));
            LogisticFit fit = new(train, features, trainLabels, classes);
            for (int p = 0; p < s_penalties.Length; p++)
            {
                (double loss, int good) = LogisticFit.Score(fit.Fit(s_penalties[p], cancel), test, features, testLabels);
                (losses[p], right[p]) = (losses[p] + loss, right[p] + good);
            }

            held += testLabels.Length;
        }

        int best = Array.IndexOf(losses, losses.Min());
        return new PenaltyChoice(s_penalties[best], losses[best] / held, right[best] / (double)held);

        (float[] Rows, int[] Labels) Part(IEnumerable<bool> wanted)
        {
            int[] places = [.. wanted.Select((w, i) => (w, i)).Where(x => x.w).Select(x => x.i)];
            float[] part = new float[places.Length * features];
            for (int i = 0; i < places.Length; i++) rows.AsSpan(places[i] * features, features).CopyTo(part.AsSpan(i * features));
            return (part, [.. places.Select(i => labels[i])]);
        }
    }

    // Of every class about as many in each fold, drawn by the seed.
    private static int[] Folds(int[] labels, int[] counts, int folds, ulong seed)
    {
        int[] fold = new int[labels.Length], next = new int[counts.Length];
        for (int c = 1; c < counts.Length; c++) next[c] = (next[c - 1] + counts[c - 1]) % folds;
        for (int i = 0; i < labels.Length; i++)
        {
            int place = (int)TokenShuffle.Permute(seed, Order, i, labels.Length);
            fold[place] = next[labels[place]]++ % folds;
        }

        return fold;
    }
}
