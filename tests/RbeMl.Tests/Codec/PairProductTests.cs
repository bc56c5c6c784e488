using System.Runtime.Intrinsics.X86;
using RbeMl.Codec;
using RbeMl.Tests.Kernels;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

/// <summary>Products with quantised codes in integers of 16 bits.</summary>
public sealed unsafe class PairProductTests
{
    private const int Tiles = 3;

    public static TheoryData<int, int> Cases
    {
        get
        {
            TheoryData<int, int> cases = [];
            foreach (int tile in (int[])[32, 64, 128])
            {
                for (int bits = 2; bits <= 8; bits++) cases.Add(tile, bits);
            }

            return cases;
        }
    }

    private static bool Supported => Avx2.IsSupported && Fma.IsSupported;

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public void Levels_are_near_their_integers_and_fit(int bits)
    {
        float[] levels = QuantizerLevels.For(bits);
        double most = QuantizerLevels.IsUniform(bits) ? 0 : PairLevels.MostError;
        Assert.Equal(levels.Length, PairLevels.For(bits).Length);
        for (int code = 0; code < levels.Length; code++)
        {
            int whole = PairLevels.For(bits)[code];
            Assert.InRange(Math.Abs((whole * (double)PairLevels.StepOf(bits)) - levels[code]), 0, most);

            // Eight products of a lane, of uniform levels with what they are moved up by.
            Assert.InRange(8L * PairVector.Largest * (QuantizerLevels.IsUniform(bits) ? code : Math.Abs(whole)), 0, int.MaxValue);
        }
    }

    /// <summary>The plain twin: the same integers one after the other. What is left are the roundings of one product and one sum a group.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Products_are_those_of_the_integers(int tile, int bits)
    {
        if (!Supported) return;
        foreach (bool extreme in (bool[])[false, true])
        {
            QuantizedTiles q = Make(tile, bits, extreme);
            float[] x = extreme ? [.. Enumerable.Repeat(-3f, Tiles * tile)] : Numbers.Normal(Tiles * tile, 3);
            double[] expected = Twin(q, x, out double[] bound);
            double roundings = (Tiles * Math.Max(tile / 64, 1)) + 12;
            LaneCases.Close(expected, Product(q, x), row => roundings * LaneCases.Rounding * bound[row], $"{bits} bits, tile {tile}, extreme {extreme}");
        }
    }

    /// <summary>What pages say of their error, and what other tests allow for.</summary>
    [Theory]
    [MemberData(nameof(Cases))]
    public void Products_are_those_of_the_coefficients_but_for_the_error_that_is_told(int tile, int bits)
    {
        if (!Supported) return;
        QuantizedTiles q = Make(tile, bits, false);
        float[] x = Numbers.Normal(Tiles * tile, 5), cells = new float[tile * tile], expected = new float[tile];
        double[] exact = new double[tile];
        for (int t = 0; t < Tiles; t++)
        {
            q.Dequantize(t, cells);
            for (int e = 0; e < cells.Length; e++) exact[e / tile] += (double)cells[e] * x[(t * tile) + (e % tile)];
        }

        for (int row = 0; row < tile; row++) expected[row] = (float)exact[row];
        Assert.InRange(Numbers.RelativeError(expected, Product(q, x)), 0, PairLevels.ProductError);
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void What_is_not_finite_stays_so(float value)
    {
        if (!Supported) return;
        foreach (int bits in (int[])[2, 3, 4, 5, 6, 7, 8])
        {
            float[] x = Numbers.Normal(Tiles * 64, 4);
            x[70] = value;
            Assert.All(Product(Make(64, bits, false), x), sum => Assert.False(float.IsFinite(sum)));
        }
    }

    [Fact]
    public void Inputs_too_small_for_a_scale_count_as_zeros()
    {
        if (!Supported) return;
        float[] x = [.. Enumerable.Repeat(1e-36f, Tiles * 64)];
        Assert.All(Product(Make(64, 4, false), x), sum => Assert.Equal(0, sum));
    }

    // Row by row the sums of groups, each exact, times their scales.
    private static double[] Twin(QuantizedTiles q, float[] x, out double[] bound)
    {
        int tile = q.Tile, bits = q.Bits, segment = Math.Min(tile, 64);
        short[] levels = PairLevels.For(bits);
        double[] sums = new double[tile];
        bound = new double[tile];
        byte[] codes = new byte[tile * tile];
        for (int t = 0; t < Tiles; t++)
        {
            BitPacking.Unpack(q.Codes.Span.Slice(t * tile * tile * bits / 8, tile * tile * bits / 8), bits, codes);
            for (int e = 0; e < codes.Length; e++)
            {
                int column = e % tile;
                float largest = 0;
                int from = (t * tile) + (column / segment * segment);
                for (int c = from; c < from + segment; c++) largest = Math.Max(largest, Math.Abs(x[c]));
                double whole = Math.Round((double)(x[(t * tile) + column] * (PairVector.Largest / largest))), scale = largest / PairVector.Largest;
                double product = whole * scale * levels[codes[e]] * PairLevels.StepOf(bits) * (double)q.Scales[((t * tile * tile) + e) / 64];
                sums[e / tile] += product;
                bound[e / tile] += Math.Abs(product);
            }
        }

        return sums;
    }

    private static float[] Product(QuantizedTiles q, float[] x)
    {
        int lanes = q.Tile == 32 ? 4 : 8;
        using GuardedBuffer<float> from = LaneCases.Guarded(x), scratch = new(q.VectorScratch);
        scratch.Span.Fill(float.NaN);
        scratch.Span[..(q.Tile * lanes)].Clear();
        q.ProductPairs(0, Tiles, from.Pointer, scratch.Pointer);
        float[] sums = new float[q.Tile];
        for (int i = 0; i < q.Tile * lanes; i++) sums[i / lanes] += scratch.Span[i];
        return sums;
    }

    private static QuantizedTiles Make(int tile, int bits, bool extreme)
    {
        byte[] codes = new byte[Tiles * tile * tile * bits / 8];
        if (extreme) codes.AsSpan().Fill(0xFF);
        else new Random(bits).NextBytes(codes);
        return new QuantizedTiles(tile, Tiles, bits, [.. Enumerable.Range(0, Tiles * tile * tile / 64).Select(i => (Half)(0.1 + (i % 7)))], codes);
    }
}
