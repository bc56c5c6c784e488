using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks;

/// <summary>One block of GPT-2 small, [8, 64, 768] with 12 heads: inference, all gradients, the same checkpointed.</summary>
internal static class BlockBenchmark
{
    private const int Batch = 8, Length = 64;
    private static readonly TransformerConfig s_config = new() { Width = 768, Heads = 12 };

    public static void Run(Comparison comparison)
    {
        Case(comparison, "runs16", RbeFormat.Sparse(300, SupportRule.Runs(16)));
        Case(comparison, "random", RbeFormat.Sparse(300, SupportRule.Random(1)));
        Case(comparison, "quantized4", RbeFormat.Quantized(4));
    }

    private static void Case(Comparison comparison, string format, RbeFormat rule)
    {
        string forward = $"gpt2-small/forward/{format}", both = $"gpt2-small/forward-backward/{format}", checkpointed = $"gpt2-small/checkpointed/{format}";
        bool trains = rule is SparseFormat;
        if (!comparison.Wants(forward) && !(trains && (comparison.Wants(both) || comparison.Wants(checkpointed)))) return;
        using TorchSharp.DisposeScope tensors = TorchSharp.torch.NewDisposeScope();
        RbeOptions options = new() { Format = rule };
        BlockWeights weights = trains ? BlockWeights.CreateRandom(s_config, options, 1) : BlockWeights.Compress(DenseBlockWeights.Gpt2Initialization(s_config, 1), s_config, options);
        DenseBlock dense = new(weights, s_config.Heads);
        RbeTransformerBlock<float> block = new(s_config, weights);
        using Workspace<float> workspace = new(comparison.Threads);
        int tokens = Batch * Length, d = s_config.Width;
        float[] rows = Normal(tokens * d, 1), dyRows = Normal(tokens * d, 2);
        using Panel<float> x = new(), y = new(), dy = new(), dx = new();
        x.Reshape(tokens, d, block.PaddedWidth).FromRowMajor(rows);
        dy.Reshape(tokens, d, block.PaddedWidth).FromRowMajor(dyRows);
        y.Reshape(tokens, d, block.PaddedWidth);
        dx.Reshape(tokens, d, block.PaddedWidth);
        Tensor input = tensor(rows).reshape(Batch, Length, d), outputGradient = tensor(dyRows).reshape(Batch, Length, d);
        string setting = $"[{Batch}, {Length}, {d}], {s_config.Heads} heads, {(trains ? "K=300 " : "")}{format}";

        // The longest sums: D, T and F terms forward, in five products one after the other; backward the same again, and tokens for the weights.
        double tolerance = Agreement.Tolerance(s_config.HiddenWidth, 5);
        using (inference_mode())
        {
            block.Forward(x, y, Batch, Length, null, null, workspace);
            Agreement.Require($"{forward}: output", dense.Forward(input).ToDoubles(), RowsOf(y), tolerance);
            comparison.Run(forward, setting, Torch, () => block.Forward(x, y, Batch, Length, null, null, workspace));
        }

        if (!trains) return;
        using ParameterVector<float> gradients = block.Parameters.CreateLike();
        input.requires_grad_();
        foreach ((string name, CheckpointPolicy policy) in ((string, CheckpointPolicy)[])[(both, CheckpointPolicy.None), (checkpointed, CheckpointPolicy.Full)])
        {
            using BlockContext<float> context = new(policy);
            TorchGradients();
            RbeGradients();
            Agreement.Require($"{name}: input gradient", input.grad!.ToDoubles(), RowsOf(dx), 2 * tolerance);
            Agreement.RequireGradients(block, gradients, dense, 2 * tolerance);
            comparison.Run(name, setting, TorchGradients, RbeGradients);

            void RbeGradients()
            {
                gradients.Clear();
                block.Forward(x, y, Batch, Length, null, context, workspace);
                block.Backward(dy, dx, context, gradients, workspace);
            }
        }

        void Torch()
        {
            using TorchSharp.DisposeScope scope = TorchSharp.torch.NewDisposeScope();
            dense.Forward(input);
        }

        void TorchGradients()
        {
            using TorchSharp.DisposeScope scope = TorchSharp.torch.NewDisposeScope();
            foreach (Tensor leaf in (IEnumerable<Tensor>)[input, .. dense.Parameters])
            {
                leaf.grad?.Dispose();
                leaf.grad = null;
            }

            dense.Forward(input).backward([outputGradient]);
        }

        float[] RowsOf(Panel<float> panel)
        {
            float[] values = new float[tokens * d];
            panel.ToRowMajor(values);
            return values;
        }
    }

    private static float[] Normal(int count, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, count).Select(_ => (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())))];
    }
}
