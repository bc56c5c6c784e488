using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// Products with a vector: values of states come into registers and meet x there; each tile's sums get its scale at its end. Eight lanes gather the values as
/// when decoding, sixteen compute them (<see cref="TrellisCurve"/>).
/// </summary>
internal static unsafe partial class TrellisProducts
{
    private const int Lanes = 8;

    /// <summary>y += Q x of tiles without outliers, or false where there is no such product: of column-major ones without AVX-512.</summary>
    public static bool Product(TrellisTiles tiles, int firstTile, int count, float* x, float* y, float* scratch)
    {
        if (Avx512BW.IsSupported)
        {
            if (tiles.Scan == TrellisScan.ColumnMajor)
            {
                ProductWide(tiles, firstTile, count, x, y);
                return true;
            }

            new Span<float>(scratch, tiles.Tile * WideLanes).Clear();
            ProductWide(tiles, firstTile, count, x, scratch);
            VectorKernel.AddSums(scratch, WideLanes, tiles.Tile, y);
            return true;
        }

        if (!Avx2.IsSupported || !Fma.IsSupported || tiles.Scan == TrellisScan.ColumnMajor) return false;
        new Span<float>(scratch, tiles.Tile * Lanes).Clear();
        tiles.ProductAvx2(firstTile, count, x, scratch);
        VectorKernel.AddSums(scratch, Lanes, tiles.Tile, y);
        return true;
    }

    /// <summary>sums <c>[B][8]</c> += products. Needs AVX2 and FMA.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void ProductAvx2(this TrellisTiles tiles, int firstTile, int count, float* x, float* sums)
    {
        int bits = tiles.Bits, tile = tiles.Tile, step = 2 * bits;
        byte[] shuffles = TrellisWindows.Shuffles[bits - TrellisCodebook.LeastBits];
        int[] shifts = TrellisWindows.Shifts[bits - TrellisCodebook.LeastBits];
        Vector256<byte> shuffle0 = Vector256.Create(shuffles), shuffle1 = Vector256.Create(shuffles, 32);
        Vector256<uint> shifts0 = Vector256.Create(shifts).AsUInt32(), shifts1 = Vector256.Create(shifts, 8).AsUInt32(),
            mask = Vector256.Create((uint)TrellisWindows.Mask);
        byte* head = stackalloc byte[16];
        fixed (float* table = TrellisCodebook.For(bits))
        fixed (byte* codes = tiles.Codes.Span)
        {
            byte* payload = codes + ((long)firstTile * tile * tile * bits / 8);
            for (int j = 0; j < count; j++, x += tile)
            {
                Vector256<float> scale = Vector256.Create((float)tiles.Scales[firstTile + j]);
                byte* source = TrellisWindows.CopyHead(payload, head);
                float* sum = sums;
                for (int row = 0; row < tile; row++, sum += Lanes)
                {
                    Vector256<float> even = Vector256<float>.Zero, odd = even;
                    for (float* xs = x; xs < x + tile; xs += 16)
                    {
                        Vector256<byte> twice = Avx2.BroadcastVector128ToVector256(source);
                        Vector256<int> low = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle0).AsUInt32(), shifts0) & mask).AsInt32();
                        Vector256<int> high = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle1).AsUInt32(), shifts1) & mask).AsInt32();
                        even = Fma.MultiplyAdd(Avx2.GatherVector256(table, low, sizeof(float)), Vector256.Load(xs), even);
                        odd = Fma.MultiplyAdd(Avx2.GatherVector256(table, high, sizeof(float)), Vector256.Load(xs + Lanes), odd);
                        payload += step;
                        source = payload - TrellisWindows.Before;
                    }

                    Fma.MultiplyAdd(scale, even + odd, Vector256.Load(sum)).Store(sum);
                }
            }
        }
    }
}
