using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>LayerNorm of a chunk <c>[features][width]</c> against torch's layer_norm in double.</summary>
public abstract unsafe class LayerNormOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private protected LayerNormOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    [Theory]
    [InlineData(3, 16, 0.0)]
    [InlineData(33, 16, 0.5)]
    [InlineData(64, 64, 0.0)]
    [InlineData(384, 16, 2.0)]
    [InlineData(768, 64, -1.0)]
    public void ForwardAndBackward(int features, int width, double mean)
    {
        const double Eps = 1e-5;
        double[] input = [.. Numbers.Normal(features * width, 1, 1.5).Select(v => (double)(float)(v + mean))]; // [features][width]
        Tensor x = Tensors.Leaf(input, features, width);
        Tensor gamma = Tensors.Leaf([.. Numbers.Normal(features, 2, 0.3).Select(v => (double)(float)(1 + v))], features);
        Tensor beta = Tensors.Leaf(Numbers.Normal(features, 3, 0.2), features);
        double[] outputGradient = Numbers.Normal(features * width, 4);
        Tensor y = nn.functional.layer_norm(x.t(), [features], gamma, beta, Eps).t();
        y.backward([Tensors.From(outputGradient, features, width)]);

        using NativeBuffer<T> xs = Tensors.Native<T>(input), gs = Tensors.Native<T>(gamma.ToDoubles()), bs = Tensors.Native<T>(beta.ToDoubles());
        using NativeBuffer<T> dys = Tensors.Native<T>(outputGradient), ys = new(input.Length), dxs = new(input.Length);
        using NativeBuffer<T> means = new(width), rstds = new(width), dgammas = new(features), dbetas = new(features);
        LayerNormKernel.Statistics(xs.Pointer, means.Pointer, rstds.Pointer, features, width, T.CreateTruncating(Eps));
        LayerNormKernel.Apply(xs.Pointer, means.Pointer, rstds.Pointer, gs.Pointer, bs.Pointer, ys.Pointer, features, width);
        LayerNormKernel.Backward(xs.Pointer, means.Pointer, rstds.Pointer, gs.Pointer, dys.Pointer, dxs.Pointer, dgammas.Pointer, dbetas.Pointer,
            features, width);

        // x - mean cancels: the rounding of the mean counts |mean| / deviation times more.
        double tolerance = Numbers.Tolerance<T>(features) * (1 + Math.Abs(mean));
        Check("y", Numbers.RelativeError<double, T>(y.ToDoubles(), ys.Span), tolerance);
        Check("dx", Numbers.RelativeError<double, T>(x.Gradient(), dxs.Span), tolerance);
        Check("dgamma", Numbers.RelativeError<double, T>(gamma.Gradient(), dgammas.Span), Numbers.Tolerance<T>(features + width) * (1 + Math.Abs(mean)));
        Check("dbeta", Numbers.RelativeError<double, T>(beta.Gradient(), dbetas.Span), Numbers.Tolerance<T>(width));
    }

    [Fact]
    public void BackwardAddsToTheInputGradient()
    {
        const int Features = 48, Width = 16;
        double[] input = Numbers.Normal(Features * Width, 5), outputGradient = Numbers.Normal(Features * Width, 6),
            before = Numbers.Normal(Features * Width, 7);
        Tensor x = Tensors.Leaf(input, Features, Width);
        Tensor gamma = ones(Features, float64);
        nn.functional.layer_norm(x.t(), [Features], gamma, zeros(Features, float64), 1e-5).t().backward([Tensors.From(outputGradient, Features, Width)]);
        double[] expected = [.. x.Gradient().Zip(before, (g, b) => g + b)];

        using NativeBuffer<T> xs = Tensors.Native<T>(input), gs = Tensors.Native<T>(gamma.ToDoubles()), dys = Tensors.Native<T>(outputGradient),
            dxs = Tensors.Native<T>(before);
        using NativeBuffer<T> means = new(Width), rstds = new(Width), dgammas = new(Features), dbetas = new(Features);
        LayerNormKernel.Statistics(xs.Pointer, means.Pointer, rstds.Pointer, Features, Width, T.CreateTruncating(1e-5));
        LayerNormKernel.Backward(xs.Pointer, means.Pointer, rstds.Pointer, gs.Pointer, dys.Pointer, dxs.Pointer, dgammas.Pointer, dbetas.Pointer,
            Features, Width);
        Check("dx", Numbers.RelativeError<double, T>(expected, dxs.Span), Numbers.Tolerance<T>(Features));
    }
}

public sealed class LayerNormOracleFloat(ITestOutputHelper output) : LayerNormOracleTests<float>(output);

public sealed class LayerNormOracleDouble(ITestOutputHelper output) : LayerNormOracleTests<double>(output);
