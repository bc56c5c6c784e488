using System.Collections.Concurrent;
using System.Numerics;

namespace RbeMl.Codec;

/// <summary>The B x B orthonormal matrix of a 1-D transform, <c>[frequency][position]</c>, in double. The 2-D transform of a tile is <c>M A M'</c>.</summary>
public static class TransformMatrix
{
    private static readonly ConcurrentDictionary<(TileTransform, int), double[]> s_cache = new();

    /// <summary>The matrix, row-major <c>[frequency][position]</c>. Do not write to it.</summary>
    public static double[] Get(TileTransform transform, int size) => s_cache.GetOrAdd((transform, size), static key => Make(key.Item1, key.Item2));

    private static double[] Make(TileTransform transform, int n)
    {
        if (n is not (32 or 64 or 128)) throw new InvalidSettingException("tile", n, "use 32, 64 or 128.");
        double[] m = new double[n * n];
        for (int u = 0; u < n; u++)
        {
            for (int i = 0; i < n; i++)
            {
                m[u * n + i] = transform switch
                {
                    TileTransform.Dct => Math.Sqrt((u == 0 ? 1.0 : 2.0) / n) * Math.Cos(Math.PI * (2 * i + 1) * u / (2.0 * n)),
                    TileTransform.WalshHadamard => (BitOperations.PopCount((uint)(u & i)) % 2 == 0 ? 1 : -1) / Math.Sqrt(n),
                    TileTransform.Haar => Haar(u, i, n),
                    TileTransform.None => u == i ? 1 : 0,
                    _ => throw new InvalidSettingException("transform", transform, "use Dct, WalshHadamard, Haar or None."),
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
}
