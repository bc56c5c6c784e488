using RbeMl.Codec;

namespace RbeMl.Tests.Codec;

public sealed class TrellisEightBitsTests
{
    [Theory]
    [InlineData(32, 4, TrellisScan.RowMajor)]
    [InlineData(64, 2, TrellisScan.ColumnMajor)]
    [InlineData(128, 6, TrellisScan.RowMajor)]
    public void Eight_bits_say_what_the_trellis_says(int tile, int bits, TrellisScan scan)
    {
        const int Tiles = 3, Group = QuantizedFormat.GroupSize;
        Random random = new(bits);
        byte[] codes = new byte[TrellisTiles.CodeBytes(tile, Tiles, bits)];
        random.NextBytes(codes);
        Half[] scales = [(Half)0.03, Half.Zero, (Half)7];
        TileOutliers outliers = new(tile, Tiles, 2, [3, 500, 70, 71, 0, 1000], [(Half)40, (Half)(-3), (Half)1, (Half)2, (Half)(-9), (Half)0]);
        TrellisTiles trellis = new(tile, Tiles, bits, scan, scales, codes, outliers);
        QuantizedTiles eight = trellis.ToEightBits();
        Assert.Equal((tile, Tiles, 8), (eight.Tile, eight.TileCount, eight.Bits));
        float[] expected = new float[tile * tile], actual = new float[tile * tile], codesOnly = new float[tile * tile];
        for (int t = 0; t < Tiles; t++)
        {
            trellis.Dequantize(t, expected);
            trellis.DecodeScalar(t, codesOnly);
            eight.Dequantize(t, actual);
            for (int e = 2 * t; e < 2 * (t + 1); e++) Assert.Equal((float)outliers.Values[e], actual[outliers.Places[e]]);
            for (int first = 0; first < actual.Length; first += Group)
            {
                double squares = 0, largest = codesOnly.AsSpan(first, Group).ToArray().Max(Math.Abs);
                for (int e = first; e < first + Group; e++) squares += Math.Pow(expected[e] - actual[e], 2);

                // One of the trial scales reaches 1.02 times the largest value with 127 steps, so that nothing is off by more than half of
                // one, and the one that is taken has no larger error but for its rounding to fp16.
                Assert.InRange(Math.Sqrt(squares / Group), 0, largest * ((1.02 / 254) + Math.Pow(2, -11)));
            }
        }
    }
}
