using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace RbeMl.Codec;

/// <summary>
/// The eight basis functions of a tile on the midpoint grid x = (2j + 1)/B - 1 (input, columns), y = (2i + 1)/B - 1 (output, rows),
/// d = sqrt(x² + y²): 1, d, d², cos πx, cos πy, cos 2πx, cos 2πy, cos πx · cos πy.
/// Each is a short sum of products f(y) g(x) of the twelve 1-D <see cref="Factors"/>: 0: 1; 1: x²; 2: cos πx; 3: cos 2πx;
/// 4 .. 11: eigenvectors of the matrix d, scaled by sqrt|λ|, with the sign of λ in <see cref="DistanceSigns"/>. Eight of them give d
/// to 1e-6 of its norm (3e-6 at B = 128), so that in the coefficient domain a tile's alphas cost 16 multiplications a token.
/// </summary>
public sealed class BasisFunctions
{
    /// <summary>Number of basis functions, and of the alphas of a tile.</summary>
    public const int Count = 8;

    /// <summary>Eigenvectors kept of d.</summary>
    public const int DistanceRank = 8;

    /// <summary>Number of 1-D factors.</summary>
    public const int FactorCount = 4 + DistanceRank;

    private static readonly ConcurrentDictionary<(TileTransform, int), BasisFunctions> s_cache = new();
    private static readonly ConcurrentDictionary<int, (double[][] Factors, double[] Signs)> s_factors = new();

    private BasisFunctions(TileTransform transform, int tile)
    {
        Tile = tile;
        (double[][] factors, double[] signs) = s_factors.GetOrAdd(tile, MakeFactors);
        DistanceSigns = signs;
        double[] m = TransformMatrix.Analysis(transform, tile);
        Factors = factors;
        TransformedFactors = [.. factors.Select(f => Transform(m, f, tile))];
        Functions = [.. Enumerable.Range(0, Count).Select(k => MakeFunction(k, Factors))];
        TransformedFunctions = [.. Enumerable.Range(0, Count).Select(k => MakeFunction(k, TransformedFactors))];
        Gram = MakeGram();
    }

    /// <summary>Tile edge B.</summary>
    public int Tile { get; }

    /// <summary><c>[12][B]</c>: the 1-D factors on the grid.</summary>
    internal double[][] Factors { get; }

    /// <summary><c>[12][B]</c>: the 1-D factors in the transform's domain, A f.</summary>
    internal double[][] TransformedFactors { get; }

    /// <summary>Signs of the eigenvalues of d.</summary>
    internal double[] DistanceSigns { get; }

    /// <summary><c>[8][B * B]</c>: the functions on the grid, row-major (row = y).</summary>
    internal double[][] Functions { get; }

    /// <summary><c>[8][B * B]</c>: the functions in the transform's domain, A φ A', of which synthesis makes φ; row-major (row = output frequency).</summary>
    internal double[][] TransformedFunctions { get; }

    /// <summary><c>[8 * 8]</c>: inner products of the functions over a whole tile.</summary>
    internal double[] Gram { get; }

