using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Oracle.Tests.Support;
using TorchSharp.Modules;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>Ten AdamW steps against torch.optim.AdamW in double, with the same gradients.</summary>
public abstract unsafe class AdamWOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private protected AdamWOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    [Theory]
    [InlineData(1, 1e-3, 0.01, 1.0)]
    [InlineData(1003, 3e-4, 0.1, 0.25)]
    [InlineData(4096, 1e-2, 0.0, 1.0)]
    public void TenStepsAreTorchs(int count, double rate, double decay, double gradientScale)
    {
        const double Beta1 = 0.9, Beta2 = 0.95, Eps = 1e-8;
        double[] start = Numbers.Normal(count, 1, 0.1);
        Parameter parameter = new(Tensors.From(start, count));
        optim.Optimizer torchAdam = optim.AdamW([parameter], rate, Beta1, Beta2, Eps, decay);
        using NativeBuffer<T> w = Tensors.Native<T>(start), m = new(count), v = new(count);
        for (int step = 1; step <= 10; step++)
        {
            double[] gradients = Numbers.Normal(count, 100 + step, Math.Pow(10, -step % 4)); // sizes that change from step to step
            parameter.grad = Tensors.From(gradients, count) * gradientScale;
            torchAdam.step();

            using NativeBuffer<T> g = Tensors.Native<T>(gradients);
            OptimizerKernel.AdamW(
                w.Pointer, g.Pointer, m.Pointer, v.Pointer, count, Cast(rate), Cast(decay), Cast(Beta1), Cast(Beta2), Cast(Eps),
                Cast(1 - Math.Pow(Beta1, step)), Cast(1 - Math.Pow(Beta2, step)), Cast(gradientScale));

            // A step rounds the weight once, and its update, at most about a tenth of the weight here, a few times.
            Check($"weights after step {step}", Numbers.RelativeError<double, T>(parameter.ToDoubles(), w.Span), Numbers.Tolerance<T>(step));
        }
    }

    private static T Cast(double value) => T.CreateTruncating(value);
}

public sealed class AdamWOracleFloat(ITestOutputHelper output) : AdamWOracleTests<float>(output);

public sealed class AdamWOracleDouble(ITestOutputHelper output) : AdamWOracleTests<double>(output);
