using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Kernels;

/// <summary>Cross-entropy of a panel of logits <c>[vocabulary][width]</c> against torch's cross_entropy in double.</summary>
public abstract unsafe class CrossEntropyOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private protected CrossEntropyOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    [Theory]
    [InlineData(2, 16, 1.0)]
    [InlineData(27, 16, 3.0)]
    [InlineData(257, 64, 1.0)]
    [InlineData(5000, 16, 10.0)]
    public void LossAndGradient(int vocabulary, int width, double spread)
    {
        double[] logits = Numbers.Normal(vocabulary * width, 1, spread);
        Random random = new(2);
        int[] targets = [.. Enumerable.Range(0, width).Select(lane => lane % 5 == 3 ? -1 : random.Next(vocabulary))];
        double scale = 1.0 / targets.Count(t => t >= 0);

        Tensor z = Tensors.Leaf(logits, vocabulary, width);
        Tensor losses = nn.functional.cross_entropy(z.t(), tensor(targets.Select(t => (long)t).ToArray()), ignore_index: -1, reduction: nn.Reduction.None);
        (losses.sum() * scale).backward();

        using NativeBuffer<T> zs = Tensors.Native<T>(logits), results = new(width);
        using NativeBuffer<int> labels = new(width);
        targets.CopyTo(labels.Span);
        T factor = T.CreateTruncating(scale);
        CrossEntropyKernel.Loss(zs.Pointer, vocabulary, width, labels.Pointer, results.Pointer, false, factor);
        Check("losses", Numbers.RelativeError<double, T>(losses.ToDoubles(), results.Span), Numbers.Tolerance<T>(vocabulary));
        Assert.Equal(Numbers.Convert<double, T>(logits), zs.Span.ToArray());

        CrossEntropyKernel.Loss(zs.Pointer, vocabulary, width, labels.Pointer, results.Pointer, true, factor);
        Check("losses beside the gradient", Numbers.RelativeError<double, T>(losses.ToDoubles(), results.Span), Numbers.Tolerance<T>(vocabulary));

        // exp of a difference of logits turns their absolute rounding, spread * half an ulp, into a relative one.
        Check("gradient", Numbers.RelativeError<double, T>(z.Gradient(), zs.Span), Numbers.Tolerance<T>(vocabulary) * Math.Max(1, spread));
    }
}

public sealed class CrossEntropyOracleFloat(ITestOutputHelper output) : CrossEntropyOracleTests<float>(output);

public sealed class CrossEntropyOracleDouble(ITestOutputHelper output) : CrossEntropyOracleTests<double>(output);
