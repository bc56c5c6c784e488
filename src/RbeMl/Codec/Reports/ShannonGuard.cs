namespace RbeMl.Codec;

/// <summary>
/// The least relative error that counted bits can give on weights like the ones at hand, to tell a defect from a gain. 2^-R holds for independent
/// Gaussian weights; others may be coded better. Values of step Δ, told apart by a code of R bits and error ε, cannot have more entropy than
/// R + ½ log2(2πe (ε²/Δ² + 1/6)): the code and the place of the value in the error's spread (the normal law has the most entropy; 1/6 is the variance of the
/// two roundings). Solved for ε this is the floor. The entropy is measured in every domain that the codecs exploit, and the least floor counts.
/// </summary>
/// <remarks>
/// Domains: the weights as they are; the weights in groups of <see cref="QuantizedFormat.GroupSize"/> that each know their size (scale
/// mixtures); the same after subtracting the alphas; the transform's coefficients in such groups; and, from <see cref="LeastTiles"/> tiles,
/// coefficients that also know the mean energy of their place. What a group or place knows costs the guard nothing, so that the floor is low rather than high.
/// Entropies are counted from a histogram of step 2^-R / 4, which is low for few values: at small sizes the guard sees less, but it does
/// not alarm. Beyond about 12 bits a weight, where fp32 itself and the histogram's range end, the floor is 0. Structure that no codec here
/// uses, such as low rank, plays no part.
/// </remarks>
public static class ShannonGuard
{
    /// <summary>Tiles from which the mean energy of a coefficient's place is a feature of the matrix and not of the sample.</summary>
    public const int LeastTiles = 16;

    private const double StepShare = 0.25;
    private const double Empty = 1e-7; // of the weights' root mean square: fp32's rounding

    /// <summary>The floor of the relative error ‖W − Ŵ‖ / ‖W‖; at most 2^-R.</summary>
    /// <param name="matrix">The compressed matrix: its transform, tiles and alphas.</param>
    /// <param name="original">The weights, <c>[Rows * Columns]</c>.</param>
    /// <param name="bitsPerWeight">R.</param>
    /// <exception cref="ShapeMismatchException">The original has another size.</exception>
    public static double Floor(RbeMatrix matrix, ReadOnlySpan<float> original, double bitsPerWeight)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        long weights = (long)matrix.Rows * matrix.Columns;
        if (original.Length != weights)
        {
            throw new ShapeMismatchException("original", $"{matrix.Rows} x {matrix.Columns} = {weights} values", $"{original.Length}",
                "Pass the matrix that was compressed.");
        }

        double energy = 0;
        foreach (float w in original) energy += (double)w * w;
        if (energy == 0 || !double.IsFinite(energy)) return 0;

        double unit = Math.Sqrt(weights / energy);
        double[] values = new double[original.Length];
        for (int i = 0; i < values.Length; i++) values[i] = original[i] * unit;
        double least = Math.Min(1, Alone(values, bitsPerWeight));
        least = Math.Min(least, InGroups(values, bitsPerWeight));
        double[] image = Image(matrix, values, unit, out double[] rest);
        if (matrix.HasAlphas) least = Math.Min(least, InGroups(rest, bitsPerWeight));
        if (matrix.Transform != TileTransform.None) least = Math.Min(least, InGroups(image, bitsPerWeight));
        if (matrix.TileCount >= LeastTiles) least = Math.Min(least, InPlaces(image, matrix.Tile * matrix.Tile, bitsPerWeight));

