using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <content>
/// Decoding on eight lanes; sixteen are no faster, as .NET gathers eight values at a time. A state is 12 bits of the payload and needs nothing else.
/// Row-major: sixteen samples lie in 2 * bits &lt;= 12 bytes and their windows start at most two bytes before; every lane shuffles the three bytes its window
/// lies in to its low end and shifts. Column-major: a lane is a column, whose windows lie B * bits / 8 bytes apart at the same bit, and is gathered.
/// </content>
internal sealed unsafe partial class TrellisTiles
{
    private const int Mask = TrellisCodebook.States - 1;
    private const int Before = 4; // bytes of a row-major vector before its first symbol: 4 + 12 make one of 16
    private static readonly byte[][] s_shuffles = [.. Enumerable.Range(TrellisCodebook.LeastBits, 5).Select(MakeShuffle)];
    private static readonly int[][] s_shifts =
        [.. Enumerable.Range(TrellisCodebook.LeastBits, 5).Select(bits => Enumerable.Range(0, 16).Select(lane => 12 - WindowStart(lane, bits) % 8).ToArray())];

    private static bool HasAvx2 => Avx2.IsSupported;

    /// <summary>Needs AVX2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void DecodeAvx2(int tileIndex, Span<float> coefficients)
    {
        if (Scan == TrellisScan.ColumnMajor)
        {
            DecodeColumns(tileIndex, coefficients);
            return;
        }

        int bits = Bits, area = Tile * Tile, step = 2 * bits;
        byte[] shuffles = s_shuffles[bits - TrellisCodebook.LeastBits];
        int[] shifts = s_shifts[bits - TrellisCodebook.LeastBits];
        Vector256<byte> shuffle0 = Vector256.Create(shuffles), shuffle1 = Vector256.Create(shuffles, 32);
        Vector256<uint> shifts0 = Vector256.Create(shifts).AsUInt32(), shifts1 = Vector256.Create(shifts, 8).AsUInt32(), mask = Vector256.Create((uint)Mask);
        Vector256<float> scale = Vector256.Create((float)Scales[tileIndex]);
        byte* head = stackalloc byte[16];
        fixed (float* table = TrellisCodebook.For(bits), start = coefficients)
        fixed (byte* codes = Codes.Span)
        {
            byte* payload = codes + (long)tileIndex * area * bits / 8, source = CopyHead(payload, head);
            for (float* y = start; y < start + area; y += 16)
            {
                Vector256<byte> twice = Avx2.BroadcastVector128ToVector256(source);
                Vector256<int> low = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle0).AsUInt32(), shifts0) & mask).AsInt32();
                Vector256<int> high = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle1).AsUInt32(), shifts1) & mask).AsInt32();
                (Avx2.GatherVector256(table, low, sizeof(float)) * scale).Store(y);
                (Avx2.GatherVector256(table, high, sizeof(float)) * scale).Store(y + 8);
                payload += step;
                source = payload - Before;
            }
        }
    }

    // Eight columns at a time, down the rows. Only the first windows of column 0 begin before the payload; its lane then reads column 1 and is put right.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void DecodeColumns(int tileIndex, Span<float> coefficients)
    {
        int bits = Bits, tile = Tile, stride = tile * bits / 8, headRows = (TrellisCodebook.StateBits - 1) / bits;
        Vector256<int> lanes = Vector256<int>.Indices * stride, headLanes = Vector256.Max(lanes, Vector256.Create(stride)), mask = Vector256.Create(Mask);
        Vector256<byte> swap =
            Vector256.Create((byte)3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
        float single = (float)Scales[tileIndex];
        Vector256<float> scale = Vector256.Create(single);
        fixed (float* table = TrellisCodebook.For(bits), y = coefficients)
        fixed (byte* codes = Codes.Span)
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

    // What a row-major vector at the start of a tile sees: zeros, then the payload.
    private static byte* CopyHead(byte* payload, byte* head)
    {
        for (int i = 0; i < 16; i++) head[i] = i < Before ? (byte)0 : payload[i - Before];
        return head;
    }

    // First bit of a lane's window, counted from the vector's first byte.
    private static int WindowStart(int lane, int bits) => 8 * Before + (lane + 1) * bits - TrellisCodebook.StateBits;

    // For each of 16 lanes of four bytes: the three bytes its window lies in, the last one lowest, and a zero.
    private static byte[] MakeShuffle(int bits)
    {
        const byte zero = 0x80;
        byte[] shuffle = new byte[64];
        for (int lane = 0; lane < 16; lane++)
        {
            int first = WindowStart(lane, bits) / 8;
            for (int i = 0; i < 3; i++) shuffle[4 * lane + i] = first + 2 - i < 16 ? (byte)(first + 2 - i) : zero;
            shuffle[4 * lane + 3] = zero;
        }

        return shuffle;
    }
}
