using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class QuantizedKernelTests
{
    // Lanes, tile, bits; negative bits for a trellis with outliers.
    public static TheoryData<int, int, int> Cases
    {
        get
        {
            TheoryData<int, int, int> cases = [];
            foreach (int lanes in LaneCases.All)
            {
                foreach (int tile in new[] { 32, 64, 128 })
                {
                    foreach (int bits in new[] { 3, 4, 5, 8, -2, -4 }) cases.Add(lanes, tile, bits);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Products_match_the_definition(int lanes, int tile, int bits)
    {
        const int Rows = 2, Columns = 3;
        FrozenTiles q = bits > 0 ? Base(tile, Rows * Columns, bits) : Trellis(tile, Rows * Columns, -bits);
        foreach (int width in new[] { 16, 64 })
        {
            foreach (bool transposed in new[] { false, true })
            {
                int first = transposed ? 0 : 1, last = transposed ? Rows : Columns;
                float[] a = Numbers.Normal((last - first) * tile * width, 1), start = Numbers.Normal(tile * width, 2);
                using GuardedBuffer<float> from = LaneCases.Guarded(a), to = LaneCases.Guarded(start), scratch = new(tile * tile);
                Run(lanes, transposed, q, Columns, first, last, from.Pointer, to.Pointer, width, scratch.Pointer);
                double[] exact = LaneCases.Doubles(start), xs = LaneCases.Doubles(a), tileScratch = new double[tile * tile];
                fixed (double* px = xs, py = exact, ps = tileScratch)
                {
                    if (transposed) ReferenceQuantized.MultiplyTransposed(q, Columns, 1, first, last, px, py, width, ps);
                    else ReferenceQuantized.Multiply(q, Columns, 1, first, last, px, py, width, ps);
                }

                // n products, each at most the largest weight times |x|, are off by at most n roundings of their absolute sum.
                double largest = Largest(q);
                LaneCases.Close(
                    exact,
                    to.Span,
                    i =>
                    {
                        double sum = 0;
                        for (int k = i % width; k < a.Length; k += width) sum += Math.Abs(a[k]);
                        return ((last - first) * tile + 2) * LaneCases.Rounding * (Math.Abs(start[i]) + largest * sum);
                    },
                    $"{bits} bits, tile {tile}, width {width}, transposed {transposed}");
            }
        }
    }

    [Fact]
    public void Facades_of_float_and_double_agree()
    {
        const int Tile = 32, Width = 16;
        QuantizedTiles q = Base(Tile, 1, 4);
        float[] a = Numbers.Normal(Tile * Width, 1);
        using GuardedBuffer<float> x = LaneCases.Guarded(a), y = new(a.Length), scratch = new(Tile * Tile);
        double[] xs = LaneCases.Doubles(a), ys = new double[a.Length], tileScratch = new double[Tile * Tile];
        QuantizedKernel.Multiply(q, 1, 0, 0, 1, x.Pointer, y.Pointer, Width, scratch.Pointer);
        QuantizedKernel.MultiplyTransposed(q, 1, 0, 0, 1, x.Pointer, y.Pointer, Width, scratch.Pointer);
        fixed (double* px = xs, py = ys, ps = tileScratch)
        {
            QuantizedKernel.Multiply(q, 1, 0, 0, 1, px, py, Width, ps);
            QuantizedKernel.MultiplyTransposed(q, 1, 0, 0, 1, px, py, Width, ps);
        }

        // Twice 32 products of numbers below 6 and the largest weight.
        double bound = 2 * (Tile + 2) * LaneCases.Rounding * Tile * 6 * Largest(q);
        LaneCases.Close(ys, y.Span, _ => bound, "Q x + Q' x");
    }

    [Fact]
    public void A_NaN_stays_in_its_lane()
    {
        const int Tile = 64, Width = 64, Bad = 13;
        QuantizedTiles q = Base(Tile, 1, 5);
        float[] a = Numbers.Normal(Tile * Width, 1);
        a[9 * Width + Bad] = float.NaN;
        using GuardedBuffer<float> x = LaneCases.Guarded(a), y = new(a.Length), scratch = new(Tile * Tile);
        QuantizedKernel.Multiply(q, 1, 0, 0, 1, x.Pointer, y.Pointer, Width, scratch.Pointer);
        for (int i = 0; i < a.Length; i++) Assert.Equal(i % Width == Bad, float.IsNaN(y.Span[i]));
    }

    private static double Largest(FrozenTiles q) => q switch
    {
        TrellisTiles trellis => Math.Max(3.7 * trellis.Scales.Max(s => (double)s), trellis.Outliers!.Values.Max(v => Math.Abs((double)v))),
        _ => ((QuantizedTiles)q).Scales.Max(s => (double)s) * QuantizedTiles.LevelsFor(q.Bits).Max(Math.Abs),
    };

    private static TrellisTiles Trellis(int tile, int tiles, int bits)
    {
        Random random = new(tile + bits);
        byte[] codes = new byte[TrellisTiles.CodeBytes(tile, tiles, bits)];
        random.NextBytes(codes);
        Half[] scales = [.. Enumerable.Range(0, tiles).Select(_ => (Half)(0.1 + random.NextDouble()))];
        TileOutliers outliers =
            new(tile, tiles, 2, [.. Enumerable.Range(0, 2 * tiles).Select(e => (ushort)(5 + e))],
                [.. Enumerable.Range(0, 2 * tiles).Select(e => (Half)(7 - e))]);
        return new TrellisTiles(tile, tiles, bits, bits == 2 ? TrellisScan.ColumnMajor : TrellisScan.RowMajor, scales, codes, outliers);
    }

    private static QuantizedTiles Base(int tile, int tiles, int bits)
    {
        Random random = new(tile + bits);
        byte[] codes = new byte[tiles * tile * tile * bits / 8];
        random.NextBytes(codes);
        Half[] scales = [.. Enumerable.Range(0, tiles * tile * tile / 64).Select(_ => (Half)(0.1 + random.NextDouble()))];
        return new QuantizedTiles(tile, tiles, bits, scales, codes);
    }

    private static void Run(int lanes, bool transposed, FrozenTiles q, int columns, int first, int last, float* from, float* to, int width, float* scratch)
    {
        if (transposed) Wide.Run(lanes, new QuantizedKernel.MultiplyTransposedWork(q, columns, 1, first, last, from, to, width, scratch));
        else Wide.Run(lanes, new QuantizedKernel.MultiplyWork(q, columns, 1, first, last, new(from, 0), new(to, 0), new(1, width, width), scratch));
    }
}
