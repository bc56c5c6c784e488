using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Benchmarks;

/// <summary>One block of GPT-2 small and of GPT-2 medium, [8, 64] tokens: inference, all gradients, the same checkpointed.</summary>
internal static class BlockBenchmark
{
    private const int Batch = 8, Length = 64;

    public static void Run(Comparison comparison)
    {
        foreach (BlockShape shape in (BlockShape[])[BlockShape.Small, BlockShape.Medium])
        {
            Case(comparison, shape, "runs16", RbeFormat.Sparse(300, SupportRule.Runs(16)));
            Case(comparison, shape, "random", RbeFormat.Sparse(300, SupportRule.Random(1)));
            Case(comparison, shape, "quantized4", RbeFormat.Quantized(4));
        }
    }

    private static void Case(Comparison comparison, BlockShape shape, string format, RbeFormat rule)
    {
        string forward = $"{shape.Name}/forward/{format}", both = $"{shape.Name}/forward-backward/{format}",
            checkpointed = $"{shape.Name}/checkpointed/{format}";
        bool trains = rule is SparseFormat;
        if (!comparison.Wants(forward) && !(trains && (comparison.Wants(both) || comparison.Wants(checkpointed)))) return;
        using BlockPair pair = new(shape, rule, comparison.Threads);
        using BlockRun run = new(pair, Batch, Length);
        string setting = run.Setting(trains ? $"K=300 {format}" : format);
        run.CheckForward(forward);
        comparison.Run(forward, setting, run.TorchForward, run.RbeForward);
        if (!trains) return;
        foreach ((string name, CheckpointPolicy policy) in ((string, CheckpointPolicy)[])[(both, CheckpointPolicy.None), (checkpointed, CheckpointPolicy.Full)])
        {
            if (!comparison.Wants(name)) continue;
            using BlockContext<float> context = new(policy);
            run.CheckGradients(name, context);
            comparison.Run(name, setting, run.TorchGradients, () => run.RbeGradients(context));
        }
    }
}
