using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks;

/// <summary>A whole training step in nanoGPT's CPU setting: forward, loss, backward, clipping, AdamW.</summary>
internal static class StepBenchmark
{
    private static readonly TransformerConfig s_config = new() { Layers = 4, Heads = 4, Width = 128, Vocabulary = 65, MaxSequenceLength = 64, Dropout = 0 };
    private static readonly AdamWOptions s_adamW = new();
    private static readonly TrainerOptions s_options =
        new()
        {
            BatchSize = 12,
            Context = 64,
            Steps = int.MaxValue,
            LearningRate = 1e-4,
            WarmupSteps = 0,
            Schedule = RateSchedule.Constant,
            WeightDecay = 0.1,
            Clip = 1
        };

    public static void Run(Comparison comparison)
    {
        Case(comparison, "runs16", "K=300", RbeFormat.Sparse(300, SupportRule.Runs(16)));
        Case(comparison, "all", "K=4096", RbeFormat.Sparse(64 * 64));
    }

    private static void Case(Comparison comparison, string format, string kept, RbeFormat rule)
    {
        string step = $"nanogpt-cpu/step/{format}", gradientsOnly = $"nanogpt-cpu/forward-backward/{format}";
        if (!comparison.Wants(step) && !comparison.Wants(gradientsOnly)) return;
        using TorchSharp.DisposeScope tensors = TorchSharp.torch.NewDisposeScope();
        TransformerWeights weights = TransformerWeights.CreateRandom(s_config, new RbeOptions { Format = rule }, 1);
        TransformerModel<float> model = new(weights);
        DenseGpt2 dense = new(weights);
        Random random = new(1);
        TokenDataset data = TokenDataset.FromStream([.. Enumerable.Range(0, 100_000).Select(_ => random.Next(s_config.Vocabulary))], s_config.Vocabulary);
        using Trainer trainer = new(model, data, null, s_options, comparison.Threads);
        using ParameterVector<float> gradients = model.Parameters.CreateLike();
        using TransformerContext<float> context = new(model, trainer.Workspace);
        Parameter[] parameters = [.. dense.Parameters];
        optim.Optimizer matrices = Optimizer(parameters.Where(p => p.shape.Length > 1), s_options.WeightDecay),
            vectors = Optimizer(parameters.Where(p => p.shape.Length == 1), 0);
        int tokens = s_options.BatchSize * s_options.Context;
        int[] inputs = new int[tokens], targets = new int[tokens];
        long batch = 0;
        string setting =
            $"{s_config.Layers} layers, {s_config.Heads} heads, D={s_config.Width}, V={s_config.Vocabulary}, T={s_options.Context}, "
                + $"B={s_options.BatchSize}, {kept} {format}";

        Check();
        comparison.Run(gradientsOnly, setting, () => TorchStep(false), RbeGradients);
        comparison.Run(step, setting, () => TorchStep(true), () => trainer.Step());

        optim.Optimizer Optimizer(IEnumerable<Parameter> group, double decay) =>
            optim.AdamW(group, s_options.LearningRate, s_adamW.Beta1, s_adamW.Beta2, s_adamW.Epsilon, decay);

        void Fill() => data.Fill(batch++, s_options.BatchSize, s_options.Context, inputs, targets);

        double TorchGradients()
        {
            foreach (Parameter parameter in parameters)
            {
                parameter.grad?.Dispose();
                parameter.grad = null;
            }

            Tensor loss = dense.Loss(Ids(inputs), Ids(targets));
            loss.backward();
            return loss.item<float>();
        }

        void TorchStep(bool update)
        {
            using TorchSharp.DisposeScope scope = TorchSharp.torch.NewDisposeScope();
            Fill();
            TorchGradients();
            if (!update) return;
            nn.utils.clip_grad_norm_(parameters, s_options.Clip);
            matrices.step();
            vectors.step();
        }

        void RbeGradients()
        {
            Fill();
            gradients.Clear();
            model.Loss(inputs, targets, s_options.BatchSize, s_options.Context, context, null, gradients);
        }

        // Before anything is trained both hold the same weights: loss and gradients.
        void Check()
        {
            using TorchSharp.DisposeScope scope = TorchSharp.torch.NewDisposeScope();
            Fill();
            double loss = model.Loss(inputs, targets, s_options.BatchSize, s_options.Context, context, null, gradients);

            // Forward and backward of four layers of five products each; the longest sums are over all tokens.
            double tolerance = Agreement.Tolerance(tokens, 2 * 5 * s_config.Layers);
            Agreement.Require($"{step}: loss", [TorchGradients()], [(float)loss], tolerance);
            Agreement.Require("gradient of embedding.tokens", dense.Tokens.grad!.ToDoubles(),
                gradients.Of(model.Parameters.Find("embedding.tokens")), tolerance);
            Agreement.Require("gradient of embedding.positions", dense.Positions.grad!.ToDoubles(),
                gradients.Of(model.Parameters.Find("embedding.positions")), tolerance);
            for (int layer = 0; layer < s_config.Layers; layer++) Agreement.RequireGradients(model.Blocks[layer], gradients, dense.Blocks[layer], tolerance);
        }
    }

    private static Tensor Ids(int[] ids) => tensor(ids).to(int64).view(s_options.BatchSize, s_options.Context);
}
