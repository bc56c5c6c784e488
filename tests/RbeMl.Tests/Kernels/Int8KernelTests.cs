using System.Runtime.Intrinsics.X86;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class Int8KernelTests
{
    private const int Rows = 2, Columns = 3;

    // Tile, bits; negative bits for a trellis with outliers.
    public static TheoryData<int, int> Cases
    {
        get
        {
            TheoryData<int, int> cases = [];
            foreach (int tile in (int[])[32, 64, 128])
            {
                foreach (int bits in (int[])[2, 3, 4, 5, 6, 7, 8, -2, -3, -4, -5, -6]) cases.Add(tile, bits);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void All_ways_give_the_bits_of_the_definition(int tile, int bits)
    {
        FrozenTiles q = Base(tile, bits);
        foreach ((int width, int chunks, int lastTokens) in ((int, int, int)[])[(16, 1, 16), (48, 1, 35), (64, 1, 64), (64, 3, 18)])
        {
            const int First = 1;
            int size = tile * width, segment = Int8Activations.SegmentOf(tile), blocks = Columns - First;
            float[] x = Numbers.Normal(chunks * blocks * size, 1), start = Numbers.Normal(chunks * size, 2);
            for (int i = 0; i < segment * width; i += width) (x[i + 3], x[i + 4]) = (0, x[i + 4] * 1e-34f); // a token of zeros, and one too small for a scale
            using GuardedBuffer<float> from = LaneCases.Guarded(x), expected = LaneCases.Guarded(start);
            long bytes = Int8Activations.Bytes(blocks * tile, segment, width);
            using GuardedBuffer<byte> codes = new((int)(chunks * bytes)), scratch = new(Int8Kernel.ScratchBytes(tile));
            for (int c = 0; c < chunks; c++)
            {
                new Int8Activations(codes.Pointer + (c * bytes), segment, width).Quantize(from.Pointer + (c * blocks * size), blocks * tile);
                ReferenceInt8.Multiply(q, Columns, 1, First, Columns, from.Pointer + (c * blocks * size), expected.Pointer + (c * size), width);
            }

            ChunkBatch group = new(chunks, width, lastTokens);
            foreach (int way in Ways)
            {
                using GuardedBuffer<float> to = LaneCases.Guarded(start);
                Run(way, q, First, new(from.Pointer, blocks * size), new(codes.Pointer, bytes), new(to.Pointer, size), group, scratch.Pointer);
                float[] all = [.. start.Select((value, i) => i % width < group.LanesOf(i / size) ? expected.Span[i] : value)];
                Assert.True(to.Span.SequenceEqual(all), $"way {way}, width {width}, {chunks} chunks");
            }
        }
    }

    /// <summary>Where sums of 16 bits are nearest to their ends: the largest levels, and values of one size, so that all codes are large.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void The_largest_sums_are_exact(int tile, int bits)
    {
        const int Width = 16, Tiles = Rows * Columns;
        if (bits < 0) return; // a trellis chooses its levels, which are wide
        foreach (byte fill in (byte[])[0, 0xFF])
        {
            byte[] packed = new byte[Tiles * tile * tile * bits / 8];
            Array.Fill(packed, fill);
            QuantizedTiles q = new(tile, Tiles, bits, [.. Enumerable.Repeat((Half)1, Tiles * tile * tile / 64)], packed);

            // A lane is a token: all values equal; of the pairs that are added up together only one; one value far above the others.
            float[] x = [.. Enumerable.Range(0, Columns * tile * Width).Select(i => (i % Width, i / Width % 4) switch
            {
                (< 4, _) => 1 + (0.01f * (i % Width)),
                (< 8, _) => -1 - (0.01f * (i % Width)),
                (< 12, < 2) => 3f,
                (< 12, _) => 0.01f,
                _ => i / Width % 64 == i % Width ? 100f : -1,
            })];
            using GuardedBuffer<float> from = LaneCases.Guarded(x), expected = LaneCases.Guarded(new float[tile * Width]);
            using GuardedBuffer<byte> codes = new((int)Int8Activations.Bytes(Columns * tile, Int8Activations.SegmentOf(tile), Width)),
                scratch = new(Int8Kernel.ScratchBytes(tile));
            new Int8Activations(codes.Pointer, Int8Activations.SegmentOf(tile), Width).Quantize(from.Pointer, Columns * tile);
            ReferenceInt8.Multiply(q, Columns, 1, 0, Columns, from.Pointer, expected.Pointer, Width);
            foreach (int way in Ways)
            {
                using GuardedBuffer<float> to = LaneCases.Guarded(new float[tile * Width]);
                Run(way, q, 0, new(from.Pointer, 0), new(codes.Pointer, 0), new(to.Pointer, 0), new(1, Width, Width), scratch.Pointer);
                Assert.True(to.Span.SequenceEqual(expected.Span), $"way {way}, codes {fill}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Levels_are_those_of_the_definition_and_near_the_coefficients(int tile, int bits)
    {
        FrozenTiles q = Base(tile, bits);
        int area = tile * tile, segment = Math.Min(tile, 64), segments = tile / segment;
        using GuardedBuffer<byte> fast = new(area), plain = new(area);
        float[] scales = new float[tile * segments], plainScales = new float[tile * segments], coefficients = new float[area];
        for (int t = 0; t < q.TileCount; t++)
        {
            q.Dequantize(t, coefficients);
            fixed (float* s = scales, p = plainScales)
            {
                q.DecodeLevels(t, fast.Pointer, s);
                q.DecodeLevelsScalar(t, plain.Pointer, p);
                Assert.True(plain.Span.SequenceEqual(fast.Span));
                Assert.Equal(plainScales, scales);
                if (q is QuantizedTiles quantized && Avx2.IsSupported)
                {
                    fast.Span.Clear();
                    quantized.LevelsAvx2(t, fast.Pointer);
                    Assert.True(plain.Span.SequenceEqual(fast.Span));
                }
            }

            for (int e = 0; e < area; e += 3)
            {
                bool outlier = q.Outliers is { } o && o.Places.AsSpan(t * o.PerTile, o.PerTile).Contains((ushort)e);
                float scale = scales[(e / tile * segments) + (e % tile / segment)], value = scale * (plain.Span[e] - q.LevelOffset);

                // Half a level where levels were rounded, one rounding of a float where they are integers already.
                double bound = bits >= 6 ? 2 * LaneCases.Rounding * Math.Abs(coefficients[e]) : (0.5 + 1e-4) * scale;
                if (outlier) Assert.Equal(0, value);
                else Assert.InRange(Math.Abs(value - coefficients[e]), 0, bound);
            }
        }
    }

    [Fact]
    public void Codes_are_within_half_a_step_and_a_NaN_stays_with_its_token()
    {
        const int Segment = 64, Width = 16, Bad = 5;
        float[] x = Numbers.Normal(Segment * Width, 1);
        x[(7 * Width) + Bad] = float.NaN;
        using GuardedBuffer<float> from = LaneCases.Guarded(x);
        using GuardedBuffer<byte> bytes = new((int)Int8Activations.Bytes(Segment, Segment, Width));
        Int8Activations codes = new(bytes.Pointer, Segment, Width);
        codes.Quantize(from.Pointer, Segment);
        for (int lane = 0; lane < Width; lane++)
        {
            float scale = codes.Scales(0)[lane];
            Assert.Equal(lane == Bad, float.IsNaN(scale));
            if (lane == Bad) continue;
            int sum = 0;
            for (int k = 0; k < Segment; k++)
            {
                int code = codes.Codes(0)[(k / 4 * 4 * Width) + (4 * lane) + (k % 4)];
                sum += code;
                Assert.InRange(Math.Abs((code * scale) - x[(k * Width) + lane]), 0, (0.5 + 1e-4) * scale);
            }

            Assert.Equal(-128 * sum, codes.Offsets(0)[lane]);
        }

        QuantizedTiles q = (QuantizedTiles)Base(64, 4);
        float[] start = new float[64 * Width];
        using GuardedBuffer<float> y = LaneCases.Guarded(start);
        using GuardedBuffer<byte> scratch = new(Int8Kernel.ScratchBytes(64));
        Int8Kernel.Multiply(q, Columns, 0, 0, 1, new(from.Pointer, 0), new(bytes.Pointer, 0), new(y.Pointer, 0), new(1, Width, Width), scratch.Pointer);
        for (int i = 0; i < start.Length; i++) Assert.Equal(i % Width == Bad, float.IsNaN(y.Span[i]));
    }

    /// <summary>
    /// 127 / x is infinite from 3.7e-37 down, and infinity times a smaller value would be no code; values that small count as 0 well before
    /// that.
    /// </summary>
    [Theory]
    [InlineData(9e-31f)]
    [InlineData(1e-36f)]
    [InlineData(1e-38f)]
    [InlineData(1e-42f)]
    [InlineData(float.Epsilon)]
    [InlineData(0)]
    public void A_segment_too_small_for_a_scale_is_zeros(float largest)
    {
        const int Segment = 64, Width = 16;
        float[] x = Numbers.Normal(2 * Segment * Width, 1);
        for (int i = 0; i < Segment * Width; i++) x[i] = largest * (i / Width % 5 - 2) / 2; // the first segment, every token of it
        using GuardedBuffer<float> from = LaneCases.Guarded(x);
        using GuardedBuffer<byte> bytes = new((int)Int8Activations.Bytes(2 * Segment, Segment, Width));
        bytes.Span.Fill(0xAA);
        Int8Activations codes = new(bytes.Pointer, Segment, Width);
        codes.Quantize(from.Pointer, 2 * Segment);
        for (int lane = 0; lane < Width; lane++)
        {
            Assert.Equal((0, 0), (codes.Scales(0)[lane], codes.Offsets(0)[lane]));
            Assert.True(codes.Scales(1)[lane] > 0);
        }

        Assert.All(new Span<sbyte>(codes.Codes(0), Segment * Width).ToArray(), code => Assert.Equal(0, code));
        QuantizedTiles q = (QuantizedTiles)Base(64, 4);
        float[] start = Numbers.Normal(64 * Width, 2);
        using GuardedBuffer<float> y = LaneCases.Guarded(start);
        using GuardedBuffer<byte> scratch = new(Int8Kernel.ScratchBytes(64));
        Int8Kernel.Multiply(q, Columns, 0, 0, 1, new(from.Pointer, 0), new(bytes.Pointer, 0), new(y.Pointer, 0), new(1, Width, Width), scratch.Pointer);
        Assert.Equal(start, y.Span.ToArray());
    }

    // 1: one instruction, 2: AVX2, 3: portable, 0: the one that is chosen, of narrow levels in 16 bits where there is AVX-512.
    private static IEnumerable<int> Ways => ((int[])[0, 1, 2, 3]).Where(way => way switch { 1 => AvxVnni.IsSupported, 2 => Avx2.IsSupported, _ => true });

    private static void Run(int way, FrozenTiles q, int first, ChunkPointers<float> x, ChunkPointers<byte> codes, ChunkPointers<float> y,
        ChunkBatch group, byte* scratch)
    {
        switch (way)
        {
            case 0: Int8Kernel.Multiply(q, Columns, 1, first, Columns, x, codes, y, group, scratch); break;
            case 1: Int8Kernel.Multiply<Int8Kernel.Dots<DotVnni>>(q, Columns, 1, first, Columns, x, codes, y, group, scratch); break;
            case 2: Int8Kernel.Multiply<Int8Kernel.Dots<DotAvx2>>(q, Columns, 1, first, Columns, x, codes, y, group, scratch); break;
            default: Int8Kernel.Multiply<Int8Kernel.Dots<DotPortable>>(q, Columns, 1, first, Columns, x, codes, y, group, scratch); break;
        }
    }

    private static FrozenTiles Base(int tile, int bits)
    {
        const int Tiles = Rows * Columns;
        Random random = new(tile + bits);
        byte[] codes = new byte[bits < 0 ? TrellisTiles.CodeBytes(tile, Tiles, -bits) : Tiles * tile * tile * bits / 8];
        random.NextBytes(codes);
        Half[] scales = [.. Enumerable.Range(0, bits < 0 ? Tiles : Tiles * tile * tile / 64).Select(_ => (Half)(0.1 + random.NextDouble()))];
        if (bits > 0) return new QuantizedTiles(tile, Tiles, bits, scales, codes);
        TileOutliers outliers =
            new(tile, Tiles, 2, [.. Enumerable.Range(0, 2 * Tiles).Select(e => (ushort)(5 + (e * tile / 2)))],
                [.. Enumerable.Range(0, 2 * Tiles).Select(e => (Half)(7 - e))]);
        return new TrellisTiles(tile, Tiles, -bits, bits % 2 == 0 ? TrellisScan.ColumnMajor : TrellisScan.RowMajor, scales, codes, outliers);
    }
}
