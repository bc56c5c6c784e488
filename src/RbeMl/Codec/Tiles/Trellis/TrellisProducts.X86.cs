using System.Runtime.Intrinsics.X86;
using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// Products with a vector: values of states come into registers and meet x there; each tile's sums get its scale at its end. Sixteen lanes compute the values
/// (<see cref="TrellisCurve"/>), machines without them look each up (<see cref="TrellisScalarProducts"/>).
/// </summary>
internal static unsafe partial class TrellisProducts
{
    /// <summary>y += Q x of tiles without outliers.</summary>
    public static void Product(TrellisTiles tiles, int firstTile, int count, float* x, float* y, float* scratch)
    {
        bool wide = Avx512BW.IsSupported, byRows = tiles.Scan == TrellisScan.RowMajor;
        int lanes = wide ? WideLanes : TrellisScalarProducts.Lanes;
        float* sums = byRows ? scratch : y;
        if (byRows) new Span<float>(scratch, tiles.Tile * lanes).Clear();
        if (wide) ProductWide(tiles, firstTile, count, x, sums);
        else tiles.ProductScalar(firstTile, count, x, sums);
        if (byRows) VectorKernel.AddSums(scratch, lanes, tiles.Tile, y);
    }
}
