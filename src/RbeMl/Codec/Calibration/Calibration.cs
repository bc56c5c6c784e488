namespace RbeMl.Codec;

/// <summary>
/// What calibrated compression of a matrix needs to know about its input: the second moment over some tokens, and its factors, which are made when first
/// asked for and kept, so that layers with a common input (query, key, value) share them. Safe for use by several threads once its sums are complete.
/// </summary>
public sealed class Calibration
{
    /// <summary>Least damping that is used when none is given.</summary>
    public const double LeastDamping = 0.01;

    private const double MostShrinkage = 0.99;
    private readonly Dictionary<(TileTransform Transform, int Tile, int Group), FeedbackFactor> _factors = [];

    /// <summary>Wraps finished sums.</summary>
    /// <param name="moment">The sums; not to be added to any more.</param>
    /// <param name="damping">Share of the mean diagonal that is added to the diagonal, above 0: keeps directions that the tokens do not
    /// show from being free. Null chooses 1 % and what
    /// <see cref="SecondMoment.Shrinkage"/> asks for: much for few tokens, little for many.</param>
    /// <param name="centered">Whether rounding looks at the input without its mean: right when the layer's bias takes
    /// <see cref="BiasCorrection"/>, wrong when it has none.</param>
    /// <exception cref="InvalidSettingException">There are no tokens, or the damping is not a positive finite number.</exception>
    internal Calibration(SecondMoment moment, double? damping = null, bool centered = true)
    {
        ArgumentNullException.ThrowIfNull(moment);
        if (moment.Tokens == 0)
        {
            throw new InvalidSettingException("calibration tokens", 0,
                "add the layer's inputs over at least one token, better over several times as many as it has features.");
        }

        if (damping is { } given && !(given > 0 && double.IsFinite(given)))
        {
            throw new InvalidSettingException("damping", damping, "use a small positive number such as 0.01.");
        }

        Moment = moment;
        double shrinkage = damping is null ? Math.Min(MostShrinkage, moment.Shrinkage(centered)) : 0;
        Damping = damping ?? (LeastDamping + (shrinkage / (1 - shrinkage)));
        Centered = centered;
    }

    /// <summary>The sums.</summary>
    internal SecondMoment Moment { get; }

    /// <summary>Share of the mean diagonal that is added to the diagonal.</summary>
    public double Damping { get; }

    /// <summary>Whether the mean is taken out of what rounding looks at.</summary>
    public bool Centered { get; }

    /// <summary>Input features n.</summary>
    public int Features => Moment.Features;

    /// <summary>(W - What) mean(x): what a compressed layer's bias must take up so that its mean output over the tokens stays. Costs no bytes.</summary>
    /// <param name="original">W, <c>[rows * columns]</c>.</param>
    /// <param name="matrix">What.</param>
    /// <returns><c>[rows]</c>.</returns>
    /// <exception cref="ShapeMismatchException">The matrix has other columns than the input has features, or the original another size than
    /// the matrix.</exception>
    public float[] BiasCorrection(ReadOnlySpan<float> original, RbeMatrix matrix)
    {
        CheckMatrix(original, matrix);
        double[] mean = Moment.Mean();
        float[] decoded = matrix.ToDense(), correction = new float[matrix.Rows];
        for (int r = 0; r < matrix.Rows; r++)
        {
            double sum = 0;
            ReadOnlySpan<float> from = original.Slice(r * matrix.Columns, matrix.Columns), to = decoded.AsSpan(r * matrix.Columns, matrix.Columns);
            for (int c = 0; c < from.Length; c++) sum += ((double)from[c] - to[c]) * mean[c];
            correction[r] = (float)sum;
        }

        return correction;
    }

    /// <summary>
    /// Relative error of the layer's output over the tokens, ‖(W - What) x‖ / ‖W x‖; of the output less its mean when
    /// <see cref="Centered"/>, as the bias correction leaves it. Takes rows x n² multiplications: meant for reports and tests.
    /// </summary>
    /// <inheritdoc cref="BiasCorrection"/>
    public double OutputError(ReadOnlySpan<float> original, RbeMatrix matrix)
    {
        CheckMatrix(original, matrix);
        int n = Features;
        float[] weights = original.ToArray(), decoded = matrix.ToDense();
        double[] mean = Moment.Mean(), errors = new double[matrix.Rows], energies = new double[matrix.Rows];
        Parallel.For(0, matrix.Rows, r =>
        {
            double[] error = new double[n], weight = new double[n];
            for (int c = 0; c < n; c++) (error[c], weight[c]) = ((double)weights[r * n + c] - decoded[r * n + c], weights[r * n + c]);
            (errors[r], energies[r]) = (Energy(error, mean), Energy(weight, mean));
        });
        double energy = energies.Sum();
        return energy > 0 ? Math.Sqrt(errors.Sum() / energy) : Math.Sqrt(errors.Sum());
    }

    /// <summary>The factor in the coefficient domain of a transform, for columns that are rounded <paramref name="group"/> at a time.</summary>
    internal FeedbackFactor FactorFor(TileTransform transform, int tile, int group, ParallelOptions parallel)
    {
        lock (_factors)
        {
            if (_factors.TryGetValue((transform, tile, group), out FeedbackFactor? factor)) return factor;
            factor = group == 1 ? FeedbackFactor.Create(Moment, Centered, transform, tile, Damping, parallel)
                : FactorFor(transform, tile, 1, parallel).Grouped(group, parallel);
            return _factors[(transform, tile, group)] = factor;
        }
    }

    // v' S v with S the (centred) second moment.
    private double Energy(double[] v, double[] mean)
    {
        int n = Features;
        double sum = 0, along = 0;
        for (int i = 0; i < n; i++)
        {
            ReadOnlySpan<double> row = Moment.Products.Slice(i * Moment.Stride, n);
            double inner = 0.5 * row[i] * v[i];
            for (int j = i + 1; j < n; j++) inner += row[j] * v[j];
            sum += 2 * v[i] * inner;
            along += v[i] * mean[i];
        }

        return Math.Max(0, (sum / Moment.Tokens) - (Centered ? along * along : 0));
    }

    private void CheckMatrix(ReadOnlySpan<float> original, RbeMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        if (matrix.Columns != Features)
        {
            throw new ShapeMismatchException("matrix", $"{Features} columns as the calibrated input has features", $"{matrix.Columns}",
                "Calibrate with the input of this layer.");
        }

        if (original.Length != (long)matrix.Rows * matrix.Columns)
        {
            throw new ShapeMismatchException("original", $"{matrix.Rows} x {matrix.Columns} values", $"{original.Length}",
                "Pass the matrix that was compressed.");
        }
    }
}
