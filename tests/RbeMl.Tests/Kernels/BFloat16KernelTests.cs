using RbeMl.Numerics;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Kernels;

public sealed unsafe class BFloat16KernelTests
{
    private static readonly float[] s_special =
    [
        0, -0f, 1, float.NaN, BitConverter.UInt32BitsToSingle(0x7F800001), BitConverter.UInt32BitsToSingle(0xFFFFFFFF), float.PositiveInfinity,
            float.NegativeInfinity, float.Epsilon, float.MaxValue,
        1 + (1f / 256), 1 + (3f / 256), BitConverter.UInt32BitsToSingle(0x3F808001), -1 - (1f / 256), 1e-40f,
    ];

    [Fact]
    public void Rounds_to_nearest_ties_to_even()
    {
        Assert.Equal(1, RoundTrip(1 + (1f / 256))); // halfway between 1 and 1 + 2^-7: to the even one
        Assert.Equal(1 + (4f / 256), RoundTrip(1 + (3f / 256)));
        Assert.Equal(1 + (2f / 256), RoundTrip(BitConverter.UInt32BitsToSingle(0x3F808001)));
        Assert.True(float.IsNaN(RoundTrip(BitConverter.UInt32BitsToSingle(0x7F800001))));
        Assert.Equal(float.PositiveInfinity, RoundTrip(float.MaxValue));
        Assert.Equal(float.NegativeInfinity, RoundTrip(float.NegativeInfinity));
        Assert.True(float.IsNegative(RoundTrip(-0f)));
    }

    /// <summary>Half a unit in the last of 8 places: 2^-8 of a value; over an array the errors are uniform in that, 2^-9.4 in the norm.</summary>
    [Fact]
    public void The_error_is_half_a_unit_in_the_last_place()
    {
        float[] values = Numbers.Normal(100_000, 1), rounded = [.. values.Select(RoundTrip)];
        Assert.All(values.Zip(rounded), pair => Assert.InRange(Math.Abs(pair.Second - pair.First), 0, Math.ScaleB(Math.Abs(pair.First), -8)));
        Assert.InRange(Numbers.RelativeError(values, rounded), Math.Pow(2, -10), Math.Pow(2, -9));
    }

    [Fact]
    public void Equals_the_reference_at_every_length()
    {
        float[] values = [.. s_special, .. Numbers.Normal(200, 2, 1e3)];
        for (int length = 0; length <= values.Length; length++)
        {
            using GuardedBuffer<float> x = new(length), back = new(length);
            using GuardedBuffer<ushort> y = new(length);
            ushort[] expected = new ushort[length];
            float[] expanded = new float[length];
            values.AsSpan(values.Length - length).CopyTo(x.Span);
            fixed (ushort* e = expected)
            fixed (float* f = expanded)
            {
                ReferenceBFloat16.Round(x.Pointer, e, length);
                ReferenceBFloat16.Expand(e, f, length);
            }

            BFloat16Kernel.Round(x.Pointer, y.Pointer, length);
            BFloat16Kernel.Expand(y.Pointer, back.Pointer, length);
            Assert.Equal(expected, y.Span.ToArray());
            Assert.Equal(expanded.Select(BitConverter.SingleToInt32Bits), back.Span.ToArray().Select(BitConverter.SingleToInt32Bits));
        }
    }

    private static float RoundTrip(float value)
    {
        ushort bits;
        float back;
        BFloat16Kernel.Round(&value, &bits, 1);
        BFloat16Kernel.Expand(&bits, &back, 1);
        return back;
    }
}