    /// <summary>Function <paramref name="k"/> on the grid, <c>[B * B]</c>, row-major (row = y).</summary>
    /// <param name="k">0 .. 7, in the order above.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such function.</exception>
    public ReadOnlySpan<double> Function(int k)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(k);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(k, Functions.Length);
        return Functions[k];
    }

    /// <summary>The functions for a transform and tile.</summary>
    public static BasisFunctions Get(TileTransform transform, int tile) => s_cache.GetOrAdd((transform, tile), static key => new(key.Item1, key.Item2));

    /// <summary>The products that make up function <paramref name="k"/>: (row factor, column factor, weight).</summary>
    public IEnumerable<(int Row, int Column, double Weight)> Terms(int k) => k switch
    {
        0 => [(0, 0, 1)],
        1 => Enumerable.Range(0, DistanceRank).Select(r => (4 + r, 4 + r, DistanceSigns[r])),
        2 => [(0, 1, 1), (1, 0, 1)],
        3 => [(0, 2, 1)],
        4 => [(2, 0, 1)],
        5 => [(0, 3, 1)],
        6 => [(3, 0, 1)],
        7 => [(2, 2, 1)],
        _ => throw new ArgumentOutOfRangeException(nameof(k)),
    };

    private static double[] Transform(double[] m, double[] f, int n)
    {
        double[] y = new double[n];
        for (int u = 0; u < n; u++)
        {
            double sum = 0;
            for (int i = 0; i < n; i++) sum += m[u * n + i] * f[i];
            y[u] = sum;
        }

        return y;
    }

    private static (double[][] Factors, double[] Signs) MakeFactors(int n)
    {
        double[] x = [.. Enumerable.Range(0, n).Select(i => (2.0 * i + 1) / n - 1)];
        double[][] factors = new double[FactorCount][];
        factors[0] = [.. x.Select(_ => 1.0)];
        factors[1] = [.. x.Select(v => v * v)];
        factors[2] = [.. x.Select(v => Math.Cos(Math.PI * v))];
        factors[3] = [.. x.Select(v => Math.Cos(2 * Math.PI * v))];

        double[] distance = new double[n * n];
        for (int i = 0; i < n; i++)
        {
            for (int j = 0; j < n; j++) distance[i * n + j] = Math.Sqrt(x[i] * x[i] + x[j] * x[j]);
        }

        (double[] values, double[] vectors) = JacobiEigen(distance, n);
        int[] order = [.. Enumerable.Range(0, n).OrderByDescending(k => Math.Abs(values[k]))];
        double[] signs = new double[DistanceRank];
        for (int r = 0; r < DistanceRank; r++)
        {
            int k = order[r];
            signs[r] = Math.Sign(values[k]);
            double scale = Math.Sqrt(Math.Abs(values[k]));
            factors[4 + r] = [.. Enumerable.Range(0, n).Select(i => scale * vectors[i * n + k])];
        }

        return (factors, signs);
    }

    // Cyclic Jacobi rotations of a symmetric matrix; column k of the result is the k-th eigenvector.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static (double[] Values, double[] Vectors) JacobiEigen(double[] a, int n)
    {
        double[] v = new double[n * n];
        for (int i = 0; i < n; i++) v[i * n + i] = 1;
        for (int sweep = 0; sweep < 40; sweep++)
        {
            double off = 0;
            for (int p = 0; p < n; p++)
            {
                for (int q = p + 1; q < n; q++)
                {
                    double apq = a[p * n + q];
                    if (Math.Abs(apq) < 1e-18) continue;
                    off += apq * apq;
                    double theta = (a[q * n + q] - a[p * n + p]) / (2 * apq);
                    double t = (theta >= 0 ? 1 : -1) / (Math.Abs(theta) + Math.Sqrt(theta * theta + 1));
                    double c = 1 / Math.Sqrt(t * t + 1), s = t * c;
                    for (int k = 0; k < n; k++) (a[k * n + p], a[k * n + q]) = (c * a[k * n + p] - s * a[k * n + q], s * a[k * n + p] + c * a[k * n + q]);
                    for (int k = 0; k < n; k++) (a[p * n + k], a[q * n + k]) = (c * a[p * n + k] - s * a[q * n + k], s * a[p * n + k] + c * a[q * n + k]);
                    for (int k = 0; k < n; k++) (v[k * n + p], v[k * n + q]) = (c * v[k * n + p] - s * v[k * n + q], s * v[k * n + p] + c * v[k * n + q]);
                }
            }

            if (off < 1e-24) break;
        }

        return ([.. Enumerable.Range(0, n).Select(k => a[k * n + k])], v);
    }

    private double[] MakeFunction(int k, double[][] factors)
    {
        double[] f = new double[Tile * Tile];
        foreach ((int row, int column, double weight) in Terms(k))
        {
            for (int i = 0; i < Tile; i++)
            {
                for (int j = 0; j < Tile; j++) f[i * Tile + j] += weight * factors[row][i] * factors[column][j];
            }
        }

        return f;
    }

    private double[] MakeGram()
    {
        double[] gram = new double[64];
        for (int k = 0; k < 8; k++)
        {
            for (int l = 0; l < 8; l++)
            {
                double sum = 0;
                for (int e = 0; e < Tile * Tile; e++) sum += Functions[k][e] * Functions[l][e];
                gram[k * 8 + l] = sum;
            }
        }

        return gram;
    }
}
