using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <content>Products with a vector: states are gathered into registers as when decoding, and meet x there; each tile's sums get its scale at its end.</content>
internal sealed unsafe partial class TrellisTiles
{
    private const int Lanes = 8;

    private protected override bool Product(int firstTile, int count, float* x, float* y, float* scratch)
    {
        if (!Avx2.IsSupported || !Fma.IsSupported || Scan == TrellisScan.ColumnMajor) return false;
        new Span<float>(scratch, Tile * Lanes).Clear();
        ProductAvx2(firstTile, count, x, scratch);
        VectorKernel.AddSums(scratch, Lanes, Tile, y);
        return true;
    }

    /// <summary>sums <c>[B][8]</c> += products. Needs AVX2 and FMA.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void ProductAvx2(int firstTile, int count, float* x, float* sums)
    {
        int bits = Bits, tile = Tile, step = 2 * bits;
        byte[] shuffles = s_shuffles[bits - TrellisCodebook.LeastBits];
        int[] shifts = s_shifts[bits - TrellisCodebook.LeastBits];
        Vector256<byte> shuffle0 = Vector256.Create(shuffles), shuffle1 = Vector256.Create(shuffles, 32);
        Vector256<uint> shifts0 = Vector256.Create(shifts).AsUInt32(), shifts1 = Vector256.Create(shifts, 8).AsUInt32(), mask = Vector256.Create((uint)Mask);
        byte* head = stackalloc byte[16];
        fixed (float* table = TrellisCodebook.For(bits))
        fixed (byte* codes = Codes.Span)
        {
            byte* payload = codes + ((long)firstTile * tile * tile * bits / 8);
            for (int j = 0; j < count; j++, x += tile)
            {
                Vector256<float> scale = Vector256.Create((float)Scales[firstTile + j]);
                byte* source = CopyHead(payload, head);
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
                        source = payload - Before;
                    }

                    Fma.MultiplyAdd(scale, even + odd, Vector256.Load(sum)).Store(sum);
                }
            }
        }
    }
}
