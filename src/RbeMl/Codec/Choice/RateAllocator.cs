namespace RbeMl.Codec;

/// <summary>A choice of one point for each of several matrices.</summary>
/// <param name="Choices">Index into the points of each curve.</param>
/// <param name="Bits">Stored bits of all.</param>
/// <param name="Error">Predicted error: square root of the sum of (sensitivity x error)².</param>
internal sealed record RateAllocation(IReadOnlyList<int> Choices, double Bits, double Error);

/// <summary>
/// Chooses a point of each curve so that the sum of (s_m e_m)² is least for the bits, or the bits are least for the error. All combinations that no
/// other one beats in both are built up matrix by matrix, so the choice is optimal; beyond 4096 such combinations they are thinned out evenly in bits, which
/// costs at most 1/4096 of the range of bits for each matrix.
/// </summary>
internal static class RateAllocator
{
    private const int MostCombinations = 4096;

    /// <summary>Least error within a budget.</summary>
    /// <param name="curves">One a matrix.</param>
    /// <param name="sensitivities">s: output error for each unit of relative weight error; not negative.</param>
    /// <param name="budget">Bits of all matrices together.</param>
    /// <exception cref="UnreachableTargetException">Even the smallest points take more.</exception>
    public static RateAllocation MinimizeError(IReadOnlyList<RateCurve> curves, IReadOnlyList<double> sensitivities, double budget)
    {
        List<Combination[]> fronts = Fronts(curves, sensitivities);
        Combination[] last = fronts[^1];
        int chosen = Array.FindLastIndex(last, c => c.Bits <= budget);
        if (chosen >= 0) return Trace(fronts, chosen);
        double weights = curves.Sum(c => (double)c.Weights);
        throw new UnreachableTargetException(FormattableString.Invariant($"A size of {budget / weights:G4} bits a weight"),
            last[0].Bits / weights, "Allow more bits, or offer smaller formats.");
    }

    /// <summary>Fewest bits within an error.</summary>
    /// <param name="curves">One a matrix.</param>
    /// <param name="sensitivities">s: output error for each unit of relative weight error; not negative.</param>
    /// <param name="error">Most that the predicted error may be.</param>
    /// <exception cref="UnreachableTargetException">Even the most accurate points err more.</exception>
    public static RateAllocation MinimizeBits(IReadOnlyList<RateCurve> curves, IReadOnlyList<double> sensitivities, double error)
    {
        List<Combination[]> fronts = Fronts(curves, sensitivities);
        Combination[] last = fronts[^1];
        int chosen = Array.FindIndex(last, c => c.Cost <= error * error);
        if (chosen >= 0) return Trace(fronts, chosen);
        throw new UnreachableTargetException(FormattableString.Invariant($"A predicted error of {error:G4}"), Math.Sqrt(last[^1].Cost),
            "Allow more error, or offer more accurate formats.");
    }

    // Combinations of the first m matrices by ascending bits and descending cost, for each m.
    private static List<Combination[]> Fronts(IReadOnlyList<RateCurve> curves, IReadOnlyList<double> sensitivities)
    {
        Items.Require(curves, nameof(curves));
        ArgumentNullException.ThrowIfNull(sensitivities);
        if (curves.Count == 0) throw new InvalidSettingException("curves", 0, "give at least one matrix.");
        if (sensitivities.Count != curves.Count)
        {
            throw new ShapeMismatchException("sensitivities", $"{curves.Count} like the curves", $"{sensitivities.Count}", "Give one a matrix.");
        }

        List<Combination[]> fronts = [];
        Combination[] front = [default];
        for (int m = 0; m < curves.Count; m++)
        {
            double s = sensitivities[m];
            if (!(s >= 0) || !double.IsFinite(s)) throw new InvalidSettingException("sensitivity", s, "use a finite number of at least 0.");
            IReadOnlyList<RatePoint> points = curves[m].Points;
            Combination[] all = new Combination[front.Length * points.Count];
            for (int f = 0; f < front.Length; f++)
            {
                for (int p = 0; p < points.Count; p++)
                {
                    double error = s * points[p].Error;
                    all[f * points.Count + p] = new Combination(front[f].Bits + points[p].Bits, front[f].Cost + (error * error), f, p);
                }
            }

            front = Thin(Undominated(all));
            fronts.Add(front);
        }

        return fronts;
    }

    private static Combination[] Undominated(Combination[] all)
    {
        Array.Sort(all, static (a, b) => (a.Bits, a.Cost, a.Previous, a.Choice).CompareTo((b.Bits, b.Cost, b.Previous, b.Choice)));
        List<Combination> kept = [];
        foreach (Combination c in all)
        {
            if (kept.Count == 0 || c.Cost < kept[^1].Cost) kept.Add(c);
        }

        return [.. kept];
    }

    // The smallest, and of every slice of the range of bits the most accurate.
    private static Combination[] Thin(Combination[] front)
    {
        if (front.Length <= MostCombinations) return front;
        double first = front[0].Bits, width = (front[^1].Bits - first) / (MostCombinations - 1);
        List<Combination> kept = [front[0]];
        for (int i = 1; i < front.Length; i++)
        {
            bool lastOfSlice = i + 1 == front.Length || Math.Floor((front[i + 1].Bits - first) / width) > Math.Floor((front[i].Bits - first) / width);
            if (lastOfSlice) kept.Add(front[i]);
        }

        return [.. kept];
    }

    private static RateAllocation Trace(List<Combination[]> fronts, int chosen)
    {
        Combination end = fronts[^1][chosen];
        int[] choices = new int[fronts.Count];
        for (int m = fronts.Count - 1, at = chosen; m >= 0; m--)
        {
            choices[m] = fronts[m][at].Choice;
            at = fronts[m][at].Previous;
        }

        return new RateAllocation(choices, end.Bits, Math.Sqrt(end.Cost));
    }

    private readonly record struct Combination(double Bits, double Cost, int Previous, int Choice);
}
