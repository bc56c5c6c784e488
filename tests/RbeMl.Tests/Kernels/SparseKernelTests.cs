using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class SparseKernelTests
{
    public static TheoryData<int, int, int> Cases
    {
        get
        {
            TheoryData<int, int, int> cases = [];
            foreach (int lanes in LaneCases.All)
            {
                foreach (int tile in new[] { 32, 64, 128 })
                {
                    foreach (int runLength in new[] { 1, 4, 8, 16 }) cases.Add(lanes, tile, runLength);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Products_match_the_definition(int lanes, int tile, int runLength)
    {
        foreach ((SparsityPattern pattern, int width) in Shapes(tile, runLength))
        {
            using (pattern) CheckProducts(lanes, pattern, width, 0, pattern.TileColumns, 0, pattern.TileRows);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Gradients_match_the_definition(int lanes, int tile, int runLength)
    {
        int chunks = 0;
        foreach ((SparsityPattern pattern, int width) in Shapes(tile, runLength))
        {
            chunks = chunks % 5 + 1;
            using (pattern) CheckGradient(lanes, pattern, width, chunks);
        }
    }

    [Theory]
    [MemberData(nameof(LaneCases.All), MemberType = typeof(LaneCases))]
    public void Parts_of_the_range_start_at_their_own_block(int lanes)
    {
        foreach (int runLength in new[] { 1, 4, 8, 16 })
        {
            using SparsityPattern pattern = new(SparseCases.Support(32, 20, runLength, 160 / runLength, 5), 4, 5);
            CheckProducts(lanes, pattern, 16, 2, 4, 1, 3);
            CheckProducts(lanes, pattern, 64, 3, 5, 3, 3);
            using SparsityPattern full = new(SparseCases.Support(32, 6, runLength, 32 * 32 / runLength, 5), 2, 3);
            CheckProducts(lanes, full, 16, 1, 2, 1, 2);
            CheckProducts(lanes, full, 64, 1, 3, 1, 2);
        }
    }

    // 4096 runs a tile: a 16-bit step reaches 16 tile columns, so 18 take two segments.
    [Theory]
    [MemberData(nameof(LaneCases.All), MemberType = typeof(LaneCases))]
    public void Long_rows_take_several_segments(int lanes)
    {
        using SparsityPattern pattern = new(SparseCases.Support(128, 18, 4, 4096, 6), 1, 18);
        CheckProducts(lanes, pattern, 16, 0, 18, 0, 1);
        CheckProducts(lanes, pattern, 16, 5, 17, 0, 1);
        CheckGradient(lanes, pattern, 16, 1);
    }

    [Theory]
    [MemberData(nameof(LaneCases.All), MemberType = typeof(LaneCases))]
    public void Many_chunks_are_batched(int lanes)
    {
        foreach (int runLength in new[] { 1, 4, 8, 16 })
        {
            using SparsityPattern pattern = new(SparseCases.Support(32, 2, runLength, 240 / runLength, 7), 1, 2);
            CheckGradient(lanes, pattern, 16, 19);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_transposed_product_is_the_adjoint(int lanes, int tile, int runLength)
    {
        const int Width = 16;
        int runs = Math.Max(1, 300 / runLength);
        using SparsityPattern pattern = new(SparseCases.Support(tile, 6, runLength, runs, 8), 2, 3);
        float[] c = Numbers.Normal(6 * runs * runLength, 1), a = Numbers.Normal(3 * tile * Width, 2), b = Numbers.Normal(2 * tile * Width, 3);
        using GuardedBuffer<float> values = LaneCases.Guarded(c), x = LaneCases.Guarded(a), y = LaneCases.Guarded(b), cx = new(b.Length), cy = new(a.Length);
        for (int i = 0; i < 2; i++) SparseCases.Multiply(lanes, pattern, values.Pointer, i, 0, 3, x.Pointer, cx.Pointer + i * tile * Width, Width);
        for (int j = 0; j < 3; j++) SparseCases.MultiplyTransposed(lanes, pattern, values.Pointer, j, 0, 2, y.Pointer, cy.Pointer + j * tile * Width, Width);
        double left = 0, right = 0, size = 0;
        for (int i = 0; i < b.Length; i++) left += (double)cx.Span[i] * b[i];
        for (int i = 0; i < a.Length; i++) right += (double)cy.Span[i] * a[i];
        for (int i = 0; i < b.Length; i++) size += Math.Abs((double)cx.Span[i] * b[i]);

        // Each element of C x is off by at most a few roundings for each of its terms, of which a row has at most three tiles' worth.
        double tolerance = 3 * tile * LaneCases.Rounding * size;
        Assert.InRange(left - right, -tolerance, tolerance);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_NaN_stays_in_its_lane(int lanes, int tile, int runLength)
    {
        const int Width = 64, Bad = 21;
        int runs = Math.Max(1, 300 / runLength);
        using SparsityPattern pattern = new(SparseCases.Support(tile, 1, runLength, runs, 9), 1, 1);
        float[] a = Numbers.Normal(tile * Width, 2);
        for (int i = Bad; i < a.Length; i += Width) a[i] = float.NaN;
        using GuardedBuffer<float> values = LaneCases.Guarded(Numbers.Normal(runs * runLength, 1)), x = LaneCases.Guarded(a), y = new(a.Length),
            z = new(a.Length);
        SparseCases.Multiply(lanes, pattern, values.Pointer, 0, 0, 1, x.Pointer, y.Pointer, Width);
        SparseCases.MultiplyTransposed(lanes, pattern, values.Pointer, 0, 0, 1, x.Pointer, z.Pointer, Width);
        Assert.Contains(y.Span.ToArray(), float.IsNaN);
        Assert.Contains(z.Span.ToArray(), float.IsNaN);
        for (int i = 0; i < a.Length; i++)
        {
            if (i % Width == Bad) continue;
            Assert.True(float.IsFinite(y.Span[i]) && float.IsFinite(z.Span[i]));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(8)]
    public void Facades_of_float_and_double_agree(int runLength)
    {
        const int Tile = 32, Width = 16;
        int coefficients = 96;
        using SparsityPattern pattern = new(SparseCases.Support(Tile, 1, runLength, coefficients / runLength, 10), 1, 1);
        float[] c = Numbers.Normal(coefficients, 1), a = Numbers.Normal(Tile * Width, 2), b = Numbers.Normal(Tile * Width, 3);
        using GuardedBuffer<float> values = LaneCases.Guarded(c), x = LaneCases.Guarded(a), g = LaneCases.Guarded(b), y = new(a.Length),
            gradients = new(coefficients);
        SparseKernel.Multiply(pattern, values.Pointer, 0, 0, 1, x.Pointer, y.Pointer, Width);
        SparseKernel.MultiplyTransposed(pattern, values.Pointer, 0, 0, 1, g.Pointer, y.Pointer, Width);
        SparseKernel.Gradient(pattern, 0, x.Pointer, 0, g.Pointer, 0, 1, Width, gradients.Pointer);
        double[] cs = LaneCases.Doubles(c), xs = LaneCases.Doubles(a), gs = LaneCases.Doubles(b), ys = new double[a.Length], ds = new double[coefficients];
        fixed (double* pc = cs, px = xs, pg = gs, py = ys, pd = ds)
        {
            SparseKernel.Multiply(pattern, pc, 0, 0, 1, px, py, Width);
            SparseKernel.MultiplyTransposed(pattern, pc, 0, 0, 1, pg, py, Width);
            SparseKernel.Gradient(pattern, 0, px, 0, pg, 0, 1, Width, pd);
        }

        // At most 64 products of two normal numbers, each below 25.
        LaneCases.Close(ys, y.Span, _ => 64 * 64 * 25 * LaneCases.Rounding, "C x + C' g");
        LaneCases.Close(ds, gradients.Span, _ => Width * Width * 25 * LaneCases.Rounding, "gradients");
    }

    // From one run to all places; all places of the largest tile only in a single tile, to keep the reference quick.
    private static IEnumerable<(SparsityPattern Pattern, int Width)> Shapes(int tile, int runLength)
    {
        int all = tile * tile / runLength;
        foreach (int runs in new[] { 1, Math.Max(2, all / 14), all - 1, all })
        {
            foreach (int width in new[] { 16, 64 })
            {
                yield return (new SparsityPattern(SparseCases.Support(tile, 1, runLength, runs, runs), 1, 1), width);
                if (runs * runLength <= 1500) yield return (new SparsityPattern(SparseCases.Support(tile, 6, runLength, runs, runs + 1), 2, 3), width);
            }
        }
    }

    private static void CheckProducts(int lanes, SparsityPattern pattern, int width, int firstColumn, int lastColumn, int firstRow, int lastRow)
    {
        CoefficientSupport s = pattern.Support;
        int block = s.Tile * width, tileRow = pattern.TileRows - 1, tileColumn = pattern.TileColumns - 1;
        string what = $"tile {s.Tile}, {s.RunsPerTile} runs of {s.RunLength}, width {width}, {pattern.TileRows} x {pattern.TileColumns}";
        float[] c = Numbers.Normal(s.TileCount * s.CoefficientsPerTile, 1), start = Numbers.Normal(block, 2);
        float[] a = Numbers.Normal((lastColumn - firstColumn) * block, 3), b = Numbers.Normal((lastRow - firstRow) * block, 4);
        using GuardedBuffer<float> values = LaneCases.Guarded(c), x = LaneCases.Guarded(a), y = LaneCases.Guarded(start);
        SparseCases.Multiply(lanes, pattern, values.Pointer, tileRow, firstColumn, lastColumn, x.Pointer, y.Pointer, width);
        double[] Reference(Func<float, double> of)
        {
            double[] v = Array.ConvertAll(c, e => of(e)), xs = Array.ConvertAll(a, e => of(e)), ys = Array.ConvertAll(start, e => of(e));
            fixed (double* pv = v, px = xs, py = ys) ReferenceSparse.Multiply(pattern, pv, tileRow, firstColumn, lastColumn, px, py, width);
            return ys;
        }

        Compare(Reference(v => v), Reference(v => Math.Abs(v)), y.Span, s.Tile * (lastColumn - firstColumn) + 1, "product, " + what);

        using GuardedBuffer<float> g = LaneCases.Guarded(b), z = LaneCases.Guarded(start);
        SparseCases.MultiplyTransposed(lanes, pattern, values.Pointer, tileColumn, firstRow, lastRow, g.Pointer, z.Pointer, width);
        double[] Transposed(Func<float, double> of)
        {
            double[] v = Array.ConvertAll(c, e => of(e)), ys = Array.ConvertAll(b, e => of(e)), xs = Array.ConvertAll(start, e => of(e));
            fixed (double* pv = v, px = xs, py = ys) ReferenceSparse.MultiplyTransposed(pattern, pv, tileColumn, firstRow, lastRow, py, px, width);
            return xs;
        }

        Compare(Transposed(v => v), Transposed(v => Math.Abs(v)), z.Span, s.Tile * (lastRow - firstRow) + 1, "transposed product, " + what);
    }

    private static void CheckGradient(int lanes, SparsityPattern pattern, int width, int chunks)
    {
        CoefficientSupport s = pattern.Support;
        int tileRow = pattern.TileRows - 1;
        long xStride = (pattern.TileColumns + 1L) * s.Tile * width, gStride = (pattern.TileRows + 2L) * s.Tile * width; // larger than needed
        float[] a = Numbers.Normal((int)((chunks - 1) * xStride) + pattern.TileColumns * s.Tile * width, 1);
        float[] b = Numbers.Normal((int)((chunks - 1) * gStride) + pattern.TileRows * s.Tile * width, 2);
        float[] start = Numbers.Normal(s.TileCount * s.CoefficientsPerTile, 3);
        using GuardedBuffer<float> x = LaneCases.Guarded(a), g = LaneCases.Guarded(b), gradients = LaneCases.Guarded(start);
        SparseCases.Gradient(lanes, pattern, tileRow, x.Pointer, xStride, g.Pointer, gStride, chunks, width, gradients.Pointer);
        double[] Reference(Func<float, double> of)
        {
            double[] xs = Array.ConvertAll(a, e => of(e)), gs = Array.ConvertAll(b, e => of(e)), result = Array.ConvertAll(start, e => of(e));
            fixed (double* px = xs, pg = gs, pr = result) ReferenceSparse.Gradient(pattern, tileRow, px, xStride, pg, gStride, chunks, width, pr);
            return result;
        }

        Compare(Reference(v => v), Reference(v => Math.Abs(v)), gradients.Span, chunks * width + 1,
            $"gradient, tile {s.Tile}, {s.RunsPerTile} runs of {s.RunLength}, width {width}, {chunks} chunks");
    }

    // A sum of n products in any order is off by at most n roundings of the sum of the absolute products.
    private static void Compare(double[] expected, double[] absolute, ReadOnlySpan<float> actual, int terms, string what) =>
        LaneCases.Close(expected, actual, i => terms * LaneCases.Rounding * absolute[i], what);
}