        // A sample may be easier than its law: two standard deviations of the root mean square of as many independent Gaussian values.
        return least * Math.Pow(2, -bitsPerWeight) * Math.Max(0, 1 - Math.Sqrt(2.0 / weights));
    }

    // Every factor below is floor / 2^-R of a domain, for values of energy 1 each on average over the weights.
    private static double Alone(double[] values, double rate)
    {
        GuardHistogram histogram = new(StepShare * Math.Pow(2, -rate));
        foreach (double v in values) histogram.Add(v);
        return Factor(histogram, logScale: 0, share: 1, rate);
    }

    private static double InGroups(double[] values, double rate, double logUnit = 0)
    {
        GuardHistogram histogram = new(StepShare * Math.Pow(2, -rate));
        double logScale = 0;
        long counted = 0;
        for (int first = 0; first < values.Length; first += QuantizedTiles.GroupSize)
        {
            ReadOnlySpan<double> group = values.AsSpan(first, Math.Min(QuantizedTiles.GroupSize, values.Length - first));
            if (Size(group) is not (> 0 and double size)) continue;
            logScale += group.Length * (Math.Log(size) + Bias(group.Length));
            foreach (double v in group) histogram.Add(v / size);
            counted += group.Length;
        }

        return counted == 0 ? 0 : Factor(histogram, logUnit + (logScale / counted), counted / (double)values.Length, rate);
    }

    // Coefficients over the root mean square of their place in all tiles, then in groups as above. Places that are empty in all tiles, such as those that the
    // alphas have taken, cost nothing: the rest have all bits.
    private static double InPlaces(double[] image, int area, double rate)
    {
        int tiles = image.Length / area;
        double[] sizes = new double[area];
        for (int e = 0; e < image.Length; e++) sizes[e % area] += image[e] * image[e];
        double logScale = 0;
        int counted = 0;
        for (int p = 0; p < area; p++)
        {
            sizes[p] = Math.Sqrt(sizes[p] / tiles);
            if (sizes[p] < Empty)
            {
                sizes[p] = 0;
                continue;
            }

            logScale += Math.Log(sizes[p]) + Bias(tiles);
            counted++;
        }

        if (counted == 0) return 0;
        double[] scaled = new double[tiles * counted];
        int next = 0;
        for (int e = 0; e < image.Length; e++)
        {
            if (sizes[e % area] != 0) scaled[next++] = image[e] / sizes[e % area];
        }

        double share = (double)counted / area, rest = rate / share;
        return Math.Sqrt(share) * InGroups(scaled, rest, logScale / counted) * Math.Pow(2, rate - rest);
    }

    // floor² = scale² Δ² 2^(2 (H − R)) / 2πe − Δ² / 6, over 2^-2R. Values that are zero as a whole group cost nothing: the rest may have all bits.
    private static double Factor(GuardHistogram histogram, double logScale, double share, double rate)
    {
        double step = histogram.Step;
        double spread = Math.Exp(2 * logScale) * Math.Pow(2, 2 * (histogram.Entropy() - (rate / share))) / (2 * Math.PI * Math.E);
        double squared = share * step * step * (spread - (1.0 / 6)) * Math.Pow(4, rate);
        return squared > 0 ? Math.Sqrt(squared) : 0;
    }

    private static double Size(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double v in values) sum += v * v;
        return Math.Sqrt(sum / values.Length);
    }

    // What the mean of ln s lacks of ln σ, s² being the mean square of n Gaussian values: (ln(n/2) − ψ(n/2)) / 2 to second order.
    private static double Bias(int n) => (1.0 / (2 * n)) + (1.0 / (6.0 * n * n));

    // The coefficients of all tiles, [tile][B²], without what the alphas say; cells outside the matrix are zero. The same in cells, inside only.
    private static double[] Image(RbeMatrix matrix, double[] values, double unit, out double[] rest)
    {
        int tile = matrix.Tile, area = tile * tile;
        double[] image = new double[checked(matrix.TileCount * area)], remainder = new double[values.Length];
        double[][] functions = BasisFunctions.Get(matrix.Transform, tile).Functions;
        Parallel.For(
            0,
            matrix.TileCount,
            () => (Transformer: new TileTransformer(matrix.Transform, tile), Cells: new double[area]),
            (t, _, scratch) =>
            {
                (int top, int left, int rows, int columns) = matrix.BoundsOf(t);
                double[] cells = scratch.Cells;
                Array.Clear(cells);
                for (int k = 0; k < BasisFunctions.Count && matrix.HasAlphas; k++)
                {
                    AlphaSolver.AddScaled(cells, functions[k], -unit * matrix.Alphas[(t * BasisFunctions.Count) + k]);
                }

                for (int i = 0; i < tile; i++)
                {
                    Span<double> row = cells.AsSpan(i * tile, tile);
                    int inside = i < rows ? columns : 0;
                    row[inside..].Clear();
                    for (int j = 0; j < inside; j++)
                    {
                        long at = ((long)(top + i) * matrix.Columns) + left + j;
                        row[j] += values[at];
                        remainder[at] = row[j];
                    }
                }

                scratch.Transformer.Forward(cells, image.AsSpan(t * area, area));
                return scratch;
            },
            static _ => { });
        rest = remainder;
        return image;
    }
}
