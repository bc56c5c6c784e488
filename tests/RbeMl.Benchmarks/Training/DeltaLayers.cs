using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks.Training;

/// <summary>One frozen matrix of GPT-2 small's shapes: forward, backward and update of a delta, and of LoRA with as many values in torch.</summary>
internal static class DeltaLayers
{
    private const int Tokens = 512;
    private static readonly (int Inputs, int Outputs)[] s_shapes = [(768, 2304), (768, 3072), (3072, 768)];
    private static readonly TrainerOptions s_options = new() { Steps = int.MaxValue, LearningRate = 1e-4, WeightDecay = 0, WarmupSteps = 0 };

    public static void Run(double[] shares, int threads, int rounds)
    {
        Console.WriteLine($"{Tokens} tokens, {threads} threads; LoRA beside frozen fp32 weights in torch, the delta on a base of 4 bits");
        Console.WriteLine("| [in, out] | way | trained values | frozen bytes | bytes of values, gradient and moments | ms, median | ms, least |");
        Console.WriteLine("|---|---|---|---|---|---|---|");
        foreach ((int inputs, int outputs) in s_shapes)
        {
            foreach (double share in shares) Pair(inputs, outputs, share, threads, rounds);
        }
    }

    private static void Pair(int inputs, int outputs, double share, int threads, int rounds)
    {
        using DisposeScope tensors = NewDisposeScope();
        Random random = new(1);
        float[] weights = Normal(inputs * outputs, 0.02), x = Normal(Tokens * inputs, 1), dy = Normal(Tokens * outputs, 1);
        RbeMatrix frozen = RbeCompressor.Compress(weights, outputs, inputs, new RbeOptions { Alphas = false, Format = RbeFormat.Quantized(4) });
        DeltaOptions options = new() { Share = share };
        CoefficientSupport places = SupportSelector.FromRule(DeltaModel.PlanOf(frozen, options, 0), frozen.Tile, frozen.TileCount);
        using DeltaLayer delta = new(DeltaModel.WithDelta("layer", frozen, options, places), x, dy, threads);
        int rank = (int)Math.Round(delta.Values / (double)(inputs + outputs));
        LoraMatrix lora = new(frozen, [], rank);
        Parameter[] trained = [lora.A, lora.B];
        AdamWOptions own = new();
        optim.Optimizer optimizer = optim.AdamW(trained, s_options.LearningRate, own.Beta1, own.Beta2, own.Epsilon, 0);
        Tensor input = tensor(x).reshape(Tokens, inputs), slope = tensor(dy).reshape(Tokens, outputs);
        input.requires_grad_(true); // as a layer above others
        delta.Step();
        Agreement.Require("output", nn.functional.linear(input, tensor(frozen.ToDense()).reshape(outputs, inputs)).ToDoubles(), delta.Output(),
            Agreement.Tolerance(Math.Max(inputs, Tokens), 2));
        Comparison comparison = new(threads, rounds, null, Print, 0.5);
        comparison.Run("layer", "", Torch, delta.Step);

        void Torch()
        {
            using DisposeScope scope = NewDisposeScope();
            optimizer.zero_grad();
            if (input.grad is { } before) before.zero_();
            lora.Forward(input).backward([slope]);
            optimizer.step();
        }

        void Print(Timing timing)
        {
            long values = trained.Sum(p => p.NumberOfElements);
            Row(string.Create(CultureInfo.InvariantCulture, $"delta {share * 100}%, runs"), delta.Values, delta.FrozenBytes, delta.TrainingBytes, timing.RbeMs,
                timing.Least.Rbe);
            Row($"LoRA of rank {rank}", values, 4L * inputs * outputs, 16 * values, timing.TorchMs, timing.Least.Torch);
        }

        void Row(string way, long values, long frozenBytes, long bytes, double median, double least) => Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"| [{inputs}, {outputs}] | {way} | {values} | {frozenBytes} | {bytes} | {median:F2} | {least:F2} |"));

        float[] Normal(int count, double scale) =>
            [.. Enumerable.Range(0, count).Select(_ =>
                (float)(scale * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }
}

/// <summary>A matrix with a delta, run as a block runs it: inputs transformed, products in the coefficient domain, and back.</summary>
internal sealed unsafe class DeltaLayer : IDisposable
{
    private const int Group = 4;
    private readonly ParameterVector<float> _parameters = new();
    private readonly ParameterVector<float> _gradients;
    private readonly Panel<float> _x = new(), _dy = new(), _xHat = new(), _dyHat = new(), _y = new(), _dx = new();
    private readonly RbeLinear<float> _linear;
    private readonly Optimizer<float> _optimizer;
    private readonly Workspace<float> _workspace;

    public DeltaLayer(RbeMatrix matrix, float[] x, float[] dy, int threads)
    {
        _linear = new RbeLinear<float>(_parameters, "layer", matrix, []);
        _parameters.Freeze();
        Func<ParameterSlice, bool> trained = slice => slice == _linear.Coefficients;
        _gradients = _parameters.CreateLike(trained);
        _optimizer = new AdamWOptions().Create(_parameters, new TrainerOptions { LearningRate = 1e-4, WeightDecay = 0 }, trained);
        _workspace = new Workspace<float>(threads);
        _workspace.EnsureScratch(_linear.ScratchElementsOf(Group) + 4096);
        int tokens = x.Length / matrix.Columns, inputs = matrix.TileColumns * matrix.Tile, outputs = matrix.TileRows * matrix.Tile;
        foreach (Panel<float> panel in (Panel<float>[])[_x, _xHat, _dx]) panel.Reshape(tokens, matrix.Columns, inputs, clear: true);
        foreach (Panel<float> panel in (Panel<float>[])[_dy, _dyHat, _y]) panel.Reshape(tokens, matrix.Rows, outputs, clear: true);
        _x.FromRowMajor(x);
        _dy.FromRowMajor(dy);
    }

    public long Values => _gradients.TrainableCount;

    public long FrozenBytes => _linear.FixedBytes + (_linear.Alphas is { } alphas ? 4L * alphas.Length : 0);

    public long TrainingBytes => 4 * Values * (2 + _optimizer.StateVectors.Count);

    public float[] Output()
    {
        float[] rows = new float[_y.Tokens * _y.Features];
        _y.ToRowMajor(rows);
        return rows;
    }

    public void Step()
    {
        Forward forward = new(this);
        _workspace.Workers.For(_x.Chunks, ref forward);
        Backward backward = new(this);
        _workspace.Workers.For(_x.Chunks, ref backward);
        Gradient gradient = new(this);
        _workspace.Workers.For(_linear.TileRows, ref gradient);
        _optimizer.Step(_gradients, 1, _workspace.Workers);
    }

    public void Dispose()
    {
        foreach (Panel<float> panel in (Panel<float>[])[_x, _dy, _xHat, _dyHat, _y, _dx]) panel.Dispose();
        _optimizer.Dispose();
        _gradients.Dispose();
        _workspace.Dispose();
        _parameters.Dispose();
    }

    private readonly struct Forward(DeltaLayer own) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            (RbeLinear<float> linear, int lanes) = (own._linear, own._x.Lanes);
            linear.TransformInput(linear.TileColumns, own._x.Chunk(item), own._xHat.Chunk(item), null, lanes);
            for (int row = 0; row < linear.TileRows; row++)
            {
                linear.ForwardRow(row, own._xHat.Chunk(item), null, own._y.Chunk(item) + ((long)row * linear.Tile * lanes), lanes,
                    own._workspace.Scratch(worker));
            }
        }
    }

    private readonly struct Backward(DeltaLayer own) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            (RbeLinear<float> linear, int lanes) = (own._linear, own._x.Lanes);
            linear.TransformGradient(0, linear.TileRows, own._dy.Chunk(item), own._dyHat.Chunk(item), null, null, lanes);
            for (int column = 0; column < linear.TileColumns; column++)
            {
                float* dx = own._dx.Chunk(item) + ((long)column * linear.Tile * lanes);
                new Span<float>(dx, linear.Tile * lanes).Clear();
                linear.AccumulateColumn(column, own._dyHat.Chunk(item), null, dx, lanes, own._workspace.Scratch(worker));
                linear.FinishColumn(column, dx, dx, lanes);
            }
        }
    }

    private readonly struct Gradient(DeltaLayer own) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            RbeLinear<float> linear = own._linear;
            linear.GradientRow(item, own._xHat, own._xHat, 0, own._dyHat, item * linear.Tile, own._dyHat, 0, Group, own._gradients);
        }
    }
}
