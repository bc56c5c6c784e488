using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class VectorKernelTests
{
    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Normalize_is_the_definition_at_every_length(int lanes)
    {
        for (int n = 1; n < 100; n++)
        {
            float[] x = [.. Numbers.Normal(n, 1).Select(v => v + 3)], gamma = Numbers.Normal(n, 2), beta = Numbers.Normal(n, 3);
            double mean = x.Average(v => (double)v), variance = x.Average(v => (v - mean) * (v - mean)), scale = 1 / Math.Sqrt(variance + 1e-5);
            double[] exact = [.. x.Select((v, i) => ((v - mean) * scale * gamma[i]) + beta[i])];
            using GuardedBuffer<float> a = LaneCases.Guarded(x), g = LaneCases.Guarded(gamma), b = LaneCases.Guarded(beta), y = new(n);
            Wide.Run(lanes, new VectorKernel.NormalizeWork(a.Pointer, g.Pointer, b.Pointer, y.Pointer, n, 1e-5f));

            // The mean is off by at most n roundings of numbers below 7, which the scale (below 320) magnifies.
            LaneCases.Close(exact, y.Span, i => (n + 8) * LaneCases.Rounding * (7 * scale + Math.Abs(exact[i]) + 1) * (1 + Math.Abs(gamma[i])),
                $"{n} features");
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Dot_is_the_definition_at_every_length(int lanes)
    {
        foreach (int n in Enumerable.Range(1, 69).Concat(Enumerable.Range(250, 80)))
        {
            for (int rows = 1; rows < 10; rows++)
            {
                float[] m = Numbers.Normal(n * rows, 1), x = Numbers.Normal(n, 2), start = Numbers.Normal(rows, 3);
                double[] exact = LaneCases.Doubles(start), bound = [.. start.Select(v => (double)Math.Abs(v))];
                for (int e = 0; e < m.Length; e++)
                {
                    exact[e / n] += (double)m[e] * x[e % n];
                    bound[e / n] += Math.Abs((double)m[e] * x[e % n]);
                }

                using GuardedBuffer<float> a = LaneCases.Guarded(m), v = LaneCases.Guarded(x), y = LaneCases.Guarded(start);
                Wide.Run(lanes, new VectorKernel.DotWork(a.Pointer, n, rows, n, v.Pointer, y.Pointer));

                LaneCases.Close(exact, y.Span, r => (n + 2) * LaneCases.Rounding * bound[r], $"{rows} x {n}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Transform_is_its_twin_s_and_the_same_on_every_width(int lanes)
    {
        foreach ((int size, int terms) in new[] { (32, 32), (32, 44), (64, 64), (64, 76), (128, 140), (64, 4) })
        {
            float[] m = Numbers.Normal(size * terms, 1), v = Numbers.Normal(terms, 2);
            using GuardedBuffer<float> a = LaneCases.Guarded(m), x = LaneCases.Guarded(v), y = new(size), narrow = new(size);
            Wide.Run(lanes, new VectorKernel.TransformWork(a.Pointer, x.Pointer, y.Pointer, size, terms));
            Wide.Run(1, new VectorKernel.TransformWork(a.Pointer, x.Pointer, narrow.Pointer, size, terms));
            Assert.Equal(narrow.Span.ToArray(), y.Span.ToArray());
            VectorKernel.Transform(a.Pointer, x.Pointer, y.Pointer, size, terms);
            Assert.Equal(narrow.Span.ToArray(), y.Span.ToArray());

            double[] exact = new double[size], columns = LaneCases.Doubles(m), factors = LaneCases.Doubles(v);
            fixed (double* e = exact, c = columns, f = factors) ReferenceVector.Transform(c, f, e, size, terms);
            double[] bound = [.. Enumerable.Range(0, size).Select(r => Enumerable.Range(0, terms).Sum(k => Math.Abs(columns[(k * size) + r] * factors[k])))];
            LaneCases.Close(exact, y.Span, r => terms * LaneCases.Rounding * bound[r], $"{size} x {terms}");
        }
    }

    [Theory]
    [InlineData(TileTransform.Dct, 32)]
    [InlineData(TileTransform.Dct, 64)]
    [InlineData(TileTransform.Haar, 128)]
    [InlineData(TileTransform.Cdf97, 64)]
    [InlineData(TileTransform.None, 32)]
    public void A_vector_s_transform_is_that_of_a_panel_s_lane(TileTransform transform, int tile)
    {
        const int Width = 16, Blocks = 3;
        float[] x = Numbers.Normal(Blocks * tile, 1);
        using GuardedBuffer<float> v = LaneCases.Guarded(x), coefficients = new(x.Length), back = new(x.Length), panel = new(tile * Width);
        VectorTransform map = VectorTransform.Get(transform, tile);
        map.Forward(v.Pointer, coefficients.Pointer, Blocks);
        map.Inverse(v.Pointer, back.Pointer, Blocks);
        foreach ((bool inverse, GuardedBuffer<float> actual) in new[] { (false, coefficients), (true, back) })
        {
            for (int b = 0; b < Blocks; b++)
            {
                panel.Span.Clear();
                for (int i = 0; i < tile; i++) panel.Pointer[(i * Width) + 3] = x[(b * tile) + i];
                if (inverse) BlockTransform.Inverse(transform, tile, panel.Pointer, panel.Pointer, Width);
                else BlockTransform.Forward(transform, tile, panel.Pointer, panel.Pointer, Width);

                // Norms of rows are at most 2, so each of the tile's terms rounds a number below 2 * 5.
                double[] exact = [.. Enumerable.Range(0, tile).Select(i => (double)panel.Pointer[(i * Width) + 3])];
                LaneCases.Close(exact, actual.Span.Slice(b * tile, tile), _ => 2 * tile * LaneCases.Rounding * 10,
                    $"{transform} {tile}, inverse {inverse}, block {b}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Compact_runs_multiply_as_the_runs_they_are_a_copy_of(int lanes)
    {
        foreach (int tile in new[] { 32, 64, 128 })
        {
            const int Rows = 3, Columns = 5;
            Random random = new(tile);
            int runs = 11;
            ushort[] starts =
                [.. Enumerable.Range(0, Rows * Columns)
                    .SelectMany(_ => Enumerable.Range(0, tile / 16 * tile).OrderBy(_ => random.Next()).Take(runs)
                        .Select(p => (ushort)((p / tile * 16 * tile) + (p % tile))).Order())];
            using SparsityPattern pattern = new(new CoefficientSupport(tile, Rows * Columns, 16, starts), Rows, Columns);
            float[] values = WeightRounding.Round("matrix", Numbers.Normal(starts.Length * 16, 1), WeightPrecision.BFloat16),
                x = Numbers.Normal(Columns * tile, 2), start = Numbers.Normal(tile, 3);
            using GuardedBuffer<float> v = LaneCases.Guarded(values), from = LaneCases.Guarded(x);
            foreach (WeightPrecision precision in Enum.GetValues<WeightPrecision>())
            {
                using PackedRuns packed = new(pattern, values, precision);
                for (int row = 0; row < Rows; row++)
                {
                    double[] exact = LaneCases.Doubles(start), bound = [.. start.Select(s => (double)Math.Abs(s))];
                    for (int e = 0; e < Columns * runs * 16; e++)
                    {
                        int tileIndex = (row * Columns) + (e / (runs * 16)), place = pattern.Support.PositionOf(tileIndex, e % (runs * 16));
                        double product = (double)values[(row * Columns * runs * 16) + e] * x[(e / (runs * 16) * tile) + (place % tile)];
                        exact[place / tile] += product;
                        bound[place / tile] += Math.Abs(product);
                    }

                    using GuardedBuffer<float> compact = LaneCases.Guarded(start), direct = LaneCases.Guarded(start);
                    Wide.Run(lanes, new PackedRuns.MultiplyWork(packed, row, from.Pointer, compact.Pointer));
                    VectorSparse.Multiply(pattern, v.Pointer, row, from.Pointer, direct.Pointer);
                    LaneCases.Close(exact, compact.Span, r => ((Columns * runs) + 6) * LaneCases.Rounding * bound[r], $"{precision}, tile {tile}, row {row}");
                    LaneCases.Close(exact, direct.Span, r => ((Columns * runs) + 6) * LaneCases.Rounding * bound[r], $"in place, tile {tile}, row {row}");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Compact_places_multiply_as_the_places_they_are_a_copy_of(int lanes)
    {
        // Tiles of 32 go in pairs of columns, of which the last is alone here; tiles of 128 in quarters. With few places rows are empty, with all none is.
        foreach ((int tile, int places) in new[] { (32, 75), (32, 3), (64, 300), (64, 1), (64, 64 * 64), (128, 1200) })
        {
            const int Rows = 2, Columns = 3;
            Random random = new(tile + places);
            ushort[] starts =
                [.. Enumerable.Range(0, Rows * Columns)
                    .SelectMany(_ => Enumerable.Range(0, tile * tile).OrderBy(_ => random.Next()).Take(places).Select(p => (ushort)p).Order())];
            using SparsityPattern pattern = new(new CoefficientSupport(tile, Rows * Columns, 1, starts), Rows, Columns);
            float[] values = WeightRounding.Round("matrix", Numbers.Normal(starts.Length, 1), WeightPrecision.BFloat16),
                x = Numbers.Normal(Columns * tile, 2), start = Numbers.Normal(tile, 3);
            using GuardedBuffer<float> v = LaneCases.Guarded(values), from = LaneCases.Guarded(x);
            foreach (WeightPrecision precision in Enum.GetValues<WeightPrecision>())
            {
                using PackedPositions packed = new(pattern, values, precision);
                for (int row = 0; row < Rows; row++)
                {
                    double[] exact = LaneCases.Doubles(start), bound = [.. start.Select(s => (double)Math.Abs(s))];
                    int[] terms = new int[tile];
                    for (int e = row * Columns * places; e < (row + 1) * Columns * places; e++)
                    {
                        int line = starts[e] / tile;
                        double product = (double)values[e] * x[(e / places % Columns * tile) + (starts[e] % tile)];
                        exact[line] += product;
                        bound[line] += Math.Abs(product);
                        terms[line]++;
                    }

                    using GuardedBuffer<float> compact = LaneCases.Guarded(start), scalar = LaneCases.Guarded(start), direct = LaneCases.Guarded(start);
                    Wide.Run(lanes, new PackedPositions.MultiplyWork(packed, row, from.Pointer, compact.Pointer));
                    Wide.Run(1, new PackedPositions.MultiplyWork(packed, row, from.Pointer, scalar.Pointer));
                    VectorSparse.Multiply(pattern, v.Pointer, row, from.Pointer, direct.Pointer);
                    Assert.Equal(scalar.Span.ToArray(), compact.Span.ToArray()); // all widths add up in one order

                    // A rounding a term, two more a cell.
                    LaneCases.Close(exact, compact.Span, r => (terms[r] + (2 * Columns) + 2) * LaneCases.Rounding * bound[r],
                        $"{precision}, tile {tile}, {places} places, row {row}");
                    LaneCases.Close(exact, direct.Span, r => (terms[r] + (2 * Columns) + 2) * LaneCases.Rounding * bound[r],
                        $"in place, tile {tile}, {places} places, row {row}");
                }
            }
        }
    }

    [Fact]
    public void Compact_places_take_few_bytes_more_than_their_coefficients()
    {
        const int Rows = 12, Columns = 12, Places = 300;
        Random random = new(1);
        ushort[] starts =
            [.. Enumerable.Range(0, Rows * Columns)
                .SelectMany(_ => Enumerable.Range(0, 4096).OrderBy(_ => random.Next()).Take(Places).Select(p => (ushort)p).Order())];
        using SparsityPattern pattern = new(new CoefficientSupport(64, Rows * Columns, 1, starts), Rows, Columns);
        using IPackedSparse half = IPackedSparse.Create(pattern, new float[starts.Length], WeightPrecision.BFloat16)!,
            whole = IPackedSparse.Create(pattern, new float[starts.Length], WeightPrecision.Float32)!;

        // A row has an odd number of places half the time, which 32 coefficients of 332 are there to fill. Ranks, steps and their lanes are about 90 bytes.
        Assert.InRange(half.Bytes / (double)(Rows * Columns), 3 * 300, 3 * 336 + 95);
        Assert.InRange(whole.Bytes / (double)(Rows * Columns), 5 * 300, 5 * 336 + 95);
    }

    [Theory]
    [InlineData(1f, 0x3F80)]
    [InlineData(-2.5f, 0xC020)]
    [InlineData(1.00390625f, 0x3F80)]
    [InlineData(1.01171875f, 0x3F82)]
    [InlineData(0f, 0)]
    public void Bfloat16_is_the_nearest_ties_to_even(float value, int bits) => Assert.Equal(bits, WeightRounding.ToBFloat16(value));

}
