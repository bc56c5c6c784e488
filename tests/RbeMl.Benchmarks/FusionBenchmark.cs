using RbeMl.Codec;
using RbeMl.Layers;

namespace RbeMl.Benchmarks;

/// <summary>The switch <see cref="RbeTransformerBlock{T}.FuseLayerNorm"/> off and on, by turns in one process: same weights, same bits.</summary>
internal static class FusionBenchmark
{
    private static readonly (int Batch, int Length)[] s_sizes = [(1, 1), (1, 16), (1, 64), (8, 64)];

    /// <param name="comparison">Its first side is off, its second on.</param>
    public static void Run(Comparison comparison)
    {
        foreach (BlockShape shape in (BlockShape[])[BlockShape.Small, BlockShape.Medium])
        {
            if (!s_sizes.Any(s => comparison.Wants(Name(shape, s)))) continue;
            using BlockPair fused = new(shape, RbeFormat.Sparse(300, SupportRule.Runs(16)), comparison.Threads);
            using RbeTransformerBlock<float> apart = new(shape.Config, fused.Weights) { FuseLayerNorm = false };
            foreach ((int Batch, int Length) size in s_sizes)
            {
                string name = Name(shape, size);
                if (!comparison.Wants(name)) continue;
                using BlockRun run = new(fused, size.Batch, size.Length);
                run.RbeForward();
                float[] expected = run.Output();
                run.RbeForward(apart);
                if (!expected.AsSpan().SequenceEqual(run.Output())) throw new InvalidDataException($"{name}: fused and unfused differ. No time was taken.");
                comparison.Run(name, run.Setting("K=300 runs16"), () => run.RbeForward(apart), run.RbeForward);
            }
        }
    }

    private static string Name(BlockShape shape, (int Batch, int Length) size) => $"{shape.Name}/fusion/{size.Batch}x{size.Length}";
}
