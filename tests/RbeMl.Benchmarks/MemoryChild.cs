using System.Globalization;
using System.Text.Json;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Oracle.Tests.Native;
using RbeMl.Training;
using static TorchSharp.torch;

namespace RbeMl.Benchmarks;

/// <summary>What one training took, as its process saw it. Bytes.</summary>
/// <param name="Plan">The plan in words, or the refusal.</param>
/// <param name="LimitBytes">Limit of the whole process.</param>
/// <param name="LeastBytes">The least possible limit when it was refused, else 0.</param>
/// <param name="PredictedBytes">Predicted peak of the process.</param>
/// <param name="PeakBytes">Largest resident memory of the process from its start (VmHWM on Linux).</param>
/// <param name="RuntimeBytes">Resident before the training, without the weights.</param>
/// <param name="Weights">Weights.</param>
/// <param name="Gradients">Gradients.</param>
/// <param name="Optimizer">Moments.</param>
/// <param name="Activations">All that a step works in.</param>
/// <param name="Spilled">Bytes in a file.</param>
/// <param name="StepSeconds">Time of the last step.</param>
internal sealed record MemoryMeasurement(
    string Plan, long LimitBytes, long LeastBytes, long PredictedBytes, long PeakBytes, long RuntimeBytes, long Weights, long Gradients,
    long Optimizer, long Activations, long Spilled, double StepSeconds);

/// <summary>The part of the memory benchmark that runs in a process of its own; prints a <see cref="MemoryMeasurement"/>.</summary>
internal static class MemoryChild
{
    public const string Verb = "memory-child";
    private const int Steps = 3;

    /// <summary>
    /// Arguments: model file (or "torch" for dense torch), batch, length, threads, limit in MiB, checkpointing, offload ("any" leaves it to
    /// the plan).
    /// </summary>
    public static int Run(string[] args)
    {
        int Number(int index) => int.Parse(args[index], CultureInfo.InvariantCulture);
        MemoryMeasurement result = args[0] == "torch" ? Torch(Number(1), Number(2), Number(3)) : Library(
            args[0], Number(1), Number(2), Number(3), Number(4), args[5] == "any" ? null
            : Enum.Parse<CheckpointPolicy>(args[5]), args[6] == "any" ? null : Enum.Parse<ActivationOffload>(args[6]));
        Console.WriteLine(JsonSerializer.Serialize(result));
        return 0;
    }

    private static MemoryMeasurement Library(string file, int batch, int length, int threads, int limit, CheckpointPolicy? policy, ActivationOffload? offload)
    {
        using ModelBundle bundle = ModelFile.Load(file);
        TrainerOptions options = new() { Steps = Steps, BatchSize = batch, Context = length, MemoryLimit = limit, Checkpointing = policy, Offload = offload };
        try
        {
            using Trainer trainer = new(bundle.Model, new Ramp(bundle.Model.Config.Vocabulary), null, options, threads);
            double tokensPerSecond = 0;
            trainer.Run(progress => tokensPerSecond = progress.TokensPerSecond);
            MemoryEstimate e = trainer.Plan!.Estimate;
            return new MemoryMeasurement(
                trainer.Plan.Describe(), trainer.Plan.LimitBytes, 0, e.Total, RuntimeFootprint.PeakResidentBytes, e.Runtime, e.Weights,
                e.Gradients, e.Optimizer,
                trainer.StepBytes.Total, trainer.StepBytes.Spilled, batch * length / tokensPerSecond);
        }
        catch (MemoryLimitException error)
        {
            return new MemoryMeasurement(error.Message, error.LimitBytes, error.LeastBytes, 0, RuntimeFootprint.PeakResidentBytes, 0, 0, 0, 0, 0, 0, 0);
        }
    }

    private static MemoryMeasurement Torch(int batch, int length, int threads)
    {
        HeldFinalizers.Hold();
        set_num_threads(threads);
        TransformerConfig config = MemoryBenchmark.Config;
        Step(config with { Width = 64, Heads = 2, FeedForwardWidth = 128 }, 1, 16); // loads and warms the native library
        long runtime = RuntimeFootprint.Measure();
        double seconds = Step(config, batch, length);
        long weights = sizeof(float) * ((12L * config.Width * config.Width) + (13L * config.Width));
        return new MemoryMeasurement("torch, dense fp32, fused attention, AdamW", 0, 0, 0, RuntimeFootprint.PeakResidentBytes, runtime, weights,
            weights, 2 * weights, 0, 0, seconds);
    }

    private static double Step(TransformerConfig config, int batch, int length)
    {
        DenseBlock block = new(DenseBlockWeights.Gpt2Initialization(config, 1), config.Heads);
        using optim.Optimizer optimizer = optim.AdamW(block.Parameters, 1e-4);
        long started = 0;
        for (int step = 0; step < Steps; step++)
        {
            started = System.Diagnostics.Stopwatch.GetTimestamp();
            using TorchSharp.DisposeScope scope = TorchSharp.torch.NewDisposeScope();
            optimizer.zero_grad();
            Tensor x = randn(batch, length, config.Width, requires_grad: true);
            block.Forward(x).square().mean().backward();
            optimizer.step();
        }

        return System.Diagnostics.Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private sealed class Ramp(int vocabulary) : ITokenSource
    {
        public int Vocabulary => vocabulary;

        public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            for (int i = 0; i < inputs.Length; i++) (inputs[i], targets[i]) = ((i * 7) % vocabulary, ((i + 1) * 7) % vocabulary);
        }
    }
}
