namespace RbeMl.Codec;

/// <summary>
/// Requires a compressed matrix to be what the same weights of ordinary size would be. Scales and exact coefficients of quantised and
/// trellis codes are fp16 numbers, coefficients and alphas of the others fp32: beyond their range weights saturate or vanish. In the range
/// where that cannot matter nothing is done; outside it the matrix is compressed once more, times a power of two that takes it there, and
/// the errors are compared.
/// </summary>
internal static class WeightRange
{
    /// <summary>The name in errors of a matrix whose caller gives none.</summary>
    public const string Unnamed = "weights";

    // A coefficient is at most the norm of its tile, B times the largest weight, and a scale a fifth more: below this none reaches 65504.
    private const double MostForHalf = 3e4;

    // The largest coefficient of a tile is at least a B-th of its norm, and levels reach 4 scales: above this some scale is beyond 65504.
    private const double BeyondHalf = 4 * 65504;

    // Scales are off by at most 2^-25 where fp16 numbers are subnormal, and what has a lesser one becomes zero: about 1e-7 a weight, and so
    // at most a tenth of the error of 8 bits from this root mean square on.
    private const double LeastForHalf = 2e-4;
    private const double LeastForSingle = 1e-30, MostForSingle = 1e30;
    private const double Worse = 1.25; // errors of one matrix at two sizes differ by roundings; this much is a loss
    private const double Exact = 1e-6; // and so small an error is none
    private const int OrdinaryExponent = 6; // the largest weight of the matrix of ordinary size lies from 2^6 on; its root mean square is then at least 1e-3

    /// <summary>Compresses and checks.</summary>
    /// <param name="weights">Finite weights.</param>
    /// <param name="plan">How they are stored.</param>
    /// <param name="options">What the plan was made of.</param>
    /// <param name="parallel">Threads, which change no bit of the result, and cancellation.</param>
    /// <param name="compress">Compresses any matrix of these sizes.</param>
    /// <exception cref="WeightRangeException">The format cannot hold them.</exception>
    public static RbeMatrix Compress(ReadOnlySpan<float> weights, FormatPlan plan, RbeOptions options, ParallelOptions parallel, Encoder compress)
    {
        (double size, double largest) = Measure(weights);
        bool halves = plan.Bits > 0;
        (double least, double most) = halves ? (LeastForHalf, MostForHalf) : (LeastForSingle, MostForSingle);
        if (largest == 0 || (size >= least && largest * options.Tile <= most)) return compress(weights);
        if (halves && largest > BeyondHalf * options.Tile) throw new WeightRangeException(Unnamed, size, largest, options.Format);
        float[] values = new float[weights.Length];
        int exponent = OrdinaryExponent - Math.ILogB(largest);
        for (int i = 0; i < values.Length; i++) values[i] = (float)Math.ScaleB(weights[i], exponent);
        RbeMatrix ordinary = compress(values);
        double expected = ErrorOf(ordinary, values, parallel), greatest = 0;
        foreach (float kept in ordinary.Alphas.Concat(ordinary.Coefficients)) greatest = Math.Max(greatest, Math.Abs(kept));
        if (Math.ScaleB(greatest, -exponent) <= float.MaxValue)
        {
            RbeMatrix matrix = compress(weights);
            if (ErrorOf(matrix, weights, parallel) <= (Worse * expected) + Exact) return matrix;
        }

        throw new WeightRangeException(Unnamed, size, largest, options.Format);
    }

    /// <summary>What the function does; an error of <see cref="Compress"/> names the matrix, or where it is.</summary>
    /// <param name="name">Name of the matrix, or of what has matrices of names of their own.</param>
    /// <param name="compress">Compresses one.</param>
    public static T Named<T>(string name, Func<T> compress)
    {
        try
        {
            return compress();
        }
        catch (WeightRangeException error)
        {
            throw new WeightRangeException(error.Matrix == Unnamed ? name : $"{name}.{error.Matrix}", error.RootMeanSquare, error.Largest, error.Format);
        }
    }

    private static double ErrorOf(RbeMatrix matrix, ReadOnlySpan<float> weights, ParallelOptions parallel)
    {
        (double[] errors, double[] norms) = matrix.MeasureTiles(weights, parallel);
        return Math.Sqrt(errors.Sum() / norms.Sum());
    }

    private static (double RootMeanSquare, double Largest) Measure(ReadOnlySpan<float> weights)
    {
        double sum = 0;
        float largest = 0;
        foreach (float weight in weights)
        {
            sum += (double)weight * weight;
            largest = Math.Max(largest, Math.Abs(weight));
        }

        return (Math.Sqrt(sum / Math.Max(1, weights.Length)), largest);
    }

    /// <summary>Compresses the weights of a matrix.</summary>
    public delegate RbeMatrix Encoder(ReadOnlySpan<float> weights);
}
