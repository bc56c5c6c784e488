using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <content>
/// Vector decoding. Sixteen codes are 2 * bits &lt;= 16 bytes: every lane shuffles the two bytes its code lies in to its low end, shifts the code
/// down by (lane * bits) mod 8, and looks its level up by permutation (3 .. 5 bits) or computes it (6 .. 8 bits).
/// </content>
internal sealed unsafe partial class QuantizedTiles
{
    private const int VectorBytes = 16;
    private const int TailBytes = 64;
    private static readonly byte[][] s_shuffles = [.. Enumerable.Range(3, 6).Select(MakeShuffle)];
    private static readonly int[][] s_shifts = [.. Enumerable.Range(3, 6).Select(bits => Enumerable.Range(0, 16).Select(lane => lane * bits % 8).ToArray())];
    private static readonly float[][] s_tables =
        [.. Enumerable.Range(3, 3).Select(bits => Enumerable.Range(0, 32).Select(e => QuantizerLevels.For(bits)[e % (1 << bits)]).ToArray())];

    // False where this machine has neither.
    private bool DecodeX86(int tileIndex, Span<float> coefficients)
    {
        if (Avx512BW.IsSupported) DequantizeAvx512(tileIndex, coefficients);
        else if (Avx2.IsSupported) DequantizeAvx2(tileIndex, coefficients);
        return Avx2.IsSupported;
    }

    /// <summary>Needs AVX-512BW.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void DequantizeAvx512(int tileIndex, Span<float> coefficients)
    {
        int bits = Bits, area = Tile * Tile, groups = area / QuantizedFormat.GroupSize;
        Vector512<byte> shuffle = Vector512.Create(s_shuffles[bits - 3]);
        Vector512<uint> shifts = Vector512.Create(s_shifts[bits - 3]).AsUInt32();
        bool uniform = QuantizerLevels.IsUniform(bits);
        float[] table = s_tables[uniform ? 0 : bits - 3];
        Vector512<float> low = Vector512.Create(table), high = Vector512.Create(table, 16);
        Vector512<int> middle = Vector512.Create(1 << bits - 1), mask = Vector512.Create((1 << bits) - 1);
        float step = uniform ? QuantizerLevels.Step(bits) : 1;
        byte* tail = stackalloc byte[TailBytes];
        fixed (byte* codes = Codes.Span)
        fixed (float* coefficientsStart = coefficients)
        {
            float* y = coefficientsStart;
            byte* source = codes + (long)tileIndex * area * bits / 8, last = codes + Codes.Length - GroupReach(bits);
            ref Half scales = ref Unsafe.Add(ref MemoryMarshal.GetReference(Scales.AsSpan()), tileIndex * groups);
            for (int g = 0; g < groups; g++, source += 8 * bits, y += QuantizedFormat.GroupSize)
            {
                Vector512<float> scale = Vector512.Create(ToSingle(Unsafe.Add(ref scales, g)) * step);
                byte* from = source <= last ? source : CopyTail(source, 8 * bits, tail);
                Vector512<int> c0 = Codes16(from, shuffle, shifts), c1 = Codes16(from + 2 * bits, shuffle, shifts);
                Vector512<int> c2 = Codes16(from + 4 * bits, shuffle, shifts), c3 = Codes16(from + 6 * bits, shuffle, shifts);
                if (uniform)
                {
                    (Avx512F.ConvertToVector512Single((c0 & mask) - middle) * scale).Store(y);
                    (Avx512F.ConvertToVector512Single((c1 & mask) - middle) * scale).Store(y + 16);
                    (Avx512F.ConvertToVector512Single((c2 & mask) - middle) * scale).Store(y + 32);
                    (Avx512F.ConvertToVector512Single((c3 & mask) - middle) * scale).Store(y + 48);
                }
                else
                {
                    (Avx512F.PermuteVar16x32x2(low, c0, high) * scale).Store(y);
                    (Avx512F.PermuteVar16x32x2(low, c1, high) * scale).Store(y + 16);
                    (Avx512F.PermuteVar16x32x2(low, c2, high) * scale).Store(y + 32);
                    (Avx512F.PermuteVar16x32x2(low, c3, high) * scale).Store(y + 48);
                }
            }
        }
    }

