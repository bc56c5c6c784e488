using System.Runtime.Intrinsics;
using RbeMl.Kernels;
using RbeMl.Numerics;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class VectorMathTests
{
    private enum Function
    {
        Exp,
        ExpNotLarge,
        Tanh,
        Erf,
    }

    public static TheoryData<int> Lanes => LaneCases.All;

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Exp_is_within_two_ulp(int lanes)
    {
        // Covers every exponent and both signs; the step is no multiple of ln 2, so all reduced arguments occur.
        float[] x = Sweep(VectorMath.ExpLow, VectorMath.ExpHigh, 40_000);
        foreach (Function function in new[] { Function.Exp, Function.ExpNotLarge })
        {
            float[] y = Map(function, lanes, x);
            for (int i = 0; i < x.Length; i++)
            {
                double expected = Math.Exp(x[i]);
                double ulp = MathF.BitIncrement((float)expected) - (double)(float)expected;
                Assert.True(Math.Abs(y[i] - expected) <= 2 * ulp, FormattableString.Invariant($"{function}({x[i]}) = {y[i]}, expected {expected}"));
            }
        }
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Exp_saturates_and_keeps_nan_in_its_lane(int lanes)
    {
        float[] x = [.. Enumerable.Repeat(0f, 16)];
        x[1] = float.NegativeInfinity;
        x[3] = float.PositiveInfinity;
        x[5] = float.NaN;
        x[7] = -1e30f;
        x[9] = 1e30f;
        x[11] = -87.4f;
        x[13] = 89f;
        float[] y = Map(Function.Exp, lanes, x);
        Assert.Equal([1, 0, 1, float.PositiveInfinity, 1, float.NaN, 1, 0, 1, float.PositiveInfinity, 1, 0, 1, float.PositiveInfinity, 1, 1], y);
    }

    [Theory]
    [MemberData(nameof(Lanes))]
    public void Tanh_and_erf_have_small_absolute_errors(int lanes)
    {
        float[] x = [.. Sweep(-12, 12, 20_000), 0f, 1e30f, -1e30f, float.PositiveInfinity, float.NegativeInfinity, 0f, 0f, 0f];
        Array.Resize(ref x, x.Length / 16 * 16);
        float[] tanh = Map(Function.Tanh, lanes, x), erf = Map(Function.Erf, lanes, x);
        for (int i = 0; i < x.Length; i++)
        {
            // 1 - 2 tail, the tail being a product of an exponential (two ulp) and three factors, each with a rounding: five roundings of 1.
            double error = float.IsInfinity(x[i]) || Math.Abs(x[i]) > 100
                ? Math.Abs(erf[i] - Math.Sign(x[i]))
                : Math.Abs(erf[i] - (2 * ReferenceGelu.NormalCdf(x[i] * Math.Sqrt(2)) - 1));
            Assert.True(error <= 5 * LaneCases.Rounding, FormattableString.Invariant($"erf({x[i]}) = {erf[i]}"));
            Assert.True(Math.Abs(tanh[i] - Math.Tanh(x[i])) <= 5 * LaneCases.Rounding, FormattableString.Invariant($"tanh({x[i]}) = {tanh[i]}"));
        }

        Assert.True(float.IsNaN(Map(Function.Erf, lanes, [.. Enumerable.Repeat(float.NaN, 16)])[0]));
        Assert.True(float.IsNaN(Map(Function.Tanh, lanes, [.. Enumerable.Repeat(float.NaN, 16)])[0]));
    }

    // Random bits are all kinds of numbers; a third number near the product, or one so far below it that only the rounding sees it, makes
    // sums that lie between two floats.
    [Fact]
    public void Without_an_instruction_multiplying_and_adding_still_rounds_once()
    {
        Random random = new(1);
        float Any() => BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue));
        float Short() => random.Next(1, 1 << 13) * MathF.ScaleB(random.Next(2) == 0 ? 1 : -1, random.Next(-20, 20));
        float[] special = [0f, -0f, float.PositiveInfinity, float.NegativeInfinity, float.NaN, float.Epsilon, -float.Epsilon, float.MaxValue, 1f];
        for (int i = 0; i < 200_000; i++)
        {
            (float a, float b) = i % 3 == 0 ? (Any(), Any()) : (Short(), Short());
            float c = (i % 4) switch
            {
                0 => Any(),
                1 => -(a * b),
                2 => a * b * MathF.ScaleB(random.Next(2) == 0 ? 1 : -1, random.Next(-60, 60)),
                _ => special[random.Next(special.Length)],
            };
            if (i % 50 == 0) a = special[random.Next(special.Length)];
            float expected = MathF.FusedMultiplyAdd(a, b, c),
                actual = Lanes128.FusedInDouble(Vector128.Create(a), Vector128.Create(b), Vector128.Create(c))[i % 4];
            Assert.True(
                float.IsNaN(expected) ? float.IsNaN(actual) : BitConverter.SingleToInt32Bits(expected) == BitConverter.SingleToInt32Bits(actual),
                FormattableString.Invariant($"{a} * {b} + {c} is {actual}, expected {expected}"));
        }
    }

    private static float[] Sweep(float low, float high, int count)
    {
        count = count / 16 * 16;
        float[] x = new float[count];
        for (int i = 0; i < count; i++) x[i] = (float)(low + ((double)high - low) * i / (count - 1));
        return x;
    }

    private static float[] Map(Function function, int lanes, float[] x)
    {
        float[] y = new float[x.Length];
        fixed (float* source = x, target = y) Wide.Run(lanes, new MapWork(function, source, target, x.Length));
        return y;
    }

    private readonly struct MapWork(Function function, float* source, float* target, int count) : ILaneWork
    {
        public void Run<TLanes>()
            where TLanes : unmanaged, ILanes<TLanes>
        {
            for (int i = 0; i < count; i += TLanes.Count)
            {
                TLanes v = TLanes.Load(source + i);
                TLanes result = function switch
                {
                    Function.Exp => VectorMath.Exp(v),
                    Function.ExpNotLarge => VectorMath.ExpNotLarge(v),
                    Function.Tanh => VectorMath.Tanh(v),
                    _ => VectorMath.Erf(v),
                };
                TLanes.Store(result, target + i);
            }
        }
    }
}
