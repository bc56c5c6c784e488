using System.Runtime.CompilerServices;
using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// Sums of x and x x' over the tokens that reach a linear layer, in double: what calibrated rounding knows about the layer's input. Takes 8 n² bytes.
/// The same bits for any number of threads. Not safe for use by several threads at a time.
/// </summary>
internal sealed unsafe class SecondMoment
{
    private readonly double[] _products; // [n padded, n padded], upper triangle
    private readonly double[] _sums; // [n]
    private readonly double[] _packed; // [n padded / 16][depth][16]
    private readonly double[] _cubes; // [n], sum of (x'x) x
    private double _fourth; // sum of (x'x)²

    /// <summary>Creates empty sums.</summary>
    /// <param name="features">n, the input features of the layer.</param>
    /// <exception cref="InvalidSettingException">Features are fewer than 1, or n² is more than an array holds.</exception>
    public SecondMoment(int features)
    {
        if (features < 1) throw new InvalidSettingException("features", features, "a layer has at least one input feature.");
        Stride = (features + SymmetricUpdate.Strip - 1) / SymmetricUpdate.Strip * SymmetricUpdate.Strip;
        if ((long)Stride * Stride > Array.MaxLength)
        {
            throw new InvalidSettingException("features", features, "their products are more than an array holds: calibrate narrower layers.");
        }

        Features = features;
        _products = new double[Stride * Stride];
        _sums = new double[features];
        _cubes = new double[features];
        _packed = new double[Stride * SymmetricUpdate.Depth];
    }

    /// <summary>n.</summary>
    public int Features { get; }

    /// <summary>Tokens added so far.</summary>
    public long Tokens { get; private set; }

    /// <summary>Sum of x_i x_j over the tokens.</summary>
    public double this[int i, int j] => i <= j ? _products[(long)i * Stride + j] : _products[(long)j * Stride + i];

    /// <summary>The upper triangle, <c>[Stride, Stride]</c>.</summary>
    internal ReadOnlySpan<double> Products => _products;

    /// <summary>Elements from one row of <see cref="Products"/> to the next.</summary>
    internal int Stride { get; }

    /// <summary>Mean of x, <c>[n]</c>; zeros without tokens.</summary>
    public double[] Mean()
    {
        double[] mean = new double[Features];
        for (int i = 0; i < mean.Length && Tokens > 0; i++) mean[i] = _sums[i] / Tokens;
        return mean;
    }

    /// <summary>Adds tokens.</summary>
    /// <param name="rows"><c>[tokens, stride]</c> row-major, features first in each row.</param>
    /// <param name="tokens">Rows.</param>
    /// <param name="stride">Values from one row to the next; 0 means n.</param>
    /// <param name="threads">Threads, 0 for all.</param>
    /// <param name="cancel">Ends the work; the sums then hold part of the tokens.</param>
    /// <exception cref="ShapeMismatchException">The span does not hold tokens x stride values, or a row is shorter than n.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite; nothing of the call is added.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public void Add(ReadOnlySpan<float> rows, int tokens, int stride = 0, int threads = 0, CancellationToken cancel = default)
    {
        if (stride == 0) stride = Features;
        if (tokens < 0 || stride < Features || rows.Length != (long)tokens * stride)
        {
            throw new ShapeMismatchException(
                "calibration tokens", $"{tokens} rows of at least {Features} values", $"{rows.Length} values in rows of {stride}",
                "Pass whole rows of the layer's input.");
        }

        CheckFinite(rows, tokens, stride);
        fixed (float* source = rows)
        fixed (double* packed = _packed, products = _products)
        {
            for (int t = 0; t < tokens; t += SymmetricUpdate.Depth)
            {
                cancel.ThrowIfCancellationRequested();
                int count = Math.Min(SymmetricUpdate.Depth, tokens - t);
                Pack(source + (long)t * stride, count, stride, packed);
                SymmetricUpdate.Add(packed, count, products, Stride, 0, 1, new ParallelOptions { MaxDegreeOfParallelism = threads == 0 ? -1 : threads });
            }
        }

        Tokens += tokens;
    }

    /// <summary>
    /// How far the (centred) second moment of so many tokens should be drawn to a multiple of the identity to be nearest, in expectation,
    /// to that of all tokens there are:
    /// S* = (1 - s) S + s mean(diag S) I with s from Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices" (2004).
    /// Tokens count as independent.
    /// </summary>
    /// <returns>s, 0 .. 1.</returns>
    public double Shrinkage(bool centered)
    {
        if (Tokens == 0) return 1;
        double[] mean = centered ? Mean() : new double[Features];
        double trace = 0, norm = 0, along = 0, cubes = 0, center = 0;
        for (int i = 0; i < Features; i++)
        {
            double diagonal = (this[i, i] / Tokens) - (mean[i] * mean[i]), image = 0;
            trace += diagonal;
            norm += diagonal * diagonal;
            center += mean[i] * mean[i];
            cubes += _cubes[i] * mean[i];
            for (int j = i + 1; j < Features; j++)
            {
                double product = this[i, j] / Tokens, value = product - (mean[i] * mean[j]);
                norm += 2 * value * value;
                image += product * mean[j];
            }

            along += mean[i] * ((this[i, i] / Tokens * mean[i]) + (2 * image));
        }

        // Mean of |x - m|⁴ = (q - 2 x'm + m'm)², q = x'x, term by term.
        double squares = trace + center,
            fourth = (_fourth / Tokens) + (4 * along) + (center * center) - (4 * cubes / Tokens) + (2 * center * squares) - (4 * center * center);
        double distance = norm - (trace * trace / Features), noise = (fourth - norm) / Tokens;
        return distance > 0 ? Math.Clamp(noise / distance, 0, 1) : 1;
    }

    private void CheckFinite(ReadOnlySpan<float> rows, int tokens, int stride)
    {
        for (int t = 0; t < tokens; t++)
        {
            for (int i = 0; i < Features; i++)
            {
                float value = rows[t * stride + i];
                if (float.IsFinite(value)) continue;
                throw new NonFiniteException("calibration tokens",
                    FormattableString.Invariant($"{value} at token {t}, feature {i}. Find where it was made before this layer."));
            }
        }
    }

    // Strips of 16 features, [strip][token][16]; the last one is padded with zeros. Adds up sums and lengths on the way.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Pack(float* rows, int count, int stride, double* packed)
    {
        const int strip = SymmetricUpdate.Strip;
        for (int t = 0; t < count; t++)
        {
            float* row = rows + (long)t * stride;
            double length = 0;
            for (int s = 0; s < Stride / strip; s++)
            {
                double* target = packed + ((long)s * count + t) * strip;
                for (int e = 0; e < strip; e++)
                {
                    int i = s * strip + e;
                    double value = i < Features ? row[i] : 0;
                    target[e] = value;
                    length += value * value;
                    if (i < Features) _sums[i] += value;
                }
            }

            _fourth += length * length;
            for (int i = 0; i < Features; i++) _cubes[i] += length * row[i];
        }
    }
}
