using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Codec;

/// <summary>
/// Decoding to integers. With AVX-512 VBMI 64 codes are one permutation, which gives eight codes a 64-bit lane, one shift of all of them, and
/// one look-up. Uniform levels (6 .. 8 bits) are integers; Lloyd-Max levels are rounded, to 1/63 of the largest (2 to 4 bits)
/// or 1/127 of it (5 bits, whose error it would raise by a twentieth).
/// </summary>
internal static unsafe partial class QuantizedLevels
{
    // By bits - 2: the level of code e % 2^bits for e in 0 .. 255.
    private static readonly byte[][] s_levelBytes = QuantizerLevels.ByBits(MakeLevelBytes);

    /// <summary>Levels of a tile without regard to outliers, as fast as this machine can.</summary>
    public static void Levels(QuantizedTiles tiles, int tileIndex, byte* levels)
    {
        if (!tiles.LevelsX86(tileIndex, levels)) LevelsScalar(tiles, tileIndex, levels);
    }

    /// <summary>The same, code by code.</summary>
    public static void LevelsScalar(QuantizedTiles tiles, int tileIndex, byte* levels)
    {
        int area = tiles.Tile * tiles.Tile, bytes = area * tiles.Bits / 8;
        Span<byte> codes = new(levels, area);
        BitPacking.Unpack(tiles.Codes.Span.Slice(tileIndex * bytes, bytes), tiles.Bits, codes);
        byte[] table = s_levelBytes[tiles.Bits - QuantizedTiles.LeastBits];
        for (int e = 0; e < area; e++) codes[e] = table[codes[e]];
    }

    /// <summary>Scales of the rows' segments: a row of a tile of 32 is half a group, one of 128 is two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scales(QuantizedTiles tiles, int tileIndex, float* scales)
    {
        int groups = tiles.Tile * tiles.Tile / QuantizedTiles.GroupSize;
        Vector256<float> unit = Vector256.Create(LevelUnit(tiles.Bits) * 5.192296858534828e33f);
        fixed (Half* from = tiles.Scales.AsSpan(tileIndex * groups, groups))
        {
            for (int g = 0; g < groups; g += 8)
            {
                // ToSingle of eight, and the unit.
                Vector128<ushort> halves = Vector128.Load((ushort*)from + g);
                Vector256<float> eight = (Vector256.Create(Vector128.WidenLower(halves), Vector128.WidenUpper(halves)) << 13).AsSingle() * unit;
                if (tiles.Tile >= QuantizedTiles.GroupSize)
                {
                    eight.Store(scales + g);
                    continue;
                }

                for (int e = 0; e < 16; e++) scales[(2 * g) + e] = eight[e / 2];
            }
        }
    }

    /// <summary>Whether levels of so many bits are narrow: all but those that this would round too coarsely, or that do not fit.</summary>
    public static bool AreNarrow(int bits) => bits is not (5 or 8);

    private static int OffsetOf(int bits) => AreNarrow(bits) ? FrozenTiles.NarrowOffset : FrozenTiles.WideOffset;

    // Coefficient = scale * unit * integer level.
    private static float LevelUnit(int bits) =>
        QuantizerLevels.IsUniform(bits) ? QuantizerLevels.Step(bits) : QuantizerLevels.For(bits)[^1] / (OffsetOf(bits) - 1);

    private static byte[] MakeLevelBytes(int bits)
    {
        float[] levels = QuantizerLevels.For(bits);
        return [.. Enumerable.Range(0, 256).Select(e => (byte)(OffsetOf(bits) + (int)MathF.Round(levels[e % levels.Length] / LevelUnit(bits))))];
    }
}
