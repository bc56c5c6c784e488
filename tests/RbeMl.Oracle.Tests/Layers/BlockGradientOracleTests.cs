using System.Numerics;
using RbeMl.Layers;
using RbeMl.Numerics;
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
    private const ushort Layer = 3;

    private static readonly DropoutStep s_stream = new(0x1234_5678_9ABC, 7);

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

        RbeTransformerBlock<T> block = new(c.Config, weights, Layer);
        using ParameterVector<T> parameters = block.Parameters, gradients = parameters.CreateLike();
        TorchBlock torchBlock = TorchRbe.Block(weights, float64, c.LayerNorm);
        Dictionary<string, Tensor> leaves = torchBlock.Parameters.ToDictionary(p => $"{block.Name}.{p.Name}", p => p.Tensor);
        if (c.LayerNorm != LayerNormStorage.Dense) CopyLayerNorms(parameters, leaves);

        Tensor x = Tensors.Leaf(input, c.Batch, c.Length, c.Width);
        Tensor y = TorchGpt2.Block(x, torchBlock, new TorchBlockOptions(c.Config.Heads)
        {
            Gelu = c.Gelu,
            Causal = c.Causal,
            PostNorm = c.Order == BlockOrder.PostNorm,
            KeyPadding = padding is null ? null : tensor(padding).to(@bool).reshape(c.Batch, c.Length),
            AdditiveMask = additive is null ? null : Tensors.From(additive, c.Batch, 1, c.Length, c.Length),
            Dropout = c.Dropout == 0 ? null : Drawn(c),
        });
        y.backward([Tensors.From(outputGradient, c.Batch, c.Length, c.Width)]);

        using BlockContext<T> context = new(c.Policy);
        using Workspace<T> workspace = new(1);
        ForwardOptions<T> options = new()
        {
            PaddingMask = padding,
            AdditiveMask = additive is null ? null : Numbers.Convert<double, T>(additive),
            Dropout = c.Dropout == 0 ? null : s_stream,
        };
        T[] output = block.Forward(Numbers.Convert<double, T>(input), c.Batch, c.Length, options, context, workspace).Output;
        T[] inputGradient = block.Backward(Numbers.Convert<double, T>(outputGradient), context, gradients, workspace);

        Check("output", Numbers.RelativeError<double, T>(y.ToDoubles(), output), Tolerance);
        Check("input gradient", Numbers.RelativeError<double, T>(x.Gradient(), inputGradient), Tolerance);
        Assert.Equal(leaves.Keys.Order(), parameters.Slices.Select(s => s.Name).Order());
        foreach (ParameterSlice slice in parameters.Slices)
        {
            // A key bias moves all scores of a query alike, so its gradient is zero but for rounding: it is measured against the query bias's gradient.
            double[] expected = leaves[slice.Name].Gradient(), unit = leaves[slice.Name.Replace("key.bias", "query.bias", StringComparison.Ordinal)].Gradient();
            double error = Numbers.Distance<double, T>(expected, gradients.Of(slice)) / Numbers.Norm<double>(unit);
            Check(slice.Name, error, Tolerance);
        }
    }

    // Cosine series are fitted to the given vectors; that fit is not what is tested here.
    private static void CopyLayerNorms(ParameterVector<T> parameters, Dictionary<string, Tensor> leaves)
    {
        using IDisposable constant = no_grad();
        foreach (ParameterSlice slice in parameters.Slices.Where(s => s.Kind == ParameterKind.LayerNorm))
        {
            leaves[slice.Name].copy_(Tensors.From(Numbers.Convert<T, double>(parameters.Of(slice)), slice.Length));
        }
    }

    // The random numbers of every element, by its place: token and feature, or query of a head of a sequence and key.
    private static TorchDropout Drawn(BlockCase c)
    {
        double kept = 1 / (1 - (double)c.Dropout);
        Tensor Factors(DropoutSite site, long rows, int columns, params long[] shape)
        {
            RandomKey key = new(s_stream.Seed, s_stream.Step, Layer, site);
            double[] factors = new double[rows * columns];
            for (int i = 0; i < factors.Length; i++)
            {
                factors[i] = Philox.Word(key, (ulong)(i / columns), (uint)(i % columns)) < Philox.Threshold(c.Dropout) ? 0 : kept;
            }

            return Tensors.From(factors, shape);
        }

        int heads = c.Config.Heads;
        return new TorchDropout(
            Factors(DropoutSite.Attention, (long)c.Batch * heads * c.Length, c.Length, c.Batch, heads, c.Length, c.Length),
            Factors(DropoutSite.AttentionResidual, (long)c.Batch * c.Length, c.Width, c.Batch, c.Length, c.Width),
            Factors(DropoutSite.FeedForwardResidual, (long)c.Batch * c.Length, c.Width, c.Batch, c.Length, c.Width));
    }
}

public sealed class BlockGradientOracleFloat(ITestOutputHelper output) : BlockGradientOracleTests<float>(output);

public sealed class BlockGradientOracleDouble(ITestOutputHelper output) : BlockGradientOracleTests<double>(output);
