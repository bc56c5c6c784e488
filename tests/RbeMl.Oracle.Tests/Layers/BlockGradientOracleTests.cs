using System.Numerics;
using RbeMl.Layers;
using RbeMl.Oracle.Tests.Reference;
using RbeMl.Oracle.Tests.Support;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace RbeMl.Oracle.Tests.Layers;

/// <summary>
/// Output, input gradient and the gradient of every parameter group of a compressed block, against autograd in double through weights that torch
/// decodes from the same alphas and coefficients.
/// </summary>
public abstract class BlockGradientOracleTests<T> : OracleTest
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private protected BlockGradientOracleTests(ITestOutputHelper output)
        : base(output)
    {
    }

    public static TheoryData<string> Cases => [.. BlockCase.All.Keys];

    /// <summary>
    /// The longest path from a parameter to the loss passes some ten sums of up to 200 terms, and softmax and LayerNorm multiply errors by a few:
    /// fifty times the error of one such sum. In double that is 6e-13, far below the 1e-6 demanded; in float 3.4e-4, below the 1e-3 demanded.
    /// </summary>
    private static double Tolerance => 50 * Numbers.Tolerance<T>(200);

    [Theory]
    [MemberData(nameof(Cases))]
    public void BackwardIsAutogradsThroughTheDecodedWeights(string name)
    {
        BlockCase c = BlockCase.All[name];
        BlockWeights weights = BlockWeights.Compress(DenseBlock.Lively(c.Width, c.Hidden, 20).ToLibrary(), c.Config, c.Options);
        int count = c.Batch * c.Length * c.Width;
        double[] input = Numbers.Normal(count, 31), outputGradient = Numbers.Normal(count, 32);
        byte[]? padding = c.Padding ? [.. Enumerable.Range(0, c.Batch * c.Length).Select(i => (byte)(i % c.Length >= c.Length - i / c.Length ? 0 : 1))] : null;
        double[]? additive = c.Additive ? Numbers.Normal(c.Batch * c.Length * c.Length, 33) : null;

        TorchBlock torchBlock = TorchRbe.Block(weights, float64);
        Tensor x = Tensors.Leaf(input, c.Batch, c.Length, c.Width);
        Tensor y = TorchGpt2.Block(x, torchBlock, new TorchBlockOptions(c.Config.Heads)
        {
            Gelu = c.Gelu,
            Causal = c.Causal,
            KeyPadding = padding is null ? null : tensor(padding).to(@bool).reshape(c.Batch, c.Length),
            AdditiveMask = additive is null ? null : Tensors.From(additive, c.Batch, 1, c.Length, c.Length),
        });
        y.backward([Tensors.From(outputGradient, c.Batch, c.Length, c.Width)]);

        RbeTransformerBlock<T> block = new(c.Config, weights);
        using ParameterVector<T> parameters = block.Parameters, gradients = parameters.CreateLike();
        using BlockContext<T> context = new(c.Policy);
        using Workspace<T> workspace = new(1);
        ForwardOptions<T> options = new() { PaddingMask = padding, AdditiveMask = additive is null ? null : Numbers.Convert<double, T>(additive) };
        T[] output = block.Forward(Numbers.Convert<double, T>(input), c.Batch, c.Length, options, context, workspace).Output;
        T[] inputGradient = block.Backward(Numbers.Convert<double, T>(outputGradient), context, gradients, workspace);

        Check("output", Numbers.RelativeError<double, T>(y.ToDoubles(), output), Tolerance);
        Check("input gradient", Numbers.RelativeError<double, T>(x.Gradient(), inputGradient), Tolerance);
        Dictionary<string, Tensor> leaves = torchBlock.Parameters.ToDictionary(p => $"{block.Name}.{p.Name}", p => p.Tensor);
        Assert.Equal(leaves.Keys.Order(), parameters.Slices.Select(s => s.Name).Order());
        foreach (ParameterSlice slice in parameters.Slices)
        {
            // A key bias moves all scores of a query alike, so its gradient is zero but for rounding: it is measured against the query bias's gradient.
            double[] expected = leaves[slice.Name].Gradient(), unit = leaves[slice.Name.Replace("key.bias", "query.bias", StringComparison.Ordinal)].Gradient();
            double error = Numbers.Distance<double, T>(expected, gradients.Of(slice)) / Numbers.Norm<double>(unit);
            Check(slice.Name, error, Tolerance);
        }
    }
}

public sealed class BlockGradientOracleFloat(ITestOutputHelper output) : BlockGradientOracleTests<float>(output);

public sealed class BlockGradientOracleDouble(ITestOutputHelper output) : BlockGradientOracleTests<double>(output);
