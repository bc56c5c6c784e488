using System.Collections.Concurrent;
using System.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// The B x B matrices of a 1-D transform in double: synthesis S makes cells of coefficients, analysis A = S^-1 coefficients of cells, so that a tile is
/// <c>W = S C S'</c> and <c>C = A W A'</c>. All transforms but <see cref="TileTransform.Cdf97"/> are orthonormal: A = S'. An activation goes
/// into the coefficient domain by S', whatever the transform, because <c>W x = S C (S' x)</c>.
/// </summary>
internal static class TransformMatrix
{
    private static readonly ConcurrentDictionary<(TileTransform, int), (double[] Synthesis, double[] Analysis, double[] Norms)> s_cache = new();

    /// <summary>S, row-major <c>[position][coefficient]</c>. Do not write to it.</summary>
    /// <exception cref="InvalidSettingException">There is no such transform or the size is not 32, 64 or 128.</exception>
    public static double[] Synthesis(TileTransform transform, int size) => Get(transform, size).Synthesis;

    /// <summary>A = S^-1, row-major <c>[coefficient][position]</c>. Do not write to it.</summary>
    /// <exception cref="InvalidSettingException">There is no such transform or the size is not 32, 64 or 128.</exception>
    public static double[] Analysis(TileTransform transform, int size) => Get(transform, size).Analysis;

    /// <summary>Whether A = S', so that an error in the coefficients is the same in the cells.</summary>
    public static bool IsOrthonormal(TileTransform transform) => transform != TileTransform.Cdf97;

    /// <summary>Norms of the columns of S: how much a unit coefficient moves the cells.</summary>
    internal static double[] SynthesisNorms(TileTransform transform, int size) => Get(transform, size).Norms;

    private static (double[] Synthesis, double[] Analysis, double[] Norms) Get(TileTransform transform, int size) =>
        s_cache.GetOrAdd((transform, size), static key => Make(key.Item1, key.Item2));

    private static (double[] Synthesis, double[] Analysis, double[] Norms) Make(TileTransform transform, int n)
    {
        if (n is not (32 or 64 or 128)) throw new InvalidSettingException("tile", n, "use 32, 64 or 128.");
        if (!Enum.IsDefined(transform)) throw new InvalidSettingException("transform", transform, "use Dct, WalshHadamard, Haar, Cdf97 or None.");
        double[] synthesis, analysis;
        if (transform == TileTransform.Cdf97)
        {
            (synthesis, analysis) = (Columns(n, Cdf97Lifting.Synthesize), Columns(n, Cdf97Lifting.Analyze));
        }
        else
        {
            analysis = Orthonormal(transform, n);
            synthesis = Transpose(analysis, n);
        }

        double[] norms = new double[n];
        for (int u = 0; u < n; u++)
        {
            for (int i = 0; i < n; i++) norms[u] += synthesis[i * n + u] * synthesis[i * n + u];
            norms[u] = Math.Sqrt(norms[u]);
        }

        return (synthesis, analysis, norms);
    }

    private static double[] Orthonormal(TileTransform transform, int n)
    {
        double[] m = new double[n * n];
        for (int u = 0; u < n; u++)
        {
            for (int i = 0; i < n; i++)
            {
                m[u * n + i] = transform switch
                {
                    // The cosine has the period 4B in (2i + 1) u: taken off in integers, it costs the angle no bits.
                    TileTransform.Dct => Math.Sqrt((u == 0 ? 1.0 : 2.0) / n) * Math.Cos(Math.PI * ((2 * i + 1) * u % (4 * n)) / (2.0 * n)),
                    TileTransform.WalshHadamard => (BitOperations.PopCount((uint)(u & i)) % 2 == 0 ? 1 : -1) / Math.Sqrt(n),
                    TileTransform.Haar => Haar(u, i, n),
                    _ => u == i ? 1 : 0,
                };
            }
        }

        return m;
    }

    // Row 0 is the mean; row u = 2^l + k is the wavelet of level l at place k, +1 on its first half and -1 on its second.
    private static double Haar(int u, int i, int n)
    {
        if (u == 0) return 1 / Math.Sqrt(n);
        int level = BitOperations.Log2((uint)u);
        int span = n >> level;
        int offset = i - (u - (1 << level)) * span;
        return offset < 0 || offset >= span ? 0 : (offset < span / 2 ? 1 : -1) / Math.Sqrt(span);
    }

    // The matrix of a linear map of n values in place.
    private static double[] Columns(int n, Action<double[]> map)
    {
        double[] m = new double[n * n], unit = new double[n];
        for (int c = 0; c < n; c++)
        {
            Array.Clear(unit);
            unit[c] = 1;
            map(unit);
            for (int r = 0; r < n; r++) m[r * n + c] = unit[r];
        }

        return m;
    }

    private static double[] Transpose(double[] m, int n)
    {
        double[] t = new double[n * n];
        for (int e = 0; e < t.Length; e++) t[e] = m[e % n * n + e / n];
        return t;
    }
}
