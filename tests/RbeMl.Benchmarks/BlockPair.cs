using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using TorchSharp;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks;

/// <summary>A shape that exists, with its name.</summary>
internal sealed record BlockShape(string Name, TransformerConfig Config)
{
    public static readonly BlockShape Small = new("gpt2-small", new TransformerConfig { Width = 768, Heads = 12, MaxSequenceLength = 4096 });
    public static readonly BlockShape Medium = new("gpt2-medium", new TransformerConfig { Width = 1024, Heads = 16, MaxSequenceLength = 4096 });
}

/// <summary>A compressed block and torch's dense one with the same weights.</summary>
internal sealed class BlockPair : IDisposable
{
    private readonly DisposeScope _tensors = NewDisposeScope();

    public BlockPair(BlockShape shape, RbeFormat format, int threads)
    {
        (Shape, Trains) = (shape, format is SparseFormat);
        RbeOptions options = new() { Format = format };
        Weights = Trains ? BlockWeights.CreateRandom(Config, options, 1)
            : BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(Config, 1), Config, options);
        Dense = new DenseBlock(Weights, Config.Heads);
        Block = new RbeTransformerBlock<float>(Config, Weights);
        Workspace = new Workspace<float>(threads);
    }

    public BlockShape Shape { get; }

    public TransformerConfig Config => Shape.Config;

    /// <summary>Whether the coefficients train.</summary>
    public bool Trains { get; }

    public BlockWeights Weights { get; }

    public DenseBlock Dense { get; }

    public RbeTransformerBlock<float> Block { get; }

    public Workspace<float> Workspace { get; }

    public void Dispose()
    {
        Block.Dispose();
        Workspace.Dispose();
        _tensors.Dispose();
    }
}

/// <summary>Input and output of both blocks for [B, T] tokens, and what is timed.</summary>
internal sealed class BlockRun : IDisposable
{
    private readonly DisposeScope _tensors = NewDisposeScope();
    private readonly BlockPair _pair;
    private readonly Panel<float> _x = new(), _y = new(), _dy = new(), _dx = new();
    private readonly ParameterVector<float> _gradients;
    private readonly Tensor _input, _outputGradient;
    private readonly double _tolerance;

    public BlockRun(BlockPair pair, int batch, int length)
    {
        (_pair, Batch, Length) = (pair, batch, length);
        int d = pair.Config.Width;
        float[] rows = Normal(Tokens * d, 1), dyRows = Normal(Tokens * d, 2);
        foreach ((Panel<float> panel, float[] values) in ((Panel<float>, float[])[])[(_x, rows), (_dy, dyRows)]) panel.Reshape(Tokens, d,
            pair.Block.PaddedWidth).FromRowMajor(values);
        foreach (Panel<float> panel in (Panel<float>[])[_y, _dx]) panel.Reshape(Tokens, d, pair.Block.PaddedWidth);
        (_input, _outputGradient) = (tensor(rows).reshape(batch, length, d), tensor(dyRows).reshape(batch, length, d));
        _gradients = pair.Block.Parameters.CreateLike();

        // The longest sums: D, T and F terms forward, in five products one after the other; backward the same again, and tokens for the weights.
        _tolerance = Agreement.Tolerance(Math.Max(pair.Config.HiddenWidth, Tokens), 5);
    }

    public int Batch { get; }

    public int Length { get; }

    public int Tokens => Batch * Length;

    public string Setting(string format) => $"[{Batch}, {Length}, {_pair.Config.Width}], {_pair.Config.Heads} heads, {format}";

    /// <summary>Requires both outputs to agree.</summary>
    /// <exception cref="InvalidDataException">They do not.</exception>
    public void CheckForward(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable inference = inference_mode();
        RbeForward();
        Agreement.Require($"{name}: output", _pair.Dense.Forward(_input).ToDoubles(), RowsOf(_y), _tolerance);
    }

    /// <summary>Requires a copy with int8 activations to compute what torch does but for its rounding.</summary>
    /// <returns>Relative errors of the output, and of the output without the input that the residual connections pass on.</returns>
    /// <exception cref="InvalidDataException">It does not.</exception>
    public (double Output, double Branches) CheckInt8(string name, RbeTransformerBlock<float> copy)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable inference = inference_mode();
        RbeForward(copy);
        Tensor expected = _pair.Dense.Forward(_input), branches = expected - _input;
        float[] rows = RowsOf(_y);
        double[] difference = (tensor(rows).reshape(expected.shape) - expected).ToDoubles();

