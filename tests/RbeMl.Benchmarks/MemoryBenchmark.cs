using System.Globalization;
using System.Text.Json;
using RbeMl.Codec;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Models;
using RbeMl.Tests.Support;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks;

/// <summary>One line of the memory table; bytes.</summary>
internal sealed record MemoryRow(string Name, string Setting, int Threads, long Total, double? SavedOfEverything, double? SavedOfLiveness,
    double? OutputError, MemoryMeasurement? Measured);

/// <summary>
/// Memory of training one block of width 1024, [16, 256] tokens, tile 64, at the bytes of 400 coefficients a tile of the seed's record
/// (3232): against the same dense weights in a reference that stores everything and in one of perfect liveness. The limit is on the whole
/// process, runtime included.
/// </summary>
internal sealed class MemoryBenchmark(int threads, TextWriter writer)
{
    private const int Batch = 16, Length = 256, Tile = 64, Coefficients = 400, Limit = 190, NoLimit = 1 << 20; // 190 MiB are less than 200 MB
    private const double MiB = 1 << 20;
    private static readonly JsonSerializerOptions s_json = new() { PropertyNamingPolicy = JsonNamingPolicy.CamelCase, WriteIndented = true };
    private readonly List<MemoryRow> _rows = [];

    /// <summary>The block, as a model of one layer and few tokens.</summary>
    public static TransformerConfig Config { get; } =
        new() { Width = 1024, FeedForwardWidth = 4096, Heads = 16, Layers = 1, Vocabulary = 64, MaxSequenceLength = Length };

