namespace RbeMl.Codec;

/// <content>The same weights in codes that cost more bytes and less time.</content>
public sealed partial class TrellisTiles
{
    /// <summary>
    /// These tiles, decoded once and quantised to 8 bits in groups of 64, as <see cref="QuantizedFormat"/> does it; outliers stay. A value of a trellis is looked up in a table of
    /// 4096, which no vector does faster than one after the other; 8-bit levels are computed.
    /// </summary>
    internal QuantizedTiles ToEightBits()
    {
        const int Bits8 = 8, Size = QuantizedFormat.GroupSize;
        int area = Tile * Tile, groups = area / Size;
        Half[] scales = new Half[checked(TileCount * groups)];
        byte[] codes = new byte[checked(TileCount * area)];
        Parallel.For(0, TileCount, () => new float[area], (t, _, values) =>
        {
            Decode(t, values);
            for (int g = 0; g < groups; g++)
            {
                int first = (t * area) + (g * Size);
                scales[(t * groups) + g] = GroupQuantizer.Quantize(values.AsSpan(g * Size, Size), Bits8, codes.AsSpan(first, Size));
            }

            return values;
        }, _ => { });
        GC.KeepAlive(this); // and with it the mapping that codes may lie in
        return new QuantizedTiles(Tile, TileCount, Bits8, scales, codes, Outliers);
    }
}