        // Codes are off by at most half a step, 1/254 of the largest of 64 values or levels, which is below 4 times their root mean square: two roundings of a
        // uniform error in each of four products one after the other, a random walk. 2 allows for LayerNorm, softmax and GELU between them.
        double tolerance = 2 * Math.Sqrt(2 * 4) * (4 / 254.0) / Math.Sqrt(3), error = Norm(difference) / Norm(branches.ToDoubles());
        Agreement.Require($"{name}: branches", branches.ToDoubles(),
            [.. (tensor(rows).reshape(expected.shape) - _input).ToDoubles().Select(v => (float)v)], tolerance);
        return (Norm(difference) / Norm(expected.ToDoubles()), error);

        static double Norm(double[] values) => Math.Sqrt(values.Sum(v => v * v));
    }

    /// <summary>Requires all gradients to agree.</summary>
    /// <exception cref="InvalidDataException">They do not.</exception>
    public void CheckGradients(string name, BlockContext<float> context)
    {
        using DisposeScope scope = NewDisposeScope();
        TorchGradients();
        RbeGradients(context);
        Agreement.Require($"{name}: input gradient", _input.grad!.ToDoubles(), RowsOf(_dx), 2 * _tolerance);
        Agreement.RequireGradients(_pair.Block, _gradients, _pair.Dense, 2 * _tolerance);
    }

    public void RbeForward() => RbeForward(_pair.Workspace);

    public void RbeForward(RbeTransformerBlock<float> block) => block.Forward(_x, _y, Batch, Length, null, null, _pair.Workspace);

    public void RbeForward(Workspace<float> workspace) => _pair.Block.Forward(_x, _y, Batch, Length, null, null, workspace);

    public void RbeGradients(BlockContext<float> context) => RbeGradients(context, _pair.Workspace);

    public void RbeGradients(BlockContext<float> context, Workspace<float> workspace)
    {
        _gradients.Clear();
        _pair.Block.Forward(_x, _y, Batch, Length, null, context, workspace);
        _pair.Block.Backward(_dy, _dx, context, _gradients, workspace);
    }

    public void TorchForward()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable inference = inference_mode();
        _pair.Dense.Forward(_input);
    }

    /// <summary>Clears torch's gradients, and computes all of them.</summary>
    public void TorchGradients()
    {
        using DisposeScope scope = NewDisposeScope();
        _input.requires_grad_();
        foreach (Tensor leaf in (IEnumerable<Tensor>)[_input, .. _pair.Dense.Parameters])
        {
            leaf.grad?.Dispose();
            leaf.grad = null;
        }

        _pair.Dense.Forward(_input).backward([_outputGradient]);
    }

    /// <summary>torch's bf16 block on the same input, after checking that it computes the same but for bf16's rounding.</summary>
    /// <exception cref="InvalidDataException">It does not.</exception>
    public Action TorchBFloat16(DenseBlock block)
    {
        Tensor input = _input.to(bfloat16);
        using (DisposeScope scope = NewDisposeScope())
        using (IDisposable inference = inference_mode())
        {
            // Each of ten operations one after the other rounds to 2^-9 of its values, a random walk; 8 allows for LayerNorm, softmax and GELU between them.
            double tolerance = 8 * Math.Sqrt(10) * Math.Pow(2, -9);
            float[] expected = [.. _pair.Dense.Forward(_input).ToDoubles().Select(v => (float)v)];
            Agreement.Require("torch bf16: output", block.Forward(input).ToDoubles(), expected, tolerance);
        }

        return () =>
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable inference = inference_mode();
            block.Forward(input);
        };
    }

    public float[] Output() => RowsOf(_y);

    public void Dispose()
    {
        foreach (Panel<float> panel in (Panel<float>[])[_x, _y, _dy, _dx]) panel.Dispose();
        _gradients.Dispose();
        _tensors.Dispose();
    }

    private float[] RowsOf(Panel<float> panel)
    {
        float[] values = new float[Tokens * _pair.Config.Width];
        panel.ToRowMajor(values);
        return values;
    }

    private static float[] Normal(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count)
            .Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }
}
