using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>Both GELUs and their derivatives against torch in double.</summary>
public abstract unsafe class GeluOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private protected GeluOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    [Theory]
    [InlineData(GeluKind.Tanh)]
    [InlineData(GeluKind.Erf)]
    public void ForwardAndBackward(GeluKind kind)
    {
        const int Count = 8192;
        double[] input = [.. Enumerable.Range(0, Count).Select(i => (double)(float)(-12 + 24.0 * i / (Count - 1)))];
        double[] outputGradient = Numbers.Normal(Count, 1);
        Tensor x = Tensors.Leaf(input, Count);
        Tensor y = TorchGpt2.Gelu(x, kind);
        y.backward([Tensors.From(outputGradient, Count)]);

        using NativeBuffer<T> xs = Tensors.Native<T>(input), ys = new(Count), dys = Tensors.Native<T>(outputGradient), dxs = new(Count);
        GeluKernel.Forward(kind, xs.Pointer, ys.Pointer, Count);
        GeluKernel.Backward(kind, xs.Pointer, dys.Pointer, dxs.Pointer, Count);

        // The argument of tanh is rounded, at most |x| times half an ulp; 1 + tanh adds one rounding of 1 times x. So errors are |x| ulps.
        Check("y, by element", Worst(y.ToDoubles(), ys.Span, input), 8 * Numbers.UnitRoundoff<T>());
        Check("dx, by element", Worst(x.Gradient(), dxs.Span, [.. input.Zip(outputGradient, (v, g) => Math.Abs(g) * (1 + v * v))]),
            8 * Numbers.UnitRoundoff<T>());
    }

    // The largest error in units of max(1, |scale|).
    private static double Worst(double[] expected, ReadOnlySpan<T> actual, double[] scale)
    {
        double worst = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            worst = Math.Max(worst, Math.Abs(expected[i] - double.CreateTruncating(actual[i])) / Math.Max(1, Math.Abs(scale[i])));
        }

        return worst;
    }
}

public sealed class GeluOracleFloat(ITestOutputHelper output) : GeluOracleTests<float>(output);

public sealed class GeluOracleDouble(ITestOutputHelper output) : GeluOracleTests<double>(output);
