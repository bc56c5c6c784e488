namespace RbeMl.Codec;

/// <summary>The same weights in codes that cost more bytes and less time.</summary>
internal static class EightBits
{
    /// <summary>
    /// These tiles, decoded once and quantised to 8 bits in groups of 64, as <see cref="QuantizedFormat"/> does it; outliers stay. Levels of 8
    /// bits are computed, where other codes look values up one after the other.
    /// </summary>
    /// <exception cref="InvalidSettingException">Scales of 8 bits, fp16 numbers, are too small or too large for the values.</exception>
    public static QuantizedTiles ToEightBits(this FrozenTiles tiles)
    {
        const int Bits8 = 8, Size = QuantizedTiles.GroupSize;
        const double WorstError = 1.25 / 222; // of a group's largest value, and a quarter more: what ordinary numbers stay below
        int area = tiles.Tile * tiles.Tile, groups = area / Size;
        Half[] scales = new Half[checked(tiles.TileCount * groups)];
        byte[] codes = new byte[checked(tiles.TileCount * area)];
        (double Error, double Allowed)[] squares = new (double, double)[tiles.TileCount];
        float[] levels = QuantizerLevels.For(Bits8);
        Parallel.For(0, tiles.TileCount, () => new float[area], (t, _, values) =>
        {
            tiles.Decode(t, values);
            for (int g = 0; g < groups; g++)
            {
                int first = (t * area) + (g * Size);
                ReadOnlySpan<float> group = values.AsSpan(g * Size, Size);
                Half scale = scales[(t * groups) + g] = GroupQuantizer.Quantize(group, Bits8, codes.AsSpan(first, Size));
                float largest = 0;
                for (int e = 0; e < Size; e++)
                {
                    largest = Math.Max(largest, Math.Abs(group[e]));
                    double error = group[e] - ((double)scale * levels[codes[first + e]]);
                    squares[t].Error += error * error;
                }

                squares[t].Allowed += Size * Math.Pow(largest * WorstError, 2);
            }

            return values;
        }, _ => { });
        if (squares.Sum(s => s.Error) > squares.Sum(s => s.Allowed))
        {
            throw new InvalidSettingException("precision", "Int8",
                "the scales of the codes are so small or large that those of 8 bits, fp16 numbers, lose them. Use Float32, or scale the weights.");
        }

        GC.KeepAlive(tiles); // and with it the mapping that codes may lie in
        return new QuantizedTiles(tiles.Tile, tiles.TileCount, Bits8, scales, codes, tiles.Outliers);
    }
}
