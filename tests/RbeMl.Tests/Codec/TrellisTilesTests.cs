using System.Runtime.Intrinsics.X86;
using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class TrellisTilesTests
{
    public static TheoryData<int, TrellisScan> Layouts
    {
        get
        {
            TheoryData<int, TrellisScan> cases = [];
            for (int bits = 2; bits <= 6; bits++)
            {
                cases.Add(bits, TrellisScan.RowMajor);
                cases.Add(bits, TrellisScan.ColumnMajor);
            }

            return cases;
        }
    }

    internal static TrellisTiles Random(int tile, int count, int bits, TrellisScan scan, int seed, TileOutliers? outliers = null)
    {
        Random random = new(seed);
        byte[] codes = new byte[TrellisTiles.CodeBytes(tile, count, bits)];
        random.NextBytes(codes);
        return new TrellisTiles(tile, count, bits, scan, [.. Enumerable.Range(0, count).Select(_ => (Half)(0.1 + random.NextDouble()))], codes, outliers);
    }

    // Bit by bit from the documented layout: no state is carried along, a value depends on its window only.
    [Theory]
    [MemberData(nameof(Layouts))]
    public void EveryPathReadsTheDocumentedBits(int bits, TrellisScan scan)
    {
        foreach (int tile in new[] { 32, 64, 128 })
        {
            const int count = 3;
            TrellisTiles tiles = Random(tile, count, bits, scan, tile + bits);
            float[] table = TrellisTiles.TableFor(bits).ToArray(), expected = new float[tile * tile], actual = new float[tile * tile];
            ReadOnlySpan<byte> codes = tiles.Codes.Span;
            foreach (int t in new[] { 2, 0, 1 })
            {
                for (int sample = 0; sample < tile * tile; sample++)
                {
                    int state = 0, payload = t * tile * tile * bits, end = (sample + 1) * bits;
                    for (int b = end - 12; b < end; b++) state = state << 1 | (b < 0 ? 0 : codes[(payload + b) / 8] >> 7 - (payload + b) % 8 & 1);
                    int place = scan == TrellisScan.RowMajor ? sample : sample % tile * tile + sample / tile;
                    expected[place] = (float)tiles.Scales[t] * table[state];
                }

                Decode(tiles.DecodeScalar);
                Decode((index, values) => tiles.Dequantize(index, values));
                if (Avx2.IsSupported) Decode(tiles.DecodeAvx2);

                void Decode(Path path)
                {
                    actual.AsSpan().Fill(float.NaN);
                    path(t, actual);
                    Assert.Equal(expected, actual);
                }
            }
        }
    }

    // Codes that end where memory ends: vectors may read the padding, and nothing before or after.
    [Theory]
    [MemberData(nameof(Layouts))]
    public void NothingOutsideTheCodesIsRead(int bits, TrellisScan scan)
    {
        foreach (int tile in new[] { 32, 64 })
        {
            TrellisTiles heap = Random(tile, 2, bits, scan, 5);
            using GuardedBuffer<byte> guarded = new(heap.Codes.Length);
            heap.Codes.Span.CopyTo(guarded.Span);
            using GuardedMemory memory = new(guarded);
            TrellisTiles tiles = new(tile, 2, bits, scan, heap.Scales.AsSpan(), memory.Memory);
            float[] expected = new float[tile * tile], actual = new float[tile * tile];
            for (int t = 0; t < 2; t++)
            {
                heap.DecodeScalar(t, expected);
                tiles.Dequantize(t, actual);
                Assert.Equal(expected, actual);
                if (!Avx2.IsSupported) continue;
                tiles.DecodeAvx2(t, actual);
                Assert.Equal(expected, actual);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Layouts))]
    public void WhatTheEncoderSawIsWhatIsDecoded(int bits, TrellisScan scan)
    {
        const int tile = 32, area = tile * tile;
        float[] values = Numbers.Normal(area, bits), seen = new float[area], decoded = new float[area];
        byte[] symbols = new byte[area], codes = new byte[TrellisTiles.CodeBytes(tile, 1, bits)];
        new TrellisEncoder(bits).Encode(values, symbols);
        TrellisEncoder.Reconstruct(bits, 0, symbols, seen);
        TrellisTiles.Pack(symbols, bits, codes);
        new TrellisTiles(tile, 1, bits, scan, [(Half)0.5], codes).Dequantize(0, decoded);
        for (int t = 0; t < area; t++) Assert.Equal(0.5f * seen[t], decoded[TrellisTiles.PlaceOf(t, tile, scan)]);
    }

    [Fact]
    public void OutliersAreExact()
    {
        TileOutliers outliers = new(32, 2, 3, [0, 5, 1023, 7, 8, 9], [(Half)100, (Half)(-100), (Half)0, (Half)1, (Half)2, Half.MaxValue]);
        TrellisTiles plain = Random(32, 2, 4, TrellisScan.RowMajor, 1), tiles = Random(32, 2, 4, TrellisScan.RowMajor, 1, outliers);
        float[] expected = new float[1024], actual = new float[1024];
        for (int t = 0; t < 2; t++)
        {
            plain.Dequantize(t, expected);
            for (int e = 0; e < 3; e++) expected[outliers.Places[3 * t + e]] = (float)outliers.Values[3 * t + e];
            tiles.Dequantize(t, actual);
            Assert.Equal(expected, actual);
        }

        Assert.Equal(plain.StoredBits + 6 * 32, tiles.StoredBits);
        Assert.Equal(8 * (2 * 512 + 8) + 2 * 16, plain.StoredBits);
    }

    [Fact]
    public void PartsThatDoNotFitAreRefused()
    {
        Half[] one = [Half.One];
        Assert.Throws<ShapeMismatchException>(() => Make(64, 4, [], 2056));
        Assert.Throws<ShapeMismatchException>(() => Make(64, 4, one, 2055));
        Assert.Throws<ShapeMismatchException>(() => Make(64, 4, one, 2048));
        Assert.Equal("bits", Assert.Throws<InvalidSettingException>(() => Make(64, 7, one, 3592)).Setting);
        Assert.Equal("bits", Assert.Throws<InvalidSettingException>(() => Make(64, 1, one, 520)).Setting);
        Assert.Equal("tile", Assert.Throws<InvalidSettingException>(() => Make(48, 4, one, 1160)).Setting);
        Assert.Equal("scan", Assert.Throws<InvalidSettingException>(() => new TrellisTiles(64, 1, 4, (TrellisScan)2, one, new byte[2056])).Setting);
        foreach (Half scale in new[] { Half.NaN, Half.PositiveInfinity, (Half)(-1) })
        {
            Assert.Equal("scale", Assert.Throws<InvalidSettingException>(() => Make(64, 4, [scale], 2056)).Setting);
        }

        TileOutliers wrong = new(32, 1, 1, [0], one);
        Assert.Throws<ShapeMismatchException>(() => new TrellisTiles(64, 1, 4, TrellisScan.RowMajor, one, new byte[2056], wrong));
        Assert.Throws<InvalidSettingException>(() => new TileOutliers(32, 1, 2, [4, 4], [Half.One, Half.One]));
        Assert.Throws<InvalidSettingException>(() => new TileOutliers(32, 1, 2, [5, 4], [Half.One, Half.One]));
        Assert.Throws<InvalidSettingException>(() => new TileOutliers(32, 1, 1, [1024], one));
        Assert.Throws<ShapeMismatchException>(() => new TileOutliers(32, 1, 2, [1], [Half.One, Half.One]));
        Assert.Throws<ShapeMismatchException>(() => Make(64, 4, one, 2056).Dequantize(0, new float[4095]));
        Assert.Throws<ArgumentOutOfRangeException>(() => Make(64, 4, one, 2056).Dequantize(1, new float[4096]));

        static TrellisTiles Make(int tile, int bits, Half[] scales, int bytes) => new(tile, 1, bits, TrellisScan.RowMajor, scales, new byte[bytes]);
    }

    private delegate void Path(int tileIndex, Span<float> coefficients);
}
