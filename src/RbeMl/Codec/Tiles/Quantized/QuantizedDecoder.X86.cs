using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

internal static unsafe partial class QuantizedDecoder
{
    // False where this machine has neither.
    private static bool DecodeX86(this QuantizedTiles tiles, int tileIndex, Span<float> coefficients)
    {
        if (Avx512BW.IsSupported) tiles.DequantizeAvx512(tileIndex, coefficients);
        else if (Avx2.IsSupported) tiles.DequantizeAvx2(tileIndex, coefficients);
        return Avx2.IsSupported;
    }

    /// <summary>Needs AVX-512BW.</summary>
    public static void DequantizeAvx512(this QuantizedTiles tiles, int tileIndex, Span<float> coefficients)
    {
        int bits = tiles.Bits, area = tiles.Tile * tiles.Tile, bytes = area * bits / 8, groups = area / QuantizedTiles.GroupSize;
        byte* tail = stackalloc byte[CodeVectors.TailBytes];
        fixed (byte* codes = tiles.Codes.Span)
        fixed (Half* scales = tiles.Scales.AsSpan(tileIndex * groups, groups))
        fixed (float* y = coefficients)
        {
            byte* source = codes + ((long)tileIndex * bytes);
            int inside = CodeVectors.GroupsInside(codes + tiles.Codes.Length - source, bits, CodeVectors.GroupReach(bits), groups);
            GroupsAvx512(bits, source, scales, inside, bytes, y);
            for (int g = inside; g < groups; g++)
            {
                byte* from = CodeVectors.CopyTail(source + (g * 8 * bits), 8 * bits, tail);
                GroupsAvx512(bits, from, scales + g, 1, 0, y + (g * QuantizedTiles.GroupSize));
            }
        }
    }

    // Without a call in it, so that its constants stay in registers. What lies so many bytes ahead is asked for: the next tile.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void GroupsAvx512(int bits, byte* source, Half* scales, int groups, int ahead, float* y)
    {
        Vector512<byte> shuffle = Vector512.Create(CodeVectors.Shuffles[bits - QuantizedTiles.LeastBits]);
        Vector512<uint> shifts = Vector512.Create(CodeVectors.Shifts[bits - QuantizedTiles.LeastBits]).AsUInt32();
        bool uniform = QuantizerLevels.IsUniform(bits);
        float[] table = CodeVectors.Tables[uniform ? 0 : bits - QuantizedTiles.LeastBits];
        Vector512<float> low = Vector512.Create(table), high = Vector512.Create(table, 16);
        Vector512<int> middle = Vector512.Create(1 << bits - 1), mask = Vector512.Create((1 << bits) - 1);
        float step = uniform ? QuantizerLevels.Step(bits) : 1;
        for (float* end = y + (groups * QuantizedTiles.GroupSize); y < end; y += QuantizedTiles.GroupSize, source += 8 * bits, scales++)
        {
            Sse.Prefetch0(source + ahead);
            Vector512<float> scale = Vector512.Create(QuantizedTiles.ToSingle(*scales) * step);
            Vector512<int> c0 = CodeVectors.Codes16(source, shuffle, shifts), c1 = CodeVectors.Codes16(source + 2 * bits, shuffle, shifts);
            Vector512<int> c2 = CodeVectors.Codes16(source + 4 * bits, shuffle, shifts), c3 = CodeVectors.Codes16(source + 6 * bits, shuffle, shifts);
            Vector512<float> l0, l1, l2, l3;
            if (bits < 5)
            {
                (l0, l1) = (Avx512F.PermuteVar16x32(low, c0), Avx512F.PermuteVar16x32(low, c1));
                (l2, l3) = (Avx512F.PermuteVar16x32(low, c2), Avx512F.PermuteVar16x32(low, c3));
            }
            else if (uniform)
            {
                (l0, l1) = (Avx512F.ConvertToVector512Single((c0 & mask) - middle), Avx512F.ConvertToVector512Single((c1 & mask) - middle));
                (l2, l3) = (Avx512F.ConvertToVector512Single((c2 & mask) - middle), Avx512F.ConvertToVector512Single((c3 & mask) - middle));
            }
            else
            {
                (l0, l1) = (Avx512F.PermuteVar16x32x2(low, c0, high), Avx512F.PermuteVar16x32x2(low, c1, high));
                (l2, l3) = (Avx512F.PermuteVar16x32x2(low, c2, high), Avx512F.PermuteVar16x32x2(low, c3, high));
            }

            (l0 * scale).Store(y);
            (l1 * scale).Store(y + 16);
            (l2 * scale).Store(y + 32);
            (l3 * scale).Store(y + 48);
        }
    }

    /// <summary>Needs AVX2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void DequantizeAvx2(this QuantizedTiles tiles, int tileIndex, Span<float> coefficients)
    {
        int bits = tiles.Bits, area = tiles.Tile * tiles.Tile, groups = area / QuantizedTiles.GroupSize;
        Vector256<byte> shuffle0 = Vector256.Create(CodeVectors.Shuffles[bits - QuantizedTiles.LeastBits]),
            shuffle1 = Vector256.Create(CodeVectors.Shuffles[bits - QuantizedTiles.LeastBits], 32);
        Vector256<uint> shifts0 = Vector256.Create(CodeVectors.Shifts[bits - QuantizedTiles.LeastBits]).AsUInt32(),
            shifts1 = Vector256.Create(CodeVectors.Shifts[bits - QuantizedTiles.LeastBits], 8).AsUInt32(),
            mask = Vector256.Create((1u << bits) - 1);
        bool uniform = QuantizerLevels.IsUniform(bits);
        Vector256<int> middle = Vector256.Create(1 << bits - 1);
        float step = uniform ? QuantizerLevels.Step(bits) : 1;
        byte* tail = stackalloc byte[CodeVectors.TailBytes];
        fixed (byte* codes = tiles.Codes.Span)
        fixed (float* coefficientsStart = coefficients, table = CodeVectors.Tables[uniform ? 0 : bits - QuantizedTiles.LeastBits])
        {
            float* y = coefficientsStart;
            byte* source = codes + (long)tileIndex * area * bits / 8, last = codes + tiles.Codes.Length - CodeVectors.GroupReach(bits);
            ref Half scales = ref Unsafe.Add(ref MemoryMarshal.GetReference(tiles.Scales.AsSpan()), tileIndex * groups);
            for (int g = 0; g < groups; g++, source += 8 * bits)
            {
                Vector256<float> scale = Vector256.Create(QuantizedTiles.ToSingle(Unsafe.Add(ref scales, g)) * step);
                byte* from = source <= last ? source : CodeVectors.CopyTail(source, 8 * bits, tail);
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
}
