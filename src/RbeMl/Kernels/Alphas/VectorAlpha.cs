using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using RbeMl.Codec;
using RbeMl.Numerics;

namespace RbeMl.Kernels;

/// <summary>
/// The eight basis functions of a single token's product. A block's twelve moments m are kept as sixteen numbers, so that a tile's alphas a meet them lane by
/// lane: (m0, 0, m1, m2, m0, m3, m0, m2), then m4 .. m11 with the signs of d.
/// </summary>
internal static unsafe class VectorAlpha
{
    /// <summary>Numbers that a block's moments are kept as.</summary>
    public const int Entries = 16;

    private const int Lanes = 8;

    /// <summary>Moments of blocks in the coefficient domain, <c>[blocks][16]</c>.</summary>
    [SkipLocalsInit]
    public static void Moments(AlphaFactors<float> factors, float* coefficients, int blocks, float* moments)
    {
        float* m = stackalloc float[BasisFunctions.FactorCount];
        for (int b = 0; b < blocks; b++, coefficients += factors.Tile, moments += Entries)
        {
            new Span<float>(m, BasisFunctions.FactorCount).Clear();
            VectorKernel.Dot(factors.Pointer, factors.Tile, BasisFunctions.FactorCount, factors.Tile, coefficients, m);
            (moments[0], moments[1], moments[2], moments[3]) = (m[0], 0, m[1], m[2]);
            (moments[4], moments[5], moments[6], moments[7]) = (m[0], m[3], m[0], m[2]);
            for (int r = 0; r < BasisFunctions.DistanceRank; r++) moments[Lanes + r] = factors.Signs[r] * m[4 + r];
        }
    }

    /// <summary>coefficients += what the alphas of a row of tiles make of the moments; alphas are <c>[tiles][8]</c>, coefficients is one block.</summary>
    [SkipLocalsInit]
    public static void Add(AlphaFactors<float> factors, float* alphas, float* moments, int tiles, float* coefficients)
    {
        float* s = stackalloc float[BasisFunctions.FactorCount], sums = stackalloc float[Lanes];
        Mix(alphas, moments, tiles, sums, s);
        (s[0], s[2], s[3]) = (sums[0] + sums[2] + sums[3] + sums[5], sums[4] + sums[7], sums[6]);
        int tile = factors.Tile;
        float* factor = factors.Pointer;
        for (int f = 0; f < BasisFunctions.FactorCount; f++, factor += tile)
        {
            Vector256<float> scale = Vector256.Create(s[f]);
            for (int u = 0; u < tile; u += Lanes)
            {
                Vector256.FusedMultiplyAdd(scale, Vector256.Load(factor + u), Vector256.Load(coefficients + u)).Store(coefficients + u);
            }
        }
    }

    // sums = the alphas times the first eight entries; s1 and s4 .. s11 are complete.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Mix(float* alphas, float* moments, int tiles, float* sums, float* s)
    {
        Vector256<float> functions = Vector256<float>.Zero, distance = Vector256<float>.Zero;
        float square = 0;
        for (int j = 0; j < tiles; j++, alphas += BasisFunctions.Count, moments += Entries)
        {
            functions = Vector256.FusedMultiplyAdd(Vector256.Load(alphas), Vector256.Load(moments), functions);
            distance = Vector256.FusedMultiplyAdd(Vector256.Create(alphas[1]), Vector256.Load(moments + Lanes), distance);
            square += alphas[2] * moments[0];
        }

        functions.Store(sums);
        distance.Store(s + 4);
        s[1] = square;
    }
}
