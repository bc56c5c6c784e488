using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace RbeMl.Codec;

/// <content>
/// Decoding to integers. Uniform levels (6 .. 8 bits) are integers; Lloyd-Max levels (3 .. 5 bits) are rounded to 1/127 of the largest.
/// </content>
internal sealed unsafe partial class QuantizedTiles
{
    // By bits - 3: the level of code e % 2^bits for e in 0 .. 255.
    private static readonly byte[][] s_levelBytes = [.. Enumerable.Range(3, 6).Select(MakeLevelBytes)];

    private protected override void Levels(int tileIndex, byte* levels)
    {
        if (!LevelsX86(tileIndex, levels)) LevelsScalar(tileIndex, levels);
    }

    private protected override void LevelsScalar(int tileIndex, byte* levels)
    {
        int area = Tile * Tile, bytes = area * Bits / 8;
        Span<byte> codes = new(levels, area);
        BitPacking.Unpack(Codes.Span.Slice(tileIndex * bytes, bytes), Bits, codes);
        byte[] table = s_levelBytes[Bits - 3];
        for (int e = 0; e < area; e++) codes[e] = table[codes[e]];
    }

    // A row of a tile of 32 is half a group, one of 128 is two.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private protected override void LevelScales(int tileIndex, float* scales)
    {
        int groups = Tile * Tile / QuantizedFormat.GroupSize;
        Vector256<float> unit = Vector256.Create(LevelUnit(Bits) * 5.192296858534828e33f);
        fixed (Half* from = Scales.AsSpan(tileIndex * groups, groups))
        {
            for (int g = 0; g < groups; g += 8)
            {
                // ToSingle of eight, and the unit.
                Vector128<ushort> halves = Vector128.Load((ushort*)from + g);
                Vector256<float> eight = (Vector256.Create(Vector128.WidenLower(halves), Vector128.WidenUpper(halves)) << 13).AsSingle() * unit;
                if (Tile >= QuantizedFormat.GroupSize)
                {
                    eight.Store(scales + g);
                    continue;
                }

                for (int e = 0; e < 16; e++) scales[(2 * g) + e] = eight[e / 2];
            }
        }
    }

    // Coefficient = scale * unit * integer level.
    private static float LevelUnit(int bits) => QuantizerLevels.IsUniform(bits) ? QuantizerLevels.Step(bits) : QuantizerLevels.For(bits)[^1] / LargestLevel;

    private static byte[] MakeLevelBytes(int bits)
    {
        float[] levels = QuantizerLevels.For(bits);
        return [.. Enumerable.Range(0, 256).Select(e => (byte)(LevelOffset + (int)MathF.Round(levels[e % levels.Length] / LevelUnit(bits))))];
    }
}
