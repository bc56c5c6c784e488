using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Benchmarks;

/// <summary>How time and memory of a block of GPT-2 small grow with the batch (T = 64) and with the length (B = 1).</summary>
/// <param name="comparison">Takes the times.</param>
/// <param name="say">Takes lines of text.</param>
/// <param name="quick">Whether to leave out every second size.</param>
internal sealed class ScalingBenchmark(Comparison comparison, Action<string> say, bool quick)
{
    private const int FixedLength = 64;
    private static readonly int[] s_batches = [1, 2, 4, 8, 16, 32], s_lengths = [16, 64, 128, 256, 512, 1024, 2048, 4096];

    public void Run()
    {
        string Batch(int size, string what) => $"gpt2-small/batch-{size}/{what}";
        string Length(int size, string what) => $"gpt2-small/length-{size}/{what}";
        Series("batch B", Batch, s_batches, batch => (batch, FixedLength));
        Series("length T", Length, s_lengths, length => (1, length));
    }

    private void Series(string what, Func<int, string, string> name, int[] all, Func<int, (int Batch, int Length)> shape)
    {
        int[] sizes = quick ? [.. all.Where((_, i) => i % 2 == 0 || i == all.Length - 1)] : all;
        sizes = [.. sizes.Where(size => comparison.Wants(name(size, "forward")) || comparison.Wants(name(size, "forward-backward")))];
        if (sizes.Length == 0) return;
        using BlockPair pair = new(BlockShape.Small, RbeFormat.Sparse(300, SupportRule.Runs(16)), comparison.Threads);
        List<ScalingPoint> forward = [], both = [];
        foreach (int size in sizes)
        {
            (int batch, int length) = shape(size);
            using BlockRun run = new(pair, batch, length);
            if (Forward(run, name(size, "forward")) is { } f) forward.Add(f);
            if (ForwardBackward(run, name(size, "forward-backward")) is { } b) both.Add(b);
        }

        Print($"forward by {what}", sizes, forward);
        Print($"forward and backward by {what}", sizes, both);
    }

    private ScalingPoint? Forward(BlockRun run, string name)
    {
        if (!comparison.Wants(name)) return null;
        run.CheckForward(name);
        long peak = Peak(workspace => run.RbeForward(workspace));
        return new ScalingPoint(run.Tokens, comparison.Run(name, run.Setting("K=300 runs16"), run.TorchForward, run.RbeForward, peak)!, peak);
    }

    private ScalingPoint? ForwardBackward(BlockRun run, string name)
    {
        if (!comparison.Wants(name)) return null;
        using BlockContext<float> context = new(CheckpointPolicy.None);
        run.CheckGradients(name, context);
        long peak = Peak(workspace =>
        {
            using BlockContext<float> own = new(CheckpointPolicy.None);
            run.RbeGradients(own, workspace);
        });
        return new ScalingPoint(run.Tokens,
            comparison.Run(name, run.Setting("K=300 runs16"), run.TorchGradients, () => run.RbeGradients(context), peak)!, peak);
    }

    // Most native memory at a time that a call takes in a new workspace: scratch, activations, gradients of activations.
    private long Peak(Action<Workspace<float>> call)
    {
        using MemoryCounter counter = MemoryCounter.Open();
        using Workspace<float> workspace = new(comparison.Threads);
        call(workspace);
        return counter.PeakBytes;
    }

    private void Print(string what, int[] sizes, List<ScalingPoint> points)
    {
        if (points.Count == 0) return;
        say($"{what}: us a token, fastest runs");
        for (int i = 0; i < points.Count; i++)
        {
            ScalingPoint p = points[i];
            say(string.Create(CultureInfo.InvariantCulture,
                $"  {sizes[i],6}: torch {p.TorchPerToken,8:F1}  rbe {p.RbePerToken,8:F1} ({p.RbePerToken / points[0].RbePerToken,5:P0} of the first)  "
                    + $"rbe peak {p.Peak / 1048576.0,7:F1} MiB"));
        }

        if (points.Count < 2) return;
        double[] tokens = [.. points.Select(p => (double)p.Tokens)];
        string Fit(Func<ScalingPoint, double> value) => Exponent(tokens, [.. points.Select(value)]).ToString("F2", CultureInfo.InvariantCulture);
        say($"  exponents: time a token ~ tokens^{Fit(p => p.RbePerToken)} (torch {Fit(p => p.TorchPerToken)}), rbe peak ~ tokens^{Fit(p => p.Peak)}; "
            + $"0 = the same for each token, 1 = linear");
        double most = points.Max(p => p.RbePerToken), least = points.Min(p => p.RbePerToken);
        say(string.Create(CultureInfo.InvariantCulture, $"  time a token: largest {most / least - 1:P0} above the least"));
    }

    // Slope of the least-squares line through the logarithms.
    private static double Exponent(double[] sizes, double[] values)
    {
        double[] x = [.. sizes.Select(v => Math.Log(v))], y = [.. values.Select(v => Math.Log(v))];
        double meanX = x.Average(), meanY = y.Average();
        return x.Zip(y, (a, b) => (a - meanX) * (b - meanY)).Sum() / x.Sum(a => (a - meanX) * (a - meanX));
    }

    private sealed record ScalingPoint(int Tokens, Timing Timing, long Peak)
    {
        public double TorchPerToken => 1e3 * Timing.Least.Torch / Tokens;

        public double RbePerToken => 1e3 * Timing.Least.Rbe / Tokens;
    }
}
