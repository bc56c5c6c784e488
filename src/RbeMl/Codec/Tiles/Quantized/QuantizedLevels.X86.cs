using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace RbeMl.Codec;

internal static unsafe partial class QuantizedLevels
{
    private const int ByteLanes = 64;
    private static readonly byte[][] s_groupBytes =
        QuantizerLevels.ByBits(bits => Enumerable.Range(0, ByteLanes).Select(i => (byte)((i / 8 * bits) + (i % 8))).ToArray());
    private static readonly byte[][] s_groupShifts =
        QuantizerLevels.ByBits(bits => Enumerable.Range(0, ByteLanes).Select(i => (byte)(i % 8 * bits)).ToArray());

    // False where this machine has neither.
    private static bool LevelsX86(this QuantizedTiles tiles, int tileIndex, byte* levels)
    {
        if (Avx512Vbmi.IsSupported) tiles.LevelsVbmi(tileIndex, levels);
        else if (Avx2.IsSupported) tiles.LevelsAvx2(tileIndex, levels);
        return Avx2.IsSupported;
    }

    /// <summary>Needs AVX-512 VBMI.</summary>
    public static void LevelsVbmi(this QuantizedTiles tiles, int tileIndex, byte* levels)
    {
        int bits = tiles.Bits, area = tiles.Tile * tiles.Tile, bytes = area * bits / 8, groups = area / ByteLanes;
        byte* tail = stackalloc byte[CodeVectors.TailBytes];
        fixed (byte* codes = tiles.Codes.Span)
        {
            byte* source = codes + ((long)tileIndex * bytes);
            int inside = CodeVectors.GroupsInside(codes + tiles.Codes.Length - source, bits, ByteLanes, groups);
            GroupsVbmi(bits, source, inside, bytes, levels);
            for (int g = inside; g < groups; g++)
            {
                GroupsVbmi(bits, CodeVectors.CopyTail(source + (g * 8 * bits), 8 * bits, tail), 1, 0, levels + (g * ByteLanes));
            }
        }
    }

    // Without a call in it, so that its constants stay in registers. What lies so many bytes ahead is asked for: the next tile.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void GroupsVbmi(int bits, byte* source, int groups, int ahead, byte* levels)
    {
        Vector512<byte> gather = Vector512.Create(s_groupBytes[bits - QuantizedTiles.LeastBits]),
            table = Vector512.Create(s_levelBytes[bits - QuantizedTiles.LeastBits]);
        Vector512<byte> shifts = Vector512.Create(s_groupShifts[bits - QuantizedTiles.LeastBits]), mask = Vector512.Create((byte)((1 << bits) - 1)),
            middle = Vector512.Create((byte)(OffsetOf(bits) - (1 << bits - 1)));
        for (byte* end = levels + (groups * ByteLanes); levels < end; levels += ByteLanes, source += 8 * bits)
        {
            Sse.Prefetch0(source + ahead);
            Vector512<byte> code = Avx512Vbmi.MultiShift(shifts, Avx512Vbmi.PermuteVar64x8(Vector512.Load(source), gather).AsUInt64());

            // A look-up takes six bits and its table repeats; more bits are uniform.
            (bits <= 6 ? Avx512Vbmi.PermuteVar64x8(table, code) : (code & mask) + middle).Store(levels);
        }
    }

    /// <summary>Needs AVX2.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void LevelsAvx2(this QuantizedTiles tiles, int tileIndex, byte* levels)
    {
        int bits = tiles.Bits, area = tiles.Tile * tiles.Tile, groupBytes = 8 * bits;
        Vector256<byte> shuffle0 = Vector256.Create(CodeVectors.Shuffles[bits - QuantizedTiles.LeastBits]),
            shuffle1 = Vector256.Create(CodeVectors.Shuffles[bits - QuantizedTiles.LeastBits], 32);
        Vector256<uint> shifts0 = Vector256.Create(CodeVectors.Shifts[bits - QuantizedTiles.LeastBits]).AsUInt32(),
            shifts1 = Vector256.Create(CodeVectors.Shifts[bits - QuantizedTiles.LeastBits], 8).AsUInt32(),
            mask = Vector256.Create((1u << bits) - 1);
        Vector128<byte> low = Vector128.Create(s_levelBytes[bits - QuantizedTiles.LeastBits]),
            high = Vector128.Create(s_levelBytes[bits - QuantizedTiles.LeastBits], 16),
            sixteen = Vector128.Create((byte)16);
        Vector128<byte> middle = Vector128.Create((byte)(OffsetOf(bits) - (1 << bits - 1)));
        bool uniform = QuantizerLevels.IsUniform(bits);
        byte* tail = stackalloc byte[CodeVectors.TailBytes];
        fixed (byte* codes = tiles.Codes.Span)
        {
            byte* source = codes + ((long)tileIndex * area * bits / 8), last = codes + tiles.Codes.Length - CodeVectors.GroupReach(bits);
            for (byte* end = levels + area; levels < end; source += groupBytes)
            {
                byte* from = source <= last ? source : CodeVectors.CopyTail(source, groupBytes, tail);
                for (int v = 0; v < 4; v++, from += 2 * bits, levels += 16)
                {
                    Vector256<byte> twice = Avx2.BroadcastVector128ToVector256(from);
                    Vector256<uint> code0 = Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle0).AsUInt32(), shifts0) & mask;
                    Vector256<uint> code1 = Avx2.ShiftRightLogicalVariable(Avx2.Shuffle(twice, shuffle1).AsUInt32(), shifts1) & mask;
                    Vector256<ushort> both = Vector256.Narrow(code0, code1);
                    Vector128<byte> code = Vector128.Narrow(both.GetLower(), both.GetUpper());
                    if (uniform) (code + middle).Store(levels);
                    else Vector128.ConditionalSelect(Vector128.LessThan(code, sixteen), Ssse3.Shuffle(low, code),
                        Ssse3.Shuffle(high, code - sixteen)).Store(levels);
                }
            }
        }
    }
}
