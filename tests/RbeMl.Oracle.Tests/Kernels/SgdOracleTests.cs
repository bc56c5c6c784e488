using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Oracle.Tests.Support;
using TorchSharp.Modules;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>Ten steps of gradient descent against torch.optim.SGD in double, with the same gradients.</summary>
public abstract unsafe class SgdOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private protected SgdOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    [Theory]
    [InlineData(1, 0.1, 0.9, 1e-3, 1.0)]
    [InlineData(1003, 0.03, 0.5, 0.1, 0.25)]
    [InlineData(1003, 0.1, 0.0, 0.1, 1.0)]
    [InlineData(4096, 0.01, 0.99, 0.0, 1.0)]
    public void TenStepsAreTorchs(int count, double rate, double momentum, double decay, double gradientScale)
    {
        double[] start = Numbers.Normal(count, 1, 0.1);
        Parameter parameter = new(Tensors.From(start, count));
        optim.Optimizer torchSgd = optim.SGD([parameter], rate, momentum, weight_decay: decay);
        using NativeBuffer<T> w = Tensors.Native<T>(start), m = new(count);
        for (int step = 1; step <= 10; step++)
        {
            double[] gradients = Numbers.Normal(count, 100 + step, Math.Pow(10, -step % 4)); // sizes that change from step to step
            parameter.grad = Tensors.From(gradients, count) * gradientScale;
            torchSgd.step();

            using NativeBuffer<T> g = Tensors.Native<T>(gradients);
            SgdKernel.Sgd(w.Pointer, g.Pointer, momentum > 0 ? m.Pointer : null, count, Cast(rate), Cast(decay), Cast(momentum), Cast(gradientScale));

            // A step rounds the weight once, and its update a few times.
            Check($"weights after step {step}", Numbers.RelativeError<double, T>(parameter.ToDoubles(), w.Span), Numbers.Tolerance<T>(step));
        }
    }

    private static T Cast(double value) => T.CreateTruncating(value);
}

public sealed class SgdOracleFloat(ITestOutputHelper output) : SgdOracleTests<float>(output);

public sealed class SgdOracleDouble(ITestOutputHelper output) : SgdOracleTests<double>(output);
