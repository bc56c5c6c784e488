using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class KvKernelTests
{
    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Codes_are_the_reference_s(int lanes)
    {
        foreach (KvFormat format in (KvFormat[])[KvFormat.F16, KvFormat.Int8])
        {
            foreach ((int width, int lane, int count) in (ValueTuple<int, int, int>[])[(16, 0, 1), (16, 15, 1), (16, 3, 9), (64, 0, 64), (64, 7, 50)])
            {
                using GuardedBuffer<float> x = LaneCases.Guarded(Values(13 * width, width));
                using Rows expected = new(format, 13, 80), actual = new(format, 13, 80);
                Assert.True(ReferenceKv.Store(expected.View, 5, x.Pointer, 13, width, lane, count));
                Assert.True(Store(lanes, actual.View, 5, x.Pointer, 13, width, lane, count));
                Assert.True(expected.Codes.Span.SequenceEqual(actual.Codes.Span), $"{lanes} lanes, {format}, width {width}, lane {lane}, {count} tokens");
                Assert.True(expected.Scales.Span.SequenceEqual(actual.Scales.Span));
            }
        }
    }

    /// <summary>
    /// Every finite half, widened and stored again, and the floats halfway to the next with their neighbours, against the runtime's own
    /// conversion.
    /// </summary>
    [Theory]
    [MemberData(nameof(Lanes))]
    public void Every_half_is_read_exactly_and_ties_round_to_even(int lanes)
    {
        using Rows rows = new(KvFormat.F16, 1, 64);
        using GuardedBuffer<float> x = new(64), y = new(64);
        for (int first = 0; first < 0x7C00; first += 8)
        {
            for (int i = 0; i < 8; i++)
            {
                float value = (float)BitConverter.UInt16BitsToHalf((ushort)(first + i)), next = first + i == 0x7BFF ? 65536f
                    : (float)BitConverter.UInt16BitsToHalf((ushort)(first + i + 1));
                float half = (value + next) / 2;
                float[] group =
                    [value, -value, half, -half, MathF.BitDecrement(half), MathF.BitIncrement(half), -MathF.BitDecrement(half), MathF.BitIncrement(value)];
                for (int k = 0; k < 8; k++) x.Pointer[(8 * i) + k] = Math.Clamp(group[k], -65519f, 65519f);
            }

            Assert.True(Store(lanes, rows.View, 0, x.Pointer, 1, 64, 0, 64));
            Load(lanes, rows.View, 0, 1, 64, y.Pointer, 64);
            for (int i = 0; i < 64; i++) Assert.Equal((float)(Half)x.Pointer[i], y.Pointer[i]);
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Reading_gives_the_plain_values(int lanes)
    {
        foreach (KvFormat format in Enum.GetValues<KvFormat>())
        {
            using Rows rows = Filled(format, 5, 80, 80);
            using GuardedBuffer<float> y = new(5 * 64);
            Load(lanes, rows.View, 16, 5, 64, y.Pointer, 64);
            for (int i = 0; i < y.Length; i++) Assert.Equal(rows.View.Value<float>(i / 64, 16 + (i % 64)), y.Pointer[i]);
        }
    }

    /// <summary>
    /// Half: 2^-11 of the value. Byte: half a step, the largest of the position and head / 254, with two roundings of the codes' own
    /// arithmetic.
    /// </summary>
    [Fact]
    public void Stored_values_are_within_the_format_s_error()
    {
        float[] values = Numbers.Normal(64 * 80, 3);
        using GuardedBuffer<float> x = LaneCases.Guarded(values);
        foreach (KvFormat format in (KvFormat[])[KvFormat.F16, KvFormat.Int8])
        {
            using Rows rows = new(format, 64, 80);
            Assert.True(KvKernel.Store(rows.View, 0, x.Pointer, 64, 80, 0, 80));
            for (int s = 0; s < 80; s++)
            {
                double max = Enumerable.Range(0, 64).Max(f => Math.Abs(values[(f * 80) + s]));
                for (int f = 0; f < 64; f++)
                {
                    double value = values[(f * 80) + s], error = Math.Abs(rows.View.Value<double>(f, s) - value);
                    Assert.InRange(error, 0, format == KvFormat.F16 ? Math.Max(Math.ScaleB(Math.Abs(value), -11), Math.ScaleB(1, -25))
                        : max * ((1 / 254.0) + (2 * LaneCases.Rounding)));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void What_does_not_fit_is_reported_and_other_lanes_do_not_matter(int lanes)
    {
        foreach (float bad in (float[])[float.NaN, float.PositiveInfinity, float.NegativeInfinity, 65520f, -1e9f])
        {
            using GuardedBuffer<float> x = LaneCases.Guarded(Values(4 * 16, 1));
            x.Pointer[(2 * 16) + 6] = bad;
            foreach (KvFormat format in (KvFormat[])[KvFormat.F16, KvFormat.Int8])
            {
                using Rows rows = new(format, 4, 16);
                bool fits = format == KvFormat.Int8 && float.IsFinite(bad);
                Assert.Equal(fits, Store(lanes, rows.View, 0, x.Pointer, 4, 16, 0, 16));
                Assert.Equal(fits, ReferenceKv.Store(rows.View, 0, x.Pointer, 4, 16, 6, 1));
                Assert.True(Store(lanes, rows.View, 0, x.Pointer, 4, 16, 0, 6));
                Assert.True(Store(lanes, rows.View, 0, x.Pointer, 4, 16, 7, 9));
            }
        }
    }

    /// <summary>A problem with compressed keys and values has the bits of one in fp32 that holds the same numbers.</summary>
    [Theory]
    [MemberData(nameof(Lanes))]
    public void Attention_on_codes_is_attention_on_their_values(int lanes)
    {
        foreach (KvFormat format in (KvFormat[])[KvFormat.F16, KvFormat.Int8])
        {
            foreach ((int queries, int keys, int headWidth) in (ValueTuple<int, int, int>[])[(1, 1, 8), (1, 77, 13), (1, 1100, 6), (3, 130, 8),
                (70, 200, 16), (65, 65, 8)])
            {
                bool masks = queries % 2 == 1;
                AttentionShape shape = new(headWidth, queries, keys, Causal: true, Padding: masks, Additive: masks, Weights: queries > 60);
                using AttentionCase<float> plain = new(shape), narrow = new(shape);
                int stride = plain.Problem.KeyStride;
                using Rows k = Filled(format, headWidth, keys, stride, 7), v = Filled(format, headWidth, keys, stride, 8);
                using GuardedBuffer<float> tiles = new(2 * headWidth * 64);
                for (int i = 0; i < headWidth * stride; i++)
                {
                    plain.K.Pointer[i] = k.View.Value<float>(i / stride, i % stride);
                    plain.V.Pointer[i] = v.View.Value<float>(i / stride, i % stride);
                }

                AttentionProblem<float> p = narrow.Problem;
                (p.CompressedK, p.CompressedV) = (k.View, v.View);
                p.Tiles = tiles.Pointer;
                p.K = p.V = null;
                AttentionKernelTests.Forward(lanes, plain.Problem);
                AttentionKernelTests.Forward(lanes, p);
                string what = $"{lanes} lanes, {format}, {shape}";
                Assert.True(plain.Output.Span.SequenceEqual(narrow.Output.Span), what);
                for (int t = 0; t < queries; t++) Assert.Equal(plain.Problem.RowStatistics[t], p.RowStatistics[t]);
                if (shape.Weights) Assert.True(plain.Weights.Span.SequenceEqual(narrow.Weights.Span), what);

                AttentionKernelTests.Backward(lanes, plain.Problem);
                AttentionKernelTests.Backward(lanes, p);
                Assert.True(plain.QGradient.Span.SequenceEqual(narrow.QGradient.Span) && plain.KGradient.Span.SequenceEqual(narrow.KGradient.Span), what);

                // And the reference reads the codes too: its roundings are those of AttentionKernelTests.
                ReferenceAttention.Forward(in p);
                double roundings = 32 * (8 + Math.Sqrt(headWidth) + Math.Sqrt(keys)) * LaneCases.Rounding;
                for (int i = 0; i < narrow.Output.Length; i++) Assert.Equal(plain.Output.Pointer[i], narrow.Output.Pointer[i], roundings);
            }
        }
    }

    // Normal numbers with zeros, a lane of zeros, small ones that are subnormal halves, and large ones.
    private static float[] Values(int count, int seed)
    {
        float[] values = Numbers.Normal(count, seed);
        for (int i = 0; i < count; i += 3) values[i] *= i % 2 == 0 ? 1e-5f : 1e4f;
        for (int i = 4; i < count; i += 16) values[i] = 0;
        return values;
    }

    private static Rows Filled(KvFormat format, int features, int positions, int stride, int seed = 1)
    {
        Rows rows = new(format, features, stride);
        using GuardedBuffer<float> x = LaneCases.Guarded(Numbers.Normal(features * stride, seed));
        for (int i = 0; i < x.Length && format == KvFormat.F32; i++) ((float*)rows.Codes.Pointer)[i] = x.Pointer[i];
        if (format != KvFormat.F32) Assert.True(ReferenceKv.Store(rows.View, 0, x.Pointer, features, stride, 0, positions));
        return rows;
    }

    private static bool Store(int lanes, in KvRows rows, int position, float* x, int features, int width, int lane, int count)
    {
        bool fits;
        Wide.Run(lanes, new KvKernelLanes.StoreWork(rows, position, x, features, width, lane, count, &fits));
        return fits;
    }

    private static void Load(int lanes, in KvRows rows, int position, int features, int count, float* y, int stride)
    {
        Wide.Run(lanes, new KvKernelLanes.LoadWork(rows, position, features, count, y, stride));
    }

    /// <summary>Cache rows in guarded memory.</summary>
    private sealed class Rows : IDisposable
    {
        internal Rows(KvFormat format, int features, int stride)
        {
            Codes = new GuardedBuffer<byte>(features * stride * KvRows.SizeOf(format));
            Scales = new GuardedBuffer<float>(stride);
            View = new KvRows(format, (nint)Codes.Pointer, (nint)Scales.Pointer, stride);
        }

        internal GuardedBuffer<byte> Codes { get; }

        internal GuardedBuffer<float> Scales { get; }

        internal KvRows View { get; }

        public void Dispose()
        {
            Codes.Dispose();
            Scales.Dispose();
        }
    }
}
