using System.Diagnostics;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>Memory of this process as the system sees it.</summary>
internal static class RuntimeFootprint
{
    private static readonly Lock s_gate = new();
    private static bool s_warm;

    /// <summary>Resident bytes of the process now.</summary>
    public static long ResidentBytes => Environment.WorkingSet;

    /// <summary>Bytes that the process may have: the machine's memory, or the limit of its container.</summary>
    public static long MachineBytes => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;

    /// <summary>Most resident bytes of the process at any time so far.</summary>
    public static long PeakResidentBytes
    {
        get
        {
            using Process process = Process.GetCurrentProcess();
            return process.PeakWorkingSet64;
        }
    }

    /// <summary>
    /// Resident bytes of the process when it is at rest and ready to train: garbage collected, the code of a training step compiled (by taking one with a
    /// model of a few kilobytes). What a training allocates comes on top.
    /// </summary>
    public static long Measure()
    {
        lock (s_gate)
        {
            if (!s_warm)
            {
                Warm();
                s_warm = true;
            }
        }

        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        return ResidentBytes;
    }

    private static void Warm()
    {
        TransformerConfig config = new() { Width = 64, Heads = 2, Layers = 1, Vocabulary = 32, MaxSequenceLength = 32 };
        foreach (RbeFormat format in (RbeFormat[])[RbeFormat.Sparse(64, SupportRule.Runs(16)), RbeFormat.Quantized(4)])
        {
            BlockWeights block = BlockWeights.CreateRandom(config, new RbeOptions { Format = RbeFormat.Sparse(64, SupportRule.Runs(16)) }, 1);
            TransformerWeights weights = TransformerWeights.CreateRandom(config, new RbeOptions { Format = RbeFormat.Sparse(64, SupportRule.Runs(16)) }, 1);
            if (format is QuantizedFormat)
            {
                weights = weights
                    with
                { Blocks = [block with { Query = RbeCompressor.Compress(block.Query.ToDense(), 64, 64, new RbeOptions { Format = format }) }] };
            }

            using TransformerModel<float> model = new(weights);
            using Trainer trainer =
                new(model, new Nothing(), null, new TrainerOptions { Steps = 1, BatchSize = 2, Context = 32, Checkpointing = CheckpointPolicy.Full }, 1);
            trainer.Step();
        }
    }

    // Any tokens do.
    private sealed class Nothing : ITokenSource
    {
        public int Vocabulary => 32;

        public void Fill(long batchIndex, int batch, int context, Span<int> inputs, Span<int> targets)
        {
            for (int i = 0; i < inputs.Length; i++) (inputs[i], targets[i]) = (i % 32, (i + 1) % 32);
        }
    }
}
