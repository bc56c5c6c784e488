using System.Numerics;
using RbeMl.Codec;

namespace RbeMl.Kernels;

/// <summary>
/// The eight basis functions through twelve moments: m = F x (input), s += A(alphas) m a tile, y += F' s (output).
/// Blocks are <c>[tile][width]</c>, moments <c>[12][width]</c>.
/// </summary>
internal static unsafe class ReferenceAlpha
{
    /// <summary>moments = F block (overwrites).</summary>
    public static void Moments<T>(AlphaFactors<T> factors, T* block, T* moments, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int f = 0; f < BasisFunctions.FactorCount; f++)
        {
            for (int lane = 0; lane < width; lane++)
            {
                T sum = T.Zero;
                for (int u = 0; u < factors.Tile; u++) sum += factors.Pointer[f * factors.Tile + u] * block[u * width + lane];
                moments[f * width + lane] = sum;
            }
        }
    }

    /// <summary>block += F' moments.</summary>
    public static void Expand<T>(AlphaFactors<T> factors, T* moments, T* block, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int u = 0; u < factors.Tile; u++)
        {
            for (int lane = 0; lane < width; lane++)
            {
                T sum = T.Zero;
                for (int f = 0; f < BasisFunctions.FactorCount; f++) sum += factors.Pointer[f * factors.Tile + u] * moments[f * width + lane];
                block[u * width + lane] += sum;
            }
        }
    }

    /// <summary>s += A m, A being the 12 x 12 matrix of one tile's eight alphas.</summary>
    public static void Mix<T>(AlphaFactors<T> factors, T* alphas, T* m, T* s, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int lane = 0; lane < width; lane++)
        {
            T m0 = m[lane], m1 = m[width + lane], m2 = m[2 * width + lane], m3 = m[3 * width + lane];
            s[lane] += alphas[0] * m0 + alphas[2] * m1 + alphas[3] * m2 + alphas[5] * m3;
            s[width + lane] += alphas[2] * m0;
            s[2 * width + lane] += alphas[4] * m0 + alphas[7] * m2;
            s[3 * width + lane] += alphas[6] * m0;
            for (int r = 0; r < BasisFunctions.DistanceRank; r++) s[(4 + r) * width + lane] += alphas[1] * factors.Signs[r] * m[(4 + r) * width + lane];
        }
    }

    /// <summary>m += A' s.</summary>
    public static void MixTransposed<T>(AlphaFactors<T> factors, T* alphas, T* s, T* m, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int lane = 0; lane < width; lane++)
        {
            T s0 = s[lane], s1 = s[width + lane], s2 = s[2 * width + lane], s3 = s[3 * width + lane];
            m[lane] += alphas[0] * s0 + alphas[2] * s1 + alphas[4] * s2 + alphas[6] * s3;
            m[width + lane] += alphas[2] * s0;
            m[2 * width + lane] += alphas[3] * s0 + alphas[7] * s2;
            m[3 * width + lane] += alphas[5] * s0;
            for (int r = 0; r < BasisFunctions.DistanceRank; r++) m[(4 + r) * width + lane] += alphas[1] * factors.Signs[r] * s[(4 + r) * width + lane];
        }
    }

    /// <summary>gradient[k] += sum over lanes of the derivative of s'A m by alpha k; m are input moments, s moments of the output gradient.</summary>
    public static void Gradient<T>(AlphaFactors<T> factors, T* m, T* s, T* gradient, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int lane = 0; lane < width; lane++)
        {
            T m0 = m[lane], m1 = m[width + lane], m2 = m[2 * width + lane], m3 = m[3 * width + lane];
            T s0 = s[lane], s1 = s[width + lane], s2 = s[2 * width + lane], s3 = s[3 * width + lane];
            gradient[0] += s0 * m0;
            for (int r = 0; r < BasisFunctions.DistanceRank; r++) gradient[1] += factors.Signs[r] * s[(4 + r) * width + lane] * m[(4 + r) * width + lane];
            gradient[2] += s0 * m1 + s1 * m0;
            gradient[3] += s0 * m2;
            gradient[4] += s2 * m0;
            gradient[5] += s0 * m3;
            gradient[6] += s3 * m0;
            gradient[7] += s2 * m2;
        }
    }
}
