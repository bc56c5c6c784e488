using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

internal static unsafe partial class TrellisDecoder
{
    /// <summary>Needs AVX2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void DecodeAvx2(this TrellisTiles tiles, int tileIndex, Span<float> coefficients)
    {
        if (tiles.Scan == TrellisScan.ColumnMajor)
        {
            tiles.DecodeColumns(tileIndex, coefficients);
            return;
        }

        int bits = tiles.Bits, area = tiles.Tile * tiles.Tile, step = 2 * bits;
        byte[] shuffles = TrellisWindows.Shuffles[bits - TrellisCodebook.LeastBits];
        int[] shifts = TrellisWindows.Shifts[bits - TrellisCodebook.LeastBits];
        Vector256<byte> shuffle0 = Vector256.Create(shuffles), shuffle1 = Vector256.Create(shuffles, 32);
        Vector256<uint> shifts0 = Vector256.Create(shifts).AsUInt32(), shifts1 = Vector256.Create(shifts, 8).AsUInt32(),
            mask = Vector256.Create((uint)TrellisWindows.Mask);
        Vector256<float> scale = Vector256.Create((float)tiles.Scales[tileIndex]);
        byte* head = stackalloc byte[16];
        fixed (float* table = TrellisCodebook.For(bits), start = coefficients)
        fixed (byte* codes = tiles.Codes.Span)
        {
            byte* payload = codes + (long)tileIndex * area * bits / 8, source = TrellisWindows.CopyHead(payload, head);
            for (float* y = start; y < start + area; y += 16)
            {
                Vector256<byte> twice = Avx2.BroadcastVector128ToVector256(source);
                Vector256<int> low = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle0).AsUInt32(), shifts0) & mask).AsInt32();
                Vector256<int> high = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle1).AsUInt32(), shifts1) & mask).AsInt32();
                (Avx2.GatherVector256(table, low, sizeof(float)) * scale).Store(y);
                (Avx2.GatherVector256(table, high, sizeof(float)) * scale).Store(y + 8);
                payload += step;
                source = payload - TrellisWindows.Before;
            }
        }
    }

    // Eight columns at a time, down the rows. Only the first windows of column 0 begin before the payload; its lane then reads column 1 and is put right.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void DecodeColumns(this TrellisTiles tiles, int tileIndex, Span<float> coefficients)
    {
        int bits = tiles.Bits, tile = tiles.Tile, stride = tile * bits / 8, headRows = (TrellisCodebook.StateBits - 1) / bits;
        Vector256<int> lanes = Vector256<int>.Indices * stride, headLanes = Vector256.Max(lanes, Vector256.Create(stride)),
            mask = Vector256.Create(TrellisWindows.Mask);
        Vector256<byte> swap =
            Vector256.Create((byte)3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
        float single = (float)tiles.Scales[tileIndex];
        Vector256<float> scale = Vector256.Create(single);
        fixed (float* table = TrellisCodebook.For(bits), y = coefficients)
        fixed (byte* codes = tiles.Codes.Span)
        {
            byte* payload = codes + (long)tileIndex * tile * tile * bits / 8;
            for (int column = 0; column < tile; column += 8)
            {
                for (int row = 0; row < tile; row++)
                {
                    int first = (row + 1) * bits - TrellisCodebook.StateBits;
                    byte* source = payload + (long)column * stride + (first >> 3);
                    Vector256<int> words = Avx2.GatherVector256((int*)source, column == 0 && row < headRows ? headLanes : lanes, 1);
                    Vector256<int> states = Vector256.ShiftRightLogical(Avx2.Shuffle(words.AsByte(), swap).AsInt32(), 20 - (first & 7)) & mask;
                    (Avx2.GatherVector256(table, states, sizeof(float)) * scale).Store(y + row * tile + column);
                }
            }

            int head = payload[0] << 8 | payload[1];
            for (int row = 0; row < headRows; row++) y[row * tile] = single * table[head >> 16 - (row + 1) * bits];
        }
    }
}
