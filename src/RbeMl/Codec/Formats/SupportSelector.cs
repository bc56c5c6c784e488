using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// Chooses the places of kept coefficients. On the midpoint grid six of the eight basis functions are single DCT coefficients, at
/// <see cref="BasisPlaces"/>; with alphas these are left out, or two parameters would mean the same.
/// </summary>
internal static class SupportSelector
{
    /// <summary>(row, column) of the DCT coefficients that are 1, cos πx, cos πy, cos 2πx, cos 2πy and cos πx · cos πy.</summary>
    public static ReadOnlySpan<(int Row, int Column)> BasisPlaces => s_basisPlaces;

    private static readonly (int Row, int Column)[] s_basisPlaces = [(0, 0), (0, 2), (2, 0), (0, 4), (4, 0), (2, 2)];

    /// <summary>The places that need no weights to be known: every tile of a matrix by a rule and its seed.</summary>
    /// <param name="options">Options whose format has a sparse part.</param>
    /// <param name="tileCount">Tiles of the matrix.</param>
    /// <returns>The support, or null when the format keeps no sparse coefficients.</returns>
    /// <exception cref="InvalidSettingException">The options are invalid, or the rule needs weights to look at.</exception>
    public static CoefficientSupport? FromRule(RbeOptions options, int tileCount)
    {
        FormatPlan plan = FormatPlan.From(options);
        return plan.Runs == 0 ? null : FromRule(plan, options.Tile, tileCount);
    }

    internal static CoefficientSupport FromRule(FormatPlan plan, int tile, int tileCount)
    {
        ushort[] starts = new ushort[checked(tileCount * plan.Runs)];
        ushort[] allowed = Candidates(plan, tile);
        ushort[] shuffled = new ushort[allowed.Length];
        for (int t = 0; t < tileCount; t++) ByRule(plan, t, allowed, shuffled, starts.AsSpan(t * plan.Runs, plan.Runs));
        return new CoefficientSupport(tile, tileCount, plan.RunLength, starts);
    }

    /// <summary>The runs a plan may choose from: by frequency for LowFrequency, otherwise ascending.</summary>
    internal static ushort[] Candidates(FormatPlan plan, int tile)
    {
        ushort[] allowed = AllowedStarts(tile, plan.RunLength, plan.ReservesBasisPlaces);
        if (plan.Rule?.Kind == SupportKind.LowFrequency) Array.Sort(allowed, (a, b) => Order(a, tile).CompareTo(Order(b, tile)));
        return allowed;
    }

    /// <summary>Starts of all aligned runs, ascending, without those that cover a reserved place.</summary>
    internal static ushort[] AllowedStarts(int tile, int runLength, bool reserveBasisPlaces)
    {
        List<ushort> starts = new(tile * tile / runLength);
        for (int row = 0; row < tile; row += runLength)
        {
            for (int column = 0; column < tile; column++)
            {
                if (reserveBasisPlaces && s_basisPlaces.Any(p => p.Column == column && p.Row >= row && p.Row < row + runLength)) continue;
                starts.Add((ushort)(row * tile + column));
            }
        }

        return [.. starts];
    }

    /// <summary>Whether a plan's places depend on the weights.</summary>
    internal static bool NeedsWeights(FormatPlan plan, int tile) =>
        plan.Runs * plan.RunLength < tile * tile && plan.Rule is { Kind: SupportKind.TopK or SupportKind.Runs };

    /// <summary>
    /// One tile's places without weights, ascending. <paramref name="allowed"/> is what <see cref="Candidates"/> gives,
    /// <paramref name="scratch"/> has its length.
    /// </summary>
    internal static void ByRule(FormatPlan plan, int tileIndex, ushort[] allowed, ushort[] scratch, Span<ushort> starts)
    {
        allowed.CopyTo(scratch, 0);
        if (starts.Length < allowed.Length)
        {
            switch (plan.Rule!.Kind)
            {
                case SupportKind.LowFrequency:
                    break;
                case SupportKind.Random or SupportKind.Runs:
                    DeterministicRandom random = new((uint)plan.Rule.Seed, (ulong)tileIndex);
                    for (int i = 0; i < starts.Length; i++)
                    {
                        int j = i + random.NextBelow(scratch.Length - i);
                        (scratch[i], scratch[j]) = (scratch[j], scratch[i]);
                    }

                    break;
                default:
                    throw new InvalidSettingException("support", plan.Rule.Kind,
                        "without weights there is no largest coefficient: use Runs, Random or LowFrequency.");
            }
        }

        scratch.AsSpan(0, starts.Length).CopyTo(starts);
        starts.Sort();
    }

    /// <summary>
    /// The runs of most energy of one tile, ascending; of equal ones the first. Scratch arrays have the length of
    /// <paramref name="allowed"/>.
    /// </summary>
    internal static void ByEnergy(ReadOnlySpan<double> coefficients, int tile, int runLength, ushort[] allowed, double[] energies,
        double[] scratch, Span<ushort> starts)
    {
        for (int a = 0; a < allowed.Length; a++)
        {
            double energy = 0;
            for (int o = 0; o < runLength; o++)
            {
                double c = coefficients[allowed[a] + o * tile];
                energy += c * c;
            }

            energies[a] = -energy;
        }

        double threshold = Smallest(energies, starts.Length, scratch);
        int above = 0;
        for (int a = 0; a < allowed.Length; a++) above += energies[a] < threshold ? 1 : 0;
        int ties = starts.Length - above, n = 0;
        for (int a = 0; a < allowed.Length && n < starts.Length; a++)
        {
            if (energies[a] < threshold || (energies[a] == threshold && ties-- > 0)) starts[n++] = allowed[a];
        }
    }

    // (u + v, u) as one number, u being the row.
    private static int Order(ushort place, int tile) => (place / tile + place % tile) * tile + place / tile;

    // The count-th smallest value, by quick-select on a copy.
    private static double Smallest(double[] values, int count, double[] copy)
    {
        values.CopyTo(copy, 0);
        int low = 0, high = copy.Length - 1, k = count - 1;
        while (low < high)
        {
            double pivot = copy[(low + high) >>> 1];
            int i = low, j = high;
            while (i <= j)
            {
                while (copy[i] < pivot) i++;
                while (copy[j] > pivot) j--;
                if (i > j) break;
                (copy[i], copy[j]) = (copy[j], copy[i]);
                i++;
                j--;
            }

            if (k <= j) high = j;
            else if (k >= i) low = i;
            else break;
        }

        return copy[k];
    }
}