    /// <summary>Needs AVX2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void DequantizeAvx2(int tileIndex, Span<float> coefficients)
    {
        int bits = Bits, area = Tile * Tile, groups = area / QuantizedFormat.GroupSize;
        Vector256<byte> shuffle0 = Vector256.Create(s_shuffles[bits - 3]), shuffle1 = Vector256.Create(s_shuffles[bits - 3], 32);
        Vector256<uint> shifts0 = Vector256.Create(s_shifts[bits - 3]).AsUInt32(), shifts1 = Vector256.Create(s_shifts[bits - 3], 8).AsUInt32(),
            mask = Vector256.Create((1u << bits) - 1);
        bool uniform = QuantizerLevels.IsUniform(bits);
        Vector256<int> middle = Vector256.Create(1 << bits - 1);
        float step = uniform ? QuantizerLevels.Step(bits) : 1;
        byte* tail = stackalloc byte[TailBytes];
        fixed (byte* codes = Codes.Span)
        fixed (float* coefficientsStart = coefficients, table = s_tables[uniform ? 0 : bits - 3])
        {
            float* y = coefficientsStart;
            byte* source = codes + (long)tileIndex * area * bits / 8, last = codes + Codes.Length - GroupReach(bits);
            ref Half scales = ref Unsafe.Add(ref MemoryMarshal.GetReference(Scales.AsSpan()), tileIndex * groups);
            for (int g = 0; g < groups; g++, source += 8 * bits)
            {
                Vector256<float> scale = Vector256.Create(ToSingle(Unsafe.Add(ref scales, g)) * step);
                byte* from = source <= last ? source : CopyTail(source, 8 * bits, tail);
                for (int v = 0; v < 4; v++, from += 2 * bits, y += 16)
                {
                    Vector256<byte> twice = Avx2.BroadcastVector128ToVector256(from);
                    Vector256<int> code0 = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle0).AsUInt32(), shifts0) & mask).AsInt32();
                    Vector256<int> code1 = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle1).AsUInt32(), shifts1) & mask).AsInt32();
                    Vector256<float> level0 = uniform ? Avx.ConvertToVector256Single(code0 - middle) : Avx2.GatherVector256(table, code0, sizeof(float));
                    Vector256<float> level1 = uniform ? Avx.ConvertToVector256Single(code1 - middle) : Avx2.GatherVector256(table, code1, sizeof(float));
                    (level0 * scale).Store(y);
                    (level1 * scale).Store(y + 8);
                }
            }
        }
    }

    // Sixteen codes in the low bits of sixteen lanes; above them lie bits of the next code, which a permutation ignores up to its table's size.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Codes16(byte* from, Vector512<byte> shuffle, Vector512<uint> shifts) =>
        Avx512F.ShiftRightLogicalVariable(Avx512BW.Shuffle(Avx512F.BroadcastVector128ToVector512((uint*)from).AsByte(), shuffle).AsUInt32(), shifts).AsInt32();

    // Bytes read from a group's first one on: its last sixteen codes start at byte 6 * bits.
    private static int GroupReach(int bits) => 6 * bits + VectorBytes;

    // The last bytes of the array, so that nothing beyond it is read.
    private static byte* CopyTail(byte* source, int count, byte* buffer)
    {
        for (int i = 0; i < count; i++) buffer[i] = source[i];
        return buffer;
    }

    // For each of 16 lanes of four bytes: the byte its code starts in, the next one if the code reaches into it, and zeros.
    private static byte[] MakeShuffle(int bits)
    {
        const byte zero = 0x80;
        byte[] shuffle = new byte[64];
        Array.Fill(shuffle, zero);
        for (int lane = 0; lane < 16; lane++)
        {
            int first = lane * bits / 8, last = (lane * bits + bits - 1) / 8;
            shuffle[4 * lane] = (byte)first;
            if (last != first) shuffle[4 * lane + 1] = (byte)last;
        }

        return shuffle;
    }
}
