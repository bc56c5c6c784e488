using RbeMl.Codec;
using RbeMl.Numerics;
using RbeMl.Tests.Kernels;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Codec;

public class TrellisEncoderTests
{
    public static TheoryData<int> AllBits => [2, 3, 4, 5, 6];

    // The textbook form: a cost for each state, its best predecessor by trying all, in the same order and with the same roundings.
    private static byte[] Reference(float[] values, int startState, int bits)
    {
        const int states = 4096;
        float[] table = TrellisTiles.TableFor(bits).ToArray(), costs = new float[states];
        int[][] from = new int[values.Length][];
        float least = 0;
        Array.Fill(costs, float.PositiveInfinity);
        costs[startState] = 0;
        for (int t = 0; t < values.Length; t++)
        {
            float[] next = new float[states];
            from[t] = new int[states];
            for (int s = 0; s < states; s++)
            {
                int best = s >> bits;
                for (int p = s >> bits; p < states; p += states >> bits)
                {
                    if (costs[p] < costs[best]) best = p;
                }

                float difference = values[t] - table[s];
                next[s] = MathF.FusedMultiplyAdd(difference, difference, costs[best] - least);
                from[t][s] = best;
            }

            costs = next;
            least = t % 64 == 63 ? costs.Min() : 0; // every 64 samples costs start from zero again
        }

        byte[] symbols = new byte[values.Length];
        int state = Array.IndexOf(costs, costs.Min());
        for (int t = values.Length - 1; t >= 0; t--)
        {
            symbols[t] = (byte)(state & (1 << bits) - 1);
            state = from[t][state];
        }

        return symbols;
    }

    [Theory]
    [MemberData(nameof(AllBits))]
    public void EveryWidthEqualsTheReference(int bits)
    {
        TrellisEncoder encoder = new(bits);
        foreach ((int length, int start) in new[] { (1, 0), (2, 4095), (7, 0), (150, 1234) })
        {
            float[] values = Numbers.Normal(length, length);
            if (length > 5) (values[3], values[4], values[5]) = (40, 0, -7); // beyond the table, and ties
            byte[] expected = Reference(values, start, bits), symbols = new byte[length];
            Assert.Equal(End(bits, start, expected), encoder.EncodeSegment(values, start, symbols));
            Assert.Equal(expected, symbols);
            foreach (int lanes in LaneCases.Widths)
            {
                symbols.AsSpan().Clear();
                Assert.Equal(End(bits, start, expected), encoder.EncodeSegment(values, start, symbols, lanes));
                Assert.Equal(expected, symbols);
            }
        }
    }

    // Equal samples make equal costs all over: whatever is chosen must be chosen alike.
    [Theory]
    [MemberData(nameof(AllBits))]
    public void TiesFallAlikeOnEveryWidth(int bits)
    {
        TrellisEncoder encoder = new(bits);
        float[] zeros = new float[100];
        byte[] expected = Reference(zeros, 0, bits), symbols = new byte[100];
        foreach (int lanes in LaneCases.Widths)
        {
            encoder.EncodeSegment(zeros, 0, symbols, lanes);
            Assert.Equal(expected, symbols);
        }
    }

    // All 4^7 symbol sequences: none is better than the one found. Costs are sums of seven roundings of numbers below 20.
    [Fact]
    public void NoOtherSequenceIsBetter()
    {
        const int length = 7, bits = 2;
        TrellisEncoder encoder = new(bits);
        byte[] symbols = new byte[length], trial = new byte[length];
        float[] values = new float[length];
        for (int seed = 0; seed < 5; seed++)
        {
            float[] x = Numbers.Normal(length, seed);
            foreach (int start in new[] { 0, 777 })
            {
                encoder.EncodeSegment(x, start, symbols);
                double found = Error(symbols, start), best = double.PositiveInfinity;
                for (int code = 0; code < 1 << bits * length; code++)
                {
                    for (int t = 0; t < length; t++) trial[t] = (byte)(code >> bits * t & 3);
                    best = Math.Min(best, Error(trial, start));
                }

                Assert.InRange(found, best, best + length * 20 * 6e-8);

                double Error(byte[] sequence, int from)
                {
                    TrellisEncoder.Reconstruct(bits, from, sequence, values);
                    double sum = 0;
                    for (int t = 0; t < length; t++) sum += ((double)x[t] - values[t]) * ((double)x[t] - values[t]);
                    return sum;
                }
            }
        }
    }

    // A payload in segments that follow on each other: valid, each the best for its start, and hardly worse than all at once.
    [Theory]
    [MemberData(nameof(AllBits))]
    public void SegmentsFollowOnEachOther(int bits)
    {
        const int length = 1024, segment = 256;
        TrellisEncoder encoder = new(bits);
        float[] x = Numbers.Normal(length, bits), whole = new float[length], parts = new float[length];
        byte[] symbols = new byte[length];
        int end = encoder.Encode(x, symbols);
        Assert.Equal(end, TrellisEncoder.Reconstruct(bits, 0, symbols, whole));
        int state = 0;
        for (int t = 0; t < length; t += segment) state = encoder.EncodeSegment(x.AsSpan(t, segment), state, symbols.AsSpan(t, segment));
        Assert.Equal(state, TrellisEncoder.Reconstruct(bits, 0, symbols, parts));
        double one = Numbers.RelativeError(x, whole), four = Numbers.RelativeError(x, parts);
        Assert.InRange(four, one * (1 - 1e-5), 1.1 * one); // only 12 / k samples behind each of three joints are restrained: about 1 % of all
        Assert.Equal(state, encoder.EncodeSegment([], state, []));
        Assert.Throws<ShapeMismatchException>(() => encoder.Encode(x, new byte[3]));
    }

    // Bits of a whole tile from numbers that are the same everywhere: a change of any of them changes what files hold.
    [Theory]
    [InlineData(2, 492535529450649199UL)]
    [InlineData(4, 8850437241203195879UL)]
    [InlineData(5, 8173047004541912144UL)]
    public void ATileIsGolden(int bits, ulong hash)
    {
        DeterministicRandom random = new(2024, (ulong)bits);
        float[] values = new float[4096];
        for (int e = 0; e < values.Length; e++) values[e] = (float)(0.02 * random.NextNormal());
        byte[] symbols = new byte[4096], payload = new byte[512 * bits];
        Half scale = TrellisScaler.Encode(new TrellisEncoder(bits), values, symbols);
        TrellisTiles.Pack(symbols, bits, payload);
        Assert.Equal(hash, System.IO.Hashing.XxHash3.HashToUInt64([.. payload, .. BitConverter.GetBytes(scale)]));
    }

    private static int End(int bits, int start, byte[] symbols) => TrellisEncoder.Reconstruct(bits, start, symbols, new float[symbols.Length]);
}
