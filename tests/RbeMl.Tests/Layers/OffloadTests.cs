using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Tests.Support;

namespace RbeMl.Tests.Layers;

/// <summary>Where activations wait between forward and backward.</summary>
public sealed class OffloadTests
{
    private const int Batch = 2, Length = 70, Past = 5;
    private static readonly TransformerConfig s_config = new() { Width = 40, Heads = 4, FeedForwardWidth = 72, MaxSequenceLength = 200, Dropout = 0.2f };
    private static readonly RbeOptions s_options = new() { Tile = 32, Format = RbeFormat.Sparse(100, SupportRule.TopK) };

    [Theory]
    [InlineData(CheckpointPolicy.None, 1)]
    [InlineData(CheckpointPolicy.Selective, 2)]
    [InlineData(CheckpointPolicy.Full, 3)]
    public void A_spill_file_changes_no_bit(CheckpointPolicy policy, int threads)
    {
        foreach (bool extras in (bool[])[false, true])
        {
            Result plain = Run(CheckpointPolicy.None, ActivationOffload.None, 1, extras), spilled = Run(policy, ActivationOffload.Spill, threads, extras);
            Assert.Equal(Bits(plain.Output), Bits(spilled.Output));
            Assert.Equal(Bits(plain.InputGradient), Bits(spilled.InputGradient));
            Assert.Equal(Bits(plain.Gradients), Bits(spilled.Gradients));
            Assert.Equal(0, spilled.ContextBytes);
        }
    }

    /// <summary>
    /// Every value that the backward reads is off by at most 2^-8 of it. A gradient is a product of some ten of them at most (LayerNorm,
    /// softmax, GELU and their matrices, both halves), so its error stays below 10 x 2^-8 in the norm; the roundings are independent, and
    /// what is measured is a tenth of that.
    /// </summary>
    [Theory]
    [InlineData(CheckpointPolicy.None)]
    [InlineData(CheckpointPolicy.Selective)]
    [InlineData(CheckpointPolicy.Full)]
    public void Bf16_keeps_the_output_and_moves_gradients_by_its_rounding(CheckpointPolicy policy)
    {
        Result plain = Run(policy, ActivationOffload.None, 1, extras: true), rounded = Run(policy, ActivationOffload.BFloat16, 2, extras: true);
        Assert.Equal(Bits(plain.Output), Bits(rounded.Output));
        double input = Numbers.RelativeError(plain.InputGradient, rounded.InputGradient),
            parameters = Numbers.RelativeError(plain.Gradients, rounded.Gradients);
        Assert.InRange(input, 1e-6, 10.0 / 256);
        Assert.InRange(parameters, 1e-6, 10.0 / 256);
        Assert.Equal(Bits(rounded.Gradients), Bits(Run(policy, ActivationOffload.BFloat16, 1, extras: true).Gradients));
        if (policy is CheckpointPolicy.None) Assert.InRange(rounded.ContextBytes, 1, plain.ContextBytes * 6 / 10);
    }

    [Fact]
    public void Offload_lets_the_caller_use_the_input_panel_again()
    {
        using BlockFixture<float> f = new(s_config, s_options, Batch, Length);
        float[][] gradients = [.. new[] { false, true }.Select(reuse =>
        {
            using BlockContext<float> context = new(CheckpointPolicy.Full, ActivationOffload.Spill);
            using ParameterVector<float> sums = f.Block.Parameters.CreateLike();
            using Panel<float> x = new(), y = new(), dy = new(), dx = new();
            foreach (Panel<float> panel in (Panel<float>[])[x, y, dy, dx]) panel.Reshape(Batch * Length, 40, f.Block.PaddedWidth);
            x.FromRowMajor(f.X);
            dy.FromRowMajor(f.Dy);
            f.Block.Forward(x, y, Batch, Length, null, context, f.Workspace);
            if (reuse) x.Clear();
            f.Block.Backward(dy, dx, context, sums, f.Workspace);
            return All(sums);
        })];
        Assert.Equal(gradients[0], gradients[1]);
    }

    [Fact]
    public void Bf16_is_for_float_and_doubles_can_be_spilled()
    {
        Assert.Equal("offload",
            Assert.Throws<InvalidSettingException>(() => new BlockContext<double>(CheckpointPolicy.None, ActivationOffload.BFloat16)).Setting);
        using BlockFixture<double> f = new(s_config, s_options, 1, 20);
        double[][] dx = [.. new[] { ActivationOffload.None, ActivationOffload.Spill }.Select(offload =>
        {
            using BlockContext<double> context = new(CheckpointPolicy.Selective, offload);
            using ParameterVector<double> sums = f.Block.Parameters.CreateLike();
            f.Block.Forward(f.X, 1, 20, null, context, f.Workspace);
            return f.Block.Backward(f.Dy, context, sums, f.Workspace);
        })];
        Assert.Equal(dx[0], dx[1]);
    }

    private static Result Run(CheckpointPolicy policy, ActivationOffload offload, int threads, bool extras)
    {
        using BlockFixture<float> f = new(s_config, s_options, Batch, Length, threads);
        (byte[] padding, float[] additive) = f.Masks(Past);
        ForwardOptions<float>? options = extras
            ? new() { PaddingMask = padding, AdditiveMask = additive, Cache = f.CacheWith(Past), Dropout = new DropoutStep(7, 11) } : null;
        using BlockContext<float> context = new(policy, offload);
        using ParameterVector<float> gradients = f.Block.Parameters.CreateLike();
        float[] y = [], dx = [];
        for (int pass = 0; pass < 2; pass++) // the second one uses the memory of the first again
        {
            if (pass == 1 && extras) break; // the cache has grown
            gradients.Clear();
            y = f.Block.Forward(f.X, Batch, Length, options, context, f.Workspace).Output;
            dx = f.Block.Backward(f.Dy, context, gradients, f.Workspace);
        }

        return new Result(y, dx, All(gradients), context.AllocatedBytes - context.Input.AllocatedBytes);
    }

    private static float[] All(ParameterVector<float> vector) => [.. vector.Slices.SelectMany(s => vector.Of(s).ToArray())];

    private static int[] Bits(float[] values) => [.. values.Select(BitConverter.SingleToInt32Bits)];

    private sealed record Result(float[] Output, float[] InputGradient, float[] Gradients, long ContextBytes);
}
