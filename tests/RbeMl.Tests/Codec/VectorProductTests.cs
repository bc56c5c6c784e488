using System.Runtime.Intrinsics.X86;
using RbeMl.Codec;
using RbeMl.Numerics;
using RbeMl.Tests.Kernels;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public sealed unsafe class VectorProductTests
{
    // Of a trellis that runs down the columns.
    private const int Down = -10;

    // Tile and bits; negative bits for a trellis.
    public static TheoryData<int, int> Cases
    {
        get
        {
            TheoryData<int, int> cases = [];
            foreach (int tile in new[] { 32, 64, 128 })
            {
                foreach (int bits in new[] { 2, 3, 4, 5, 6, 7, 8, -2, -3, -4, -5, -6, Down - 2, Down - 3, Down - 4, Down - 5, Down - 6 }) cases.Add(tile, bits);
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Products_from_codes_are_those_of_decoded_tiles(int tile, int bits)
    {
        const int Tiles = 5;
        FrozenTiles q = Make(tile, Tiles, bits);
        q.PrepareVectors();
        q.PrepareVectors();
        foreach ((int first, int count) in new[] { (0, 1), (1, 3), (2, 3), (4, 1) })
        {
            float[] x = Numbers.Normal(count * tile, 1), start = Numbers.Normal(tile, 2), cells = new float[tile * tile];
            double curve = 0; // how far a trellis' values may be from its table
            double[] pairs = new double[tile]; // and what integers of 16 bits may be off
            double[] exact = LaneCases.Doubles(start), bound = [.. start.Select(v => (double)Math.Abs(v))];
            for (int j = 0; j < count; j++)
            {
                q.Dequantize(first + j, cells);
                if (q is TrellisTiles) curve += TrellisCurve.MostError * (double)q.Scales[first + j] * x.Skip(j * tile).Take(tile).Sum(Math.Abs);
                for (int e = 0; e < cells.Length; e++)
                {
                    double input = x[(j * tile) + (e % tile)], product = cells[e] * input;
                    Span<float> segment = x.AsSpan((j * tile) + (e % tile / 64 * 64), Math.Min(tile, 64));
                    if (q is QuantizedTiles) pairs[e / tile] += PairError(e, first + j, input, cells[e], segment);
                    exact[e / tile] += product;

                    // An outlier's place is what the code says there and the difference to it: at most three times the largest of the tile.
                    bound[e / tile] += Math.Abs(product) + (3 * 40 * Math.Abs(input) * (IsOutlier(q, first + j, e) ? 1 : 0));
                }
            }

            // A sum of n rounded products is off by at most n + 2 roundings of its absolute sum.
            double Tolerance(int row) => ((count * tile) + 4) * LaneCases.Rounding * bound[row];
            bool integers = q is QuantizedTiles && Avx2.IsSupported && !Avx512BW.IsSupported;
            Check(y => q.MultiplyVector(first, count, y.X, y.Y, y.Scratch), "fused", row => curve + (integers ? pairs[row] : 0));
            Check(y => q.MultiplyDecoded(first, count, y.X, y.Y, y.Scratch), "decoded");
            if (q is QuantizedTiles { Outliers: null } plain && Avx2.IsSupported && Fma.IsSupported)
            {
                Check(y => AddSums(y, tile == 32 ? 4 : 8, s => plain.ProductPairs(first, count, y.X, (float*)s)), "256 bits", row => pairs[row]);
            }

            if (q is QuantizedTiles { Outliers: null } wide && Avx512BW.IsSupported)
            {
                Check(y => AddSums(y, 16, s => wide.ProductAvx512(first, count, y.X, (float*)s)), "512 bits");
            }

            if (q is TrellisTiles { Outliers: null } trellis)
            {
                if (trellis.Scan == TrellisScan.ColumnMajor) Check(y => trellis.ProductScalar(first, count, y.X, y.Y), "a value at a time");
                else Check(y => AddSums(y, TrellisScalarProducts.Lanes, s => trellis.ProductScalar(first, count, y.X, (float*)s)), "a value at a time");
            }

            void Check(Action<Memory> multiply, string what, Func<int, double>? more = null)
            {
                using GuardedBuffer<float> from = LaneCases.Guarded(x), to = LaneCases.Guarded(start), scratch = new(q.VectorScratch);
                scratch.Span.Fill(float.NaN);
                multiply(new Memory(from.Pointer, to.Pointer, scratch.Pointer));
                LaneCases.Close(exact, to.Span, row => Tolerance(row) + (more?.Invoke(row) ?? 0), $"{what}, {bits} bits, tile {tile}, tiles {first} + {count}");
            }
        }

        // Of x half a step of its segment, of a level what its integer is off.
        double PairError(int place, int tileIndex, double input, double cell, ReadOnlySpan<float> segment)
        {
            double largest = 0;
            foreach (float value in segment) largest = Math.Max(largest, Math.Abs(value));
            double step = 0.51 * largest / PairVector.Largest, scale = (double)q.Scales[((tileIndex * tile * tile) + place) / QuantizedTiles.GroupSize];
            double level = QuantizerLevels.IsUniform(bits) ? 0 : scale * PairLevels.MostError;
            return (Math.Abs(cell) * step) + (level * (Math.Abs(input) + step));
        }

        void AddSums(Memory memory, int lanes, Action<nint> product)
        {
            new Span<float>(memory.Scratch, tile * lanes).Clear();
            product((nint)memory.Scratch);
            VectorKernel.AddSums(memory.Scratch, lanes, tile, memory.Y);
        }
    }

    /// <summary>The plain twin of what vectors compute is near the table at every state, and exact in the far tail.</summary>
    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void A_trellis_values_are_near_its_table(int bits)
    {
        float[] table = TrellisCodebook.For(bits);
        for (int state = 0; state < TrellisCodebook.States; state++)
        {
            double error = Math.Abs(TrellisCurve.Value(state, bits) - (double)table[state]);
            double most = Math.Abs(table[state]) > 3.1 ? 1e-6 : TrellisCurve.MostError;
            Assert.True(error <= most, $"state {state}: {error} from {table[state]}");
        }
    }

    private readonly struct Memory(float* x, float* y, float* scratch)
    {
        public readonly float* X = x, Y = y, Scratch = scratch;
    }

    private static bool IsOutlier(FrozenTiles q, int tileIndex, int place) =>
        q.Outliers is { } o && o.Places.AsSpan(tileIndex * o.PerTile, o.PerTile).Contains((ushort)place);

    private static FrozenTiles Make(int tile, int tiles, int bits)
    {
        Random random = new(tile + bits);
        int trellis = bits < Down ? Down - bits : -bits;
        byte[] codes = new byte[bits > 0 ? tiles * tile * tile * bits / 8 : TrellisTiles.CodeBytes(tile, tiles, trellis)];
        random.NextBytes(codes);
        Half[] scales = [.. Enumerable.Range(0, bits > 0 ? tiles * tile * tile / 64 : tiles).Select(_ => (Half)(0.1 + random.NextDouble()))];
        TileOutliers outliers =
            new(tile, tiles, 3, [.. Enumerable.Range(0, 3 * tiles).Select(e => (ushort)(5 + (300 * e % 900) + (e / 3)))],
                [.. Enumerable.Range(0, 3 * tiles).Select(e => (Half)(7 - e))]);
        if (bits < 0) return new TrellisTiles(tile, tiles, trellis, bits < Down ? TrellisScan.ColumnMajor : TrellisScan.RowMajor, scales, codes,
            trellis is 4 or 6 ? outliers : null);
        return new QuantizedTiles(tile, tiles, bits, scales, codes, bits is 4 or 6 ? outliers : null);
    }
}
