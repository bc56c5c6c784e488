using System.Numerics;
using System.Runtime.InteropServices;

namespace RbeMl.Codec;

/// <summary>
/// Least squares of the eight basis functions over some of a tile's B² places: minimises the sum over places with mask 1 of
/// (target - sum_k alpha_k f_k)². The normal matrix is scaled to a unit diagonal and inverted through its eigenvectors; directions the
/// places cannot tell apart (eigenvalue below 1e-7 of the largest) get nothing, so that alphas stay small enough for fp32.
/// </summary>
internal static class AlphaSolver
{
    private const int N = BasisFunctions.Count;
    private const double EigenvalueCutoff = 1e-7;
    private const double DiagonalCutoff = 1e-12;

    /// <summary>Alphas for <paramref name="target"/> over the places where <paramref name="mask"/> is 1 (it holds only zeros and ones).</summary>
    /// <param name="functions"><c>[8][B²]</c> in the domain of the target.</param>
    /// <param name="target"><c>[B²]</c>.</param>
    /// <param name="mask"><c>[B²]</c>.</param>
    /// <param name="gram"><c>[8 * 8]</c> inner products over the whole tile: the scale below which a function counts as absent.</param>
    /// <param name="alphas"><c>[8]</c>, written; rounded to fp32.</param>
    public static void Solve(double[][] functions, ReadOnlySpan<double> target, ReadOnlySpan<double> mask, double[] gram, Span<double> alphas)
    {
        Span<double> normal = stackalloc double[N * N];
        Span<double> right = stackalloc double[N];
        for (int k = 0; k < N; k++)
        {
            right[k] = MaskedDot(functions[k], target, mask);
            for (int l = 0; l <= k; l++) normal[k * N + l] = normal[l * N + k] = MaskedDot(functions[k], functions[l], mask);
        }

        Span<double> scale = stackalloc double[N];
        for (int k = 0; k < N; k++) scale[k] = normal[k * N + k] > DiagonalCutoff * gram[k * N + k] ? 1 / Math.Sqrt(normal[k * N + k]) : 0;
        double[] scaled = new double[N * N];
        for (int e = 0; e < N * N; e++) scaled[e] = normal[e] * scale[e / N] * scale[e % N];
        (double[] values, double[] vectors) = BasisFunctions.JacobiEigen(scaled, N);
        double largest = values.Max();
        alphas.Clear();
        for (int r = 0; r < N; r++)
        {
            if (values[r] <= EigenvalueCutoff * largest) continue;
            double projection = 0;
            for (int k = 0; k < N; k++) projection += vectors[k * N + r] * scale[k] * right[k];
            for (int k = 0; k < N; k++) alphas[k] += projection / values[r] * vectors[k * N + r] * scale[k];
        }

        for (int k = 0; k < N; k++) alphas[k] = (float)alphas[k];
    }

    /// <summary>residual -= sum_k alpha_k f_k.</summary>
    public static void Subtract(double[][] functions, ReadOnlySpan<double> alphas, Span<double> residual)
    {
        for (int k = 0; k < N; k++)
        {
            if (alphas[k] != 0) AddScaled(residual, functions[k], -alphas[k]);
        }
    }

    /// <summary>y += a x.</summary>
    public static void AddScaled(Span<double> y, ReadOnlySpan<double> x, double a)
    {
        Span<Vector<double>> yv = MemoryMarshal.Cast<double, Vector<double>>(y);
        ReadOnlySpan<Vector<double>> xv = MemoryMarshal.Cast<double, Vector<double>>(x);
        Vector<double> av = new(a);
        for (int i = 0; i < yv.Length; i++) yv[i] += av * xv[i];
    }

    /// <summary>Sum of x y where the mask is 1. Lengths are multiples of 1024.</summary>
    public static double MaskedDot(ReadOnlySpan<double> x, ReadOnlySpan<double> y, ReadOnlySpan<double> mask)
    {
        ReadOnlySpan<Vector<double>> xv = MemoryMarshal.Cast<double, Vector<double>>(x);
        ReadOnlySpan<Vector<double>> yv = MemoryMarshal.Cast<double, Vector<double>>(y);
        ReadOnlySpan<Vector<double>> mv = MemoryMarshal.Cast<double, Vector<double>>(mask);
        Vector<double> s0 = default, s1 = default;
        for (int i = 0; i + 1 < xv.Length; i += 2)
        {
            s0 += xv[i] * yv[i] * mv[i];
            s1 += xv[i + 1] * yv[i + 1] * mv[i + 1];
        }

        return Vector.Sum(s0 + s1);
    }
}
