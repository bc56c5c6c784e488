using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

/// <content>
/// Vector decoding. Sixteen codes are 2 * bits &lt;= 16 bytes: every lane shuffles the two bytes its code lies in to its low end, shifts the code
/// down by (lane * bits) mod 8, and looks its level up by permutation (3 .. 5 bits) or computes it (6 .. 8 bits).
/// </content>
public sealed unsafe partial class QuantizedTiles
{
    private const int VectorBytes = 16;
    private static readonly byte[][] s_shuffles = [.. Enumerable.Range(3, 6).Select(MakeShuffle)];
    private static readonly int[][] s_shifts = [.. Enumerable.Range(3, 6).Select(bits => Enumerable.Range(0, 16).Select(lane => lane * bits % 8).ToArray())];
    private static readonly float[][] s_tables = [.. Enumerable.Range(3, 3).Select(bits => Enumerable.Range(0, 32).Select(e => QuantizerLevels.For(bits)[e % (1 << bits)]).ToArray())];

    /// <summary>Needs AVX-512BW.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void DequantizeAvx512(int tileIndex, Span<float> coefficients)
    {
        int bits = Bits, area = Tile * Tile, groups = area / QuantizedFormat.GroupSize;
        Vector512<byte> shuffle = Vector512.Create(s_shuffles[bits - 3]);
        Vector512<uint> shifts = Vector512.Create(s_shifts[bits - 3]).AsUInt32(), mask = Vector512.Create((1u << bits) - 1);
        bool uniform = QuantizerLevels.IsUniform(bits);
        float[] table = s_tables[uniform ? 0 : bits - 3];
        Vector512<float> low = Vector512.Create(table), high = Vector512.Create(table, 16);
        Vector512<int> middle = Vector512.Create(1 << bits - 1);
        float step = uniform ? QuantizerLevels.Step(bits) : 1;
        byte* tail = stackalloc byte[VectorBytes];
        fixed (byte* codes = Codes)
        fixed (float* y = coefficients)
        {
            byte* source = codes + (long)tileIndex * area * bits / 8, last = codes + Codes.Length - VectorBytes;
            ref Half scales = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(Scales), tileIndex * groups);
            for (int g = 0; g < groups; g++)
            {
                Vector512<float> scale = Vector512.Create(ToSingle(Unsafe.Add(ref scales, g)) * step);
                for (int v = 0; v < QuantizedFormat.GroupSize; v += 16, source += 2 * bits)
                {
                    byte* from = source <= last ? source : CopyTail(source, 2 * bits, tail);
                    Vector512<byte> spread = Avx512BW.Shuffle(Avx512F.BroadcastVector128ToVector512((uint*)from).AsByte(), shuffle);
                    Vector512<uint> code = Avx512F.ShiftRightLogicalVariable(spread.AsUInt32(), shifts) & mask;
                    Vector512<float> level = uniform
                        ? Avx512F.ConvertToVector512Single(code.AsInt32() - middle)
                        : Avx512F.PermuteVar16x32x2(low, code.AsInt32(), high);
                    (level * scale).Store(y + g * QuantizedFormat.GroupSize + v);
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
        Vector256<uint> shifts0 = Vector256.Create(s_shifts[bits - 3]).AsUInt32(), shifts1 = Vector256.Create(s_shifts[bits - 3], 8).AsUInt32(), mask = Vector256.Create((1u << bits) - 1);
        bool uniform = QuantizerLevels.IsUniform(bits);
        Vector256<int> middle = Vector256.Create(1 << bits - 1);
        float step = uniform ? QuantizerLevels.Step(bits) : 1;
        byte* tail = stackalloc byte[VectorBytes];
        fixed (byte* codes = Codes)
        fixed (float* y = coefficients, table = s_tables[uniform ? 0 : bits - 3])
        {
            byte* source = codes + (long)tileIndex * area * bits / 8, last = codes + Codes.Length - VectorBytes;
            ref Half scales = ref Unsafe.Add(ref MemoryMarshal.GetArrayDataReference(Scales), tileIndex * groups);
            for (int g = 0; g < groups; g++)
            {
                Vector256<float> scale = Vector256.Create(ToSingle(Unsafe.Add(ref scales, g)) * step);
                float* to = y + g * QuantizedFormat.GroupSize;
                for (int v = 0; v < QuantizedFormat.GroupSize; v += 16, source += 2 * bits)
                {
                    Vector256<byte> twice = Avx2.BroadcastVector128ToVector256(source <= last ? source : CopyTail(source, 2 * bits, tail));
                    Vector256<int> code0 = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle0).AsUInt32(), shifts0) & mask).AsInt32();
                    Vector256<int> code1 = (Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle1).AsUInt32(), shifts1) & mask).AsInt32();
                    Vector256<float> level0 = uniform ? Avx.ConvertToVector256Single(code0 - middle) : Avx2.GatherVector256(table, code0, sizeof(float));
                    Vector256<float> level1 = uniform ? Avx.ConvertToVector256Single(code1 - middle) : Avx2.GatherVector256(table, code1, sizeof(float));
                    (level0 * scale).Store(to + v);
                    (level1 * scale).Store(to + v + 8);
                }
            }
        }
    }

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