    public void Run(string? only)
    {
        DenseBlockBytes everything = DenseBlockBytes.StoresEverything(Config, Batch, Length), liveness = DenseBlockBytes.PerfectLiveness(Config, Batch, Length);
        Print(string.Create(CultureInfo.InvariantCulture,
            $"one block, D={Config.Width}, F={Config.HiddenWidth}, {Config.Heads} heads, [{Batch}, {Length}] tokens, tile {Tile}; MiB; saved: "
            + $"weights + gradients + optimizer + activations against the reference"));
        Reference("dense, stores everything", everything);
        Reference("dense, perfect liveness", liveness);
        if (only is null || "torch".Contains(only, StringComparison.Ordinal)) Add("torch", null, Child("torch", Batch, Length, threads));
        string folder = Directory.CreateTempSubdirectory("rbeml-memory-").FullName;
        try
        {
            DenseBlockWeights dense = DenseBlockWeights.Gpt2Initialization(Config with { Layers = 12 }, 1); // one of GPT-2 small's twelve
            foreach ((string name, RbeFormat format) in Formats())
            {
                if (only is not null && !name.Contains(only, StringComparison.Ordinal)) continue;
                BlockWeights block = BlockWeights.Compress(dense, Config, new RbeOptions { Tile = Tile, Format = format });
                double error = OutputError(dense, block);
                string file = Path.Combine(folder, $"{name}.rbe");
                ModelFile.Save(file,
                    TransformerWeights.CreateRandom(Config, new RbeOptions { Tile = Tile, Format = RbeFormat.Sparse(16) }, 1) with { Blocks = [block] });
                if (format is SparseFormat)
                {
                    Add($"{name}/no limit", error, Child(file, Batch, Length, threads, NoLimit, "any", "any"));
                    Add($"{name}/selective", error, Child(file, Batch, Length, threads, NoLimit, CheckpointPolicy.Selective, "any"));
                    Add($"{name}/full", error, Child(file, Batch, Length, threads, NoLimit, CheckpointPolicy.Full, "any"));
                    Add($"{name}/full, bf16", error, Child(file, Batch, Length, threads, NoLimit, CheckpointPolicy.Full, "BFloat16"));
                    Add($"{name}/spilled", error, Child(file, Batch, Length, threads, NoLimit, CheckpointPolicy.None, "Spill"));
                    Add($"{name}/limit 60", error, Child(file, Batch, Length, threads, 60, "any", "any"));
                }

                Add($"{name}/limit {Limit}", error, Child(file, Batch, Length, threads, Limit, "any", "any"));
                Add($"{name}/limit {Limit}, full, spilled", error, Child(file, Batch, Length, threads, Limit, CheckpointPolicy.Full, "Spill"));
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        void Reference(string name, DenseBlockBytes bytes)
        {
            _rows.Add(new MemoryRow(name, Setting(), threads, bytes.Total, null, null, null, null));
            Print(string.Create(CultureInfo.InvariantCulture,
            $"{name,-36} total {bytes.Total / MiB,7:F1} = weights {bytes.Weights / MiB:F1} + gradients {bytes.Gradients / MiB:F1} + optimizer "
                + $"{bytes.Optimizer / MiB:F1} + activations {bytes.Activations / MiB:F1}"));
        }

        void Add(string name, double? error, MemoryMeasurement m)
        {
            long total = m.Activations > 0 ? m.Weights + m.Gradients + m.Optimizer + m.Activations : m.PeakBytes - m.RuntimeBytes;
            double saved = 1 - ((double)total / everything.Total), savedOfLiveness = 1 - ((double)total / liveness.Total);
            _rows.Add(new MemoryRow(name, Setting(), threads, total, saved, savedOfLiveness, error, m));
            if (m.LeastBytes > 0) Print(string.Create(CultureInfo.InvariantCulture,
            $"{name,-36} refused: {m.Plan}"));
            else
            {
                Print(string.Create(CultureInfo.InvariantCulture,
            $"{name,-36} total {total / MiB,7:F1} = weights {m.Weights / MiB:F1} + gradients {m.Gradients / MiB:F1} + optimizer "
                    + $"{m.Optimizer / MiB:F1} + activations {(total - m.Weights - m.Gradients - m.Optimizer) / MiB:F1}; saved {saved:P1} / "
                    + $"{savedOfLiveness:P1}{(error is null ? "" : $"; output error {error.Value.ToString("F4", CultureInfo.InvariantCulture)}")}"));
                string predicted = m.PredictedBytes == 0 ? ""
                    : string.Create(CultureInfo.InvariantCulture,
                        $", predicted {m.PredictedBytes / MiB:F1} ({(m.PredictedBytes / (double)m.PeakBytes) - 1:P1})");
                Print(string.Create(CultureInfo.InvariantCulture,
            $"{"",-36} process: runtime {m.RuntimeBytes / MiB:F1}, peak {m.PeakBytes / MiB:F1}{predicted}, step {m.StepSeconds:F2} s; {m.Plan}"));
            }
        }
    }

    public void WriteJson(string? file)
    {
        string text = JsonSerializer.Serialize(_rows, s_json);
        if (file is null) Console.Out.WriteLine(text);
        else File.WriteAllText(file, text + Environment.NewLine);
    }

    // Equal bytes a tile: 8 alphas and 400 coefficients with their places in the seed's record, 3232; 6 bits each with scales 3200.
    private static IEnumerable<(string Name, RbeFormat Format)> Formats() =>
    [
        ("runs16, K=400", RbeFormat.Sparse(Coefficients, SupportRule.Runs(16))),
        ("quantized, 6 bits", RbeFormat.Quantized(6)),
        ("seed record, K=400", RbeFormat.Seed(Coefficients)),
    ];

    // ‖dense − compressed‖ / ‖dense‖ of the block's output for x ~ N(0, 1).
    private double OutputError(DenseBlockWeights dense, BlockWeights compressed)
    {
        const int Sequences = 2; // of the sixteen: the error does not depend on their number
        using TorchSharp.DisposeScope scope = TorchSharp.torch.NewDisposeScope();
        using (inference_mode())
        {
            manual_seed(1);
            Tensor x = randn(Sequences, Length, Config.Width);
            double[] expected = new DenseBlock(dense, Config.Heads).Forward(x).ToDoubles();
            using RbeTransformerBlock<float> block = new(Config, compressed);
            using Workspace<float> workspace = new(threads);
            float[] actual = block.Forward(x.data<float>().ToArray(), Sequences, Length, null, null, workspace).Output;
            double difference = 0, norm = 0;
            for (int i = 0; i < expected.Length; i++)
            {
                difference += (expected[i] - actual[i]) * (expected[i] - actual[i]);
                norm += expected[i] * expected[i];
            }

            return Math.Sqrt(difference / norm);
        }
    }

    private static MemoryMeasurement Child(params object[] args) => JsonSerializer.Deserialize<MemoryMeasurement>(ChildProcess.Output(
        "the measurement", [MemoryChild.Verb, .. args.Select(arg => Convert.ToString(arg, CultureInfo.InvariantCulture)!)]))!;

    private static string Setting() => $"D={Config.Width} F={Config.HiddenWidth} H={Config.Heads} B={Batch} T={Length}";

    private void Print(string line)
    {
        writer.WriteLine(line);
        writer.Flush();
    }
}
