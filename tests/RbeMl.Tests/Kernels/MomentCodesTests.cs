using RbeMl.Kernels;
using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class MomentCodesTests
{
    public static TheoryData<int> Lanes => LaneCases.All;

    // Moments of very different sizes, zeros among them.
    private static float[] Values(int count, bool second)
    {
        float[] values = Numbers.Normal(count, count + 1);
        for (int i = 0; i < count; i++) values[i] *= i % 7 == 3 ? 0 : MathF.Pow(10, -i % 5);
        return second ? Array.ConvertAll(values, x => x * x) : values;
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Codes_are_those_of_the_reference_at_every_length(int lanes)
    {
        for (int count = 0; count <= MomentCodes.Block; count += count < 40 ? 1 : 27)
        {
            foreach (bool second in (bool[])[false, true])
            {
                float[] values = Values(count, second), dither = MomentCodes.Dither(count, 3).ToArray();
                sbyte[] expected = new sbyte[count + 1], actual = new sbyte[count + 1];
                float expectedScale, scale = 0;
                double[] decoded = new double[count + 1];
                using GuardedBuffer<float> fast = LaneCases.Guarded(values), back = LaneCases.Guarded(new float[count]);
                fixed (double* pv = LaneCases.Doubles([.. values, 0]), pd = decoded)
                fixed (sbyte* pe = expected, pa = actual)
                fixed (float* noise = dither)
                {
                    expectedScale = MomentCodes.EncodeReference(pv, count, noise, pe, second);
                    if (lanes > 0) Wide.Run(lanes, new MomentCodes.EncodeWork(fast.Pointer, count, noise, pa, second, &scale));
                    else scale = MomentCodes.Encode(fast.Pointer, count, noise, pa, second);
                    MomentCodes.DecodeReference(pa, scale, pd, count, second);
                    if (lanes > 0) Wide.Run(lanes, new MomentCodes.DecodeWork(pa, scale, back.Pointer, count, second));
                    else MomentCodes.Decode(pa, scale, back.Pointer, count, second);
                }

                Assert.Equal(expectedScale, scale);
                for (int i = 0; i < count; i++)
                {
                    Assert.InRange(Math.Abs(expected[i] - actual[i]), 0, 1); // a rounding may fall on the other side
                    Assert.Equal(decoded[i], back.Span[i], 1e-6 * scale);
                    if (values[i] == 0) Assert.Equal(0, back.Span[i]);
                    else if (second) Assert.True(back.Span[i] > 0);
                    else Assert.True(back.Span[i] == 0 ? Math.Abs(values[i]) < scale / (127 * 127) : back.Span[i] > 0 == values[i] > 0);
                }

                Assert.Equal(0, actual[count]);
            }
        }
    }

    /// <summary>The mean of many steps is the number, to a part of a code's step; a second moment that is there is never lost.</summary>
    [Theory]
    [InlineData(0.3, false)]
    [InlineData(-0.01, false)]
    [InlineData(0.5, true)]
    [InlineData(0.002, true)]
    [InlineData(1e-14, true)]
    public void The_mean_of_the_codes_of_many_steps_is_the_number(double number, bool second)
    {
        const int Steps = 256;
        double sum = 0;
        float* values = stackalloc float[16];
        sbyte* codes = stackalloc sbyte[16];
        for (int step = 1; step <= Steps; step++)
        {
            (values[0], values[1]) = (1, (float)number);
            fixed (float* noise = MomentCodes.Dither(step, 9))
            {
                float scale = MomentCodes.Encode(values, 2, noise, codes, second);
                MomentCodes.Decode(codes, scale, values, 2, second);
            }

            Assert.Equal(1, values[0], 1e-6);
            if (second) Assert.True(values[1] > 0);
            sum += values[1];
        }

        double spacing = second ? 4 * Math.Pow(Math.Max(number, 1e-9), 0.75) / 255 : 2 * Math.Sqrt(Math.Abs(number)) / 127;
        Assert.Equal(number, sum / Steps, spacing / 5);
    }

    [Fact]
    public void What_is_too_small_for_a_scale_is_zero()
    {
        float* values = stackalloc float[] { 1e-40f, -1e-41f };
        sbyte* codes = stackalloc sbyte[2];
        fixed (float* noise = MomentCodes.Dither(1, 0)) Assert.Equal(0, MomentCodes.Encode(values, 2, noise, codes, second: false));
        Assert.Equal((0, 0), (codes[0], codes[1]));
    }
}
