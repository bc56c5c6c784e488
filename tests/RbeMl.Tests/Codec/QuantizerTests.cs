using System.Runtime.Intrinsics.X86;
using CsCheck;
using RbeMl.Codec;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class QuantizerTests
{
    public static TheoryData<int> AllBits => [2, 3, 4, 5, 6, 7, 8];

    // Lloyd's condition, by numerical integration: a level is the mean of its cell, cells end halfway between levels. The iteration has this as its only
    // fixed point for a Gaussian, and it contracts, so a level is as exact as its residual is small.
    [Theory]
    [InlineData(2, 0.11748)]
    [InlineData(3, 0.03454776)]
    [InlineData(4, 0.00950101)]
    [InlineData(5, 0.00250467)]
    public void NonUniformLevelsAreLloydMax(int bits, double error)
    {
        double[] levels = [.. Enumerable.Range(0, 1 << bits - 1).Select(i => 4.0 * (i + 0.5) / (1 << bits - 1))];
        const int points = 40_000;
        double[] x = [.. Enumerable.Range(0, points).Select(i => 10.0 * (i + 0.5) / points)];
        double[] density = [.. x.Select(v => Math.Exp(-v * v / 2))];
        double[] mass = Sums(density), moment = Sums([.. x.Zip(density, (v, p) => v * p)]), square = Sums([.. x.Zip(density, (v, p) => v * v * p)]);
        for (double change = 1; change > 1e-9;)
        {
            double[] next = [.. levels];
            for (int j = 0; j < levels.Length; j++)
            {
                double from = j == 0 ? 0 : (levels[j - 1] + levels[j]) / 2, to = j == levels.Length - 1 ? 10 : (levels[j] + levels[j + 1]) / 2;
                next[j] = (At(moment, to) - At(moment, from)) / (At(mass, to) - At(mass, from));
            }

            change = next.Zip(levels, (a, b) => Math.Abs(a - b)).Max();
            levels = next;
        }

        double explained = 0;
        for (int j = 0; j < levels.Length; j++)
        {
            double from = j == 0 ? 0 : (levels[j - 1] + levels[j]) / 2, to = j == levels.Length - 1 ? 10 : (levels[j] + levels[j + 1]) / 2;
            explained += levels[j] * (At(moment, to) - At(moment, from));
        }

        Assert.Equal(error, 1 - explained / At(square, 10), 2e-6); // Max (1960), table of minimum mean squared errors
        // stopping at 1e-9 a round leaves about 1e-5 over 10^4 rounds; the grid 1e-7
        Assert.All(levels.Zip(QuantizerLevels.Positive(bits).ToArray()), pair => Assert.Equal(pair.First, pair.Second, 2e-4));
        float[] all = QuantizedTiles.LevelsFor(bits);
        Assert.Equal(all.Reverse().Select(v => -v), all);

        static double[] Sums(double[] values)
        {
            double[] sums = new double[values.Length + 1];
            for (int i = 0; i < values.Length; i++) sums[i + 1] = sums[i] + values[i];
            return sums;
        }

        static double At(double[] sums, double value)
        {
            double place = value / 10 * points;
            int i = Math.Min((int)place, points - 1);
            return sums[i] + (place - i) * (sums[i + 1] - sums[i]);
        }
    }

    [Fact]
    public void FirstLevelsAreGolden()
    {
        Assert.Equal([0.452780040f, 1.510417609f], QuantizedTiles.LevelsFor(2)[2..]);
        Assert.Equal([0.245094179f, 0.756005281f, 1.343909279f, 2.151945705f], QuantizedTiles.LevelsFor(3)[4..]);
        Assert.Equal(2.732589571f, QuantizedTiles.LevelsFor(4)[15]);
        Assert.Equal(-3.260732493f, QuantizedTiles.LevelsFor(5)[0]);
    }

    [Theory]
    [InlineData(6)]
    [InlineData(7)]
    [InlineData(8)]
    public void OtherLevelsAreUniform(int bits)
    {
        float[] levels = QuantizedTiles.LevelsFor(bits);
        Assert.Equal(1 << bits, levels.Length);
        for (int code = 0; code < levels.Length; code++) Assert.Equal((code - (1 << bits - 1)) / (float)(1 << bits - 3), levels[code]);
    }

    [Theory]
    [MemberData(nameof(AllBits))]
    public void CodesSurvivePacking(int bits) => Gen.Byte.Array[8 * 13].Sample(
        bytes =>
        {
            byte[] codes = [.. bytes.Select(b => (byte)(b & ((1 << bits) - 1)))], packed = new byte[codes.Length * bits / 8], back = new byte[codes.Length];
            BitPacking.Pack(codes, bits, packed);
            BitPacking.Unpack(packed, bits, back);
            Assert.Equal(codes, back);
            // The documented layout, bit by bit.
            for (int e = 0; e < codes.Length; e++)
            {
                for (int b = 0; b < bits; b++) Assert.Equal(codes[e] >> b & 1, packed[(e * bits + b) / 8] >> (e * bits + b) % 8 & 1);
            }
        },
        iter: 20,
        threads: 1);

    [Theory]
    [MemberData(nameof(AllBits))]
    public void VectorDecodingEqualsTheDefinition(int bits)
    {
        foreach (int tile in new[] { 32, 64, 128 })
        {
            Random random = new(bits);
            byte[] codes = new byte[2 * tile * tile * bits / 8];
            random.NextBytes(codes);
            Half[] scales = [.. Enumerable.Range(0, 2 * tile * tile / 64).Select(i => i % 7 == 0 ? Half.Epsilon : (Half)random.NextDouble())];
            QuantizedTiles tiles = new(tile, 2, bits, scales, codes);
            float[] expected = new float[tile * tile], actual = new float[tile * tile], byHand = new float[tile * tile];
            for (int t = 0; t < 2; t++)
            {
                tiles.DequantizeScalar(t, expected);
                for (int e = 0; e < byHand.Length; e++)
                {
                    int code = 0, first = (t * tile * tile + e) * bits;
                    for (int b = 0; b < bits; b++) code |= (codes[(first + b) / 8] >> (first + b) % 8 & 1) << b;
                    byHand[e] = (float)scales[(t * tile * tile + e) / 64] * QuantizedTiles.LevelsFor(bits)[code];
                }

                Assert.Equal(byHand, expected);
                tiles.Dequantize(t, actual);
                Assert.Equal(expected, actual); // the step of uniform levels is a power of two: no rounding differs
                if (Avx2.IsSupported)
                {
                    actual.AsSpan().Clear();
                    tiles.DequantizeAvx2(t, actual);
                    Assert.Equal(expected, actual);
                }

                if (Avx512BW.IsSupported)
                {
                    actual.AsSpan().Clear();
                    tiles.DequantizeAvx512(t, actual);
                    Assert.Equal(expected, actual);
                }
            }
        }
    }

    [Fact]
    public void ScaleConversionIsExactForEveryHalf()
    {
        for (ushort bits = 0; bits < 0x7C00; bits++)
        {
            Half half = BitConverter.UInt16BitsToHalf(bits);
            Assert.True((float)half == QuantizedTiles.ToSingle(half), $"{half}");
        }
    }

    // For the codes chosen no other fp16 scale is better, and no other code is nearer.
    [Theory]
    [MemberData(nameof(AllBits))]
    public void ScaleAndCodesAreBestForEachOther(int bits)
    {
        float[] levels = QuantizedTiles.LevelsFor(bits);
        byte[] codes = new byte[64];
        for (int seed = 0; seed < 50; seed++)
        {
            float[] x = Numbers.Normal(64, seed, scale: Math.Pow(10, seed % 5 - 3));
            if (seed % 3 == 0) x[seed] *= 20;
            float scale = (float)GroupQuantizer.Quantize(x, bits, codes);
            double error = Error(scale);
            for (int e = 0; e < 64; e++)
            {
                float nearest = levels.Skip(QuantizerLevels.IsUniform(bits) ? 1 : 0).Min(level => Math.Abs(x[e] - scale * level));
                Assert.Equal(nearest, Math.Abs(x[e] - scale * levels[codes[e]]), 4e-7 * Math.Abs(x[e])); // a tie may fall either way within rounding
            }

            // Within 1 %: refinement stops when fp16 rounding no longer lets it gain.
            Assert.True(error <= 1.01 * Math.Min(Error(scale * 1.02f), Error(scale * 0.98f)), $"seed {seed}: {error}");

            double Error(float s) => Enumerable.Range(0, 64).Sum(e => Math.Pow(x[e] - (double)s * levels[codes[e]], 2));
        }
    }

    [Theory]
    [MemberData(nameof(AllBits))]
    public void ZeroGroupsStayZeroAndHugeOnesSaturate(int bits)
    {
        byte[] codes = new byte[64];
        Assert.Equal(Half.Zero, GroupQuantizer.Quantize(new float[64], bits, codes));
        foreach (double size in new[] { 1e-40, 1e-30, 1e-9, 2e-8, 1e-7, 1e6, 1e12, 1e30 })
        {
            Half scale = GroupQuantizer.Quantize(Numbers.Normal(64, 1, size), bits, codes);
            Assert.InRange((float)scale, 0, 65504);
            if (size < 1e-8) Assert.Equal(Half.Zero, scale);
            if (size > 1e5) Assert.Equal(Half.MaxValue, scale);
        }
    }

    [Fact]
    public void PartsOfWrongSizeAreRefused()
    {
        Assert.Throws<ShapeMismatchException>(() => new QuantizedTiles(64, 1, 4, new Half[63], new byte[2048]));
        Assert.Throws<ShapeMismatchException>(() => new QuantizedTiles(64, 1, 4, new Half[64], new byte[2047]));
        Assert.Throws<InvalidSettingException>(() => new QuantizedTiles(64, 1, 9, new Half[64], new byte[2048]));
        Assert.Throws<InvalidSettingException>(() => new QuantizedTiles(48, 1, 4, new Half[36], new byte[1152]));
        Assert.Throws<InvalidSettingException>(() => QuantizedTiles.LevelsFor(1));
        QuantizedTiles tiles = new(32, 1, 4, new Half[16], new byte[512]);
        Assert.Throws<ShapeMismatchException>(() => tiles.Dequantize(0, new float[1023]));
        Assert.Throws<ArgumentOutOfRangeException>(() => tiles.Dequantize(1, new float[1024]));
    }
}
