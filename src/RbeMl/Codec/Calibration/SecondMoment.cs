using System.Runtime.CompilerServices;

namespace RbeMl.Codec;

/// <summary>
/// Sums of x and x x' over the tokens that reach a linear layer, in double: what calibrated rounding knows about the layer's input. Takes 8 n² bytes.
/// The same bits for any number of threads. Not safe for use by several threads at a time.
/// </summary>
public sealed unsafe class SecondMoment
{
    private readonly double[] _products; // [n padded, n padded], upper triangle
    private readonly double[] _sums; // [n]
    private readonly double[] _packed; // [n padded / 16][depth][16]
    private double _fourth;

    /// <summary>Creates empty sums.</summary>
    /// <param name="features">n, the input features of the layer.</param>
    /// <exception cref="InvalidSettingException">Features are fewer than 1, or n² is more than an array holds.</exception>
    public SecondMoment(int features)
    {
        if (features < 1) throw new InvalidSettingException("features", features, "a layer has at least one input feature.");
        Stride = (features + SymmetricUpdate.Strip - 1) / SymmetricUpdate.Strip * SymmetricUpdate.Strip;
        if ((long)Stride * Stride > Array.MaxLength) throw new InvalidSettingException("features", features, "their products are more than an array holds: calibrate narrower layers.");
        Features = features;
        _products = new double[Stride * Stride];
        _sums = new double[features];
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

    /// <summary>Sum of (x'x)² over the tokens.</summary>
    internal double FourthMoment => _fourth;

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
    /// <exception cref="ShapeMismatchException">The span does not hold tokens x stride values, or a row is shorter than n.</exception>
    /// <exception cref="NonFiniteException">A value is NaN or infinite; nothing of the call is added.</exception>
    public void Add(ReadOnlySpan<float> rows, int tokens, int stride = 0, int threads = 0)
    {
        if (stride == 0) stride = Features;
        if (tokens < 0 || stride < Features || rows.Length != (long)tokens * stride)
        {
            throw new ShapeMismatchException("calibration tokens", $"{tokens} rows of at least {Features} values", $"{rows.Length} values in rows of {stride}", "Pass whole rows of the layer's input.");
        }

        CheckFinite(rows, tokens, stride);
        fixed (float* source = rows)
        fixed (double* packed = _packed, products = _products)
        {
            for (int t = 0; t < tokens; t += SymmetricUpdate.Depth)
            {
                int count = Math.Min(SymmetricUpdate.Depth, tokens - t);
                Pack(source + (long)t * stride, count, stride, packed);
                SymmetricUpdate.Add(packed, count, products, Stride, 0, 1, threads);
            }
        }

        Tokens += tokens;
    }

    private void CheckFinite(ReadOnlySpan<float> rows, int tokens, int stride)
    {
        for (int t = 0; t < tokens; t++)
        {
            for (int i = 0; i < Features; i++)
            {
                float value = rows[t * stride + i];
                if (!float.IsFinite(value)) throw new NonFiniteException("calibration tokens", FormattableString.Invariant($"{value} at token {t}, feature {i}. Find where it was made before this layer."));
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
        }
    }
}
