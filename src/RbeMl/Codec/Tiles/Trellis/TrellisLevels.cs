namespace RbeMl.Codec;

/// <summary>Decoding to integers, wide ones: the values of the states rounded to 1/127 of the largest. States are found as when decoding to floats.</summary>
internal static unsafe partial class TrellisLevels
{
    // By bits - 2: coefficient = scale * unit * integer level.
    private static readonly float[] s_levelUnits =
        [.. Enumerable.Range(TrellisCodebook.LeastBits, 5).Select(bits => TrellisCodebook.For(bits).Max() / (FrozenTiles.WideOffset - 1))];

    // By bits - 2, [4096] and bytes that gathers of four read beyond the last.
    private static readonly byte[][] s_levelBytes = [.. Enumerable.Range(TrellisCodebook.LeastBits, 5).Select(MakeLevelBytes)];

    /// <summary>Levels of a tile without regard to outliers, as fast as this machine can.</summary>
    public static void Levels(TrellisTiles tiles, int tileIndex, byte* levels)
    {
        if (!TrellisWindows.HasAvx2) LevelsScalar(tiles, tileIndex, levels);
        else if (tiles.Scan == TrellisScan.ColumnMajor) tiles.LevelsOfColumns(tileIndex, levels);
        else tiles.LevelsOfRows(tileIndex, levels);
    }

    /// <summary>The same, symbol by symbol.</summary>
    public static void LevelsScalar(TrellisTiles tiles, int tileIndex, byte* levels)
    {
        int area = tiles.Tile * tiles.Tile, bytes = area * tiles.Bits / 8, state = 0, held = 0, next = 0;
        byte[] table = s_levelBytes[tiles.Bits - TrellisCodebook.LeastBits];
        ReadOnlySpan<byte> payload = tiles.Codes.Span.Slice(tileIndex * bytes, bytes);
        uint pending = 0;
        for (int t = 0; t < area; t++)
        {
            if (held < tiles.Bits)
            {
                pending = pending << 8 | payload[next++];
                held += 8;
            }

            held -= tiles.Bits;
            state = TrellisCodebook.Next(state, (int)(pending >> held) & (1 << tiles.Bits) - 1, tiles.Bits);
            levels[TrellisTiles.PlaceOf(t, tiles.Tile, tiles.Scan)] = table[state];
        }
    }

    /// <summary>Scales of the rows' segments: that of the tile.</summary>
    public static void Scales(TrellisTiles tiles, int tileIndex, float* scales)
    {
        float scale = (float)tiles.Scales[tileIndex] * s_levelUnits[tiles.Bits - TrellisCodebook.LeastBits];
        new Span<float>(scales, tiles.Tile * Math.Max(1, tiles.Tile / QuantizedTiles.GroupSize)).Fill(scale);
    }

    private static byte[] MakeLevelBytes(int bits)
    {
        float unit = s_levelUnits[bits - TrellisCodebook.LeastBits];
        return [.. TrellisCodebook.For(bits).Select(value => (byte)(FrozenTiles.WideOffset + (int)MathF.Round(value / unit))), 0, 0, 0];
    }
}
