
namespace RbeMl.Codec;

/// <content>Decoding to integers: the values of the states rounded to 1/127 of the largest. States are found as when decoding to floats.</content>
internal sealed unsafe partial class TrellisTiles
{
    // By bits - 2: coefficient = scale * unit * integer level.
    private static readonly float[] s_levelUnits =
        [.. Enumerable.Range(TrellisCodebook.LeastBits, 5).Select(bits => TrellisCodebook.For(bits).Max() / LargestLevel)];

    // By bits - 2, [4096] and bytes that gathers of four read beyond the last.
    private static readonly byte[][] s_levelBytes = [.. Enumerable.Range(TrellisCodebook.LeastBits, 5).Select(MakeLevelBytes)];

    private protected override void Levels(int tileIndex, byte* levels)
    {
        if (!HasAvx2) LevelsScalar(tileIndex, levels);
        else if (Scan == TrellisScan.ColumnMajor) LevelsOfColumns(tileIndex, levels);
        else LevelsOfRows(tileIndex, levels);
    }

    private protected override void LevelsScalar(int tileIndex, byte* levels)
    {
        int area = Tile * Tile, bytes = area * Bits / 8, state = 0, held = 0, next = 0;
        byte[] table = s_levelBytes[Bits - TrellisCodebook.LeastBits];
        ReadOnlySpan<byte> payload = Codes.Span.Slice(tileIndex * bytes, bytes);
        uint pending = 0;
        for (int t = 0; t < area; t++)
        {
            if (held < Bits)
            {
                pending = pending << 8 | payload[next++];
                held += 8;
            }

            held -= Bits;
            state = TrellisCodebook.Next(state, (int)(pending >> held) & (1 << Bits) - 1, Bits);
            levels[PlaceOf(t, Tile, Scan)] = table[state];
        }
    }

    private protected override void LevelScales(int tileIndex, float* scales) =>
        new Span<float>(scales,
            Tile * Math.Max(1, Tile / QuantizedFormat.GroupSize)).Fill((float)Scales[tileIndex] * s_levelUnits[Bits - TrellisCodebook.LeastBits]);

    private static byte[] MakeLevelBytes(int bits)
    {
        float unit = s_levelUnits[bits - TrellisCodebook.LeastBits];
        return [.. TrellisCodebook.For(bits).Select(value => (byte)(LevelOffset + (int)MathF.Round(value / unit))), 0, 0, 0];
    }
}
