using System.Globalization;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Layers;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks;

/// <summary>
/// Forward of a block of GPT-2 small with frozen weights of a few bits, at few and many tokens, beside torch's fp32; and for context beside
/// torch's bf16.
/// </summary>
internal static class QuantizedBenchmark
{
    private static readonly (int Batch, int Length)[] s_sizes = [(1, 16), (1, 64), (8, 64)];

    private static readonly string[] s_ends = ["", "/torch-bf16", "/int8"];

    public static void Run(Comparison comparison)
    {
        Case(comparison, "quantized4", RbeFormat.Quantized(4));
        Case(comparison, "quantized5", RbeFormat.Quantized(5));
        Case(comparison, "trellis4", RbeFormat.Trellis(4));
    }

    private static void Case(Comparison comparison, string format, RbeFormat rule)
    {
        BlockShape shape = BlockShape.Small;
        string Name(int tokens, string end = "") => $"{shape.Name}/forward-{tokens}/{format}{end}";
        if (!s_sizes.Any(s => s_ends.Any(end => comparison.Wants(Name(s.Batch * s.Length, end))))) return;
        using BlockPair pair = new(shape, rule, comparison.Threads);
        using TorchSharp.DisposeScope tensors = NewDisposeScope();
        DenseBlock rounded = pair.Dense.ToBFloat16();
        using RbeTransformerBlock<float> integers = pair.Block.ToInference(activations: ActivationPrecision.Int8);
        foreach ((int batch, int length) in s_sizes)
        {
            using BlockRun run = new(pair, batch, length);
            string name = Name(run.Tokens);
            run.CheckForward(name);
            comparison.Run(name, run.Setting(format), run.TorchForward, run.RbeForward);
            comparison.Run($"{name}/torch-bf16", $"{run.Setting(format)}; torch in bf16, not fp32", run.TorchBFloat16(rounded), run.RbeForward);
            if (!comparison.Wants(Name(run.Tokens, "/int8"))) continue;
            (double output, double branches) = run.CheckInt8(Name(run.Tokens, "/int8"), integers);
            string setting =
                string.Create(CultureInfo.InvariantCulture,
                    $"{run.Setting(format)}; int8 activations, output off by {output:E1}, its branches by {branches:E1}; torch in fp32");
            comparison.Run(Name(run.Tokens, "/int8"), setting, run.TorchForward, () => run.RbeForward(integers));
        }
    }
}
