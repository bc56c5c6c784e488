using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <content>How much memory a training step takes, known before it.</content>
public sealed unsafe partial class Gpt2Model<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>
    /// Bytes of the weights in memory: values, places and the walk orders that the kernels make of them, quantised bases with their outliers, tables, and the copies
    /// of <see cref="ToInference"/>. Codes that lie in a mapped file are counted as if they were read.
    /// </summary>
    public long WeightBytes => Parameters.AllocatedBytes + _finalNorm.NativeBytes + Blocks.Sum(b => b.FixedBytes) + Tables().Sum(t => t.Table.FixedBytes);

    /// <summary>Those in native memory: what <see cref="MemoryCounter"/> counts of a model.</summary>
    public long NativeBytes => Parameters.AllocatedBytes + _finalNorm.NativeBytes + Blocks.Sum(b => b.NativeBytes) + Tables().Sum(t => t.Table.NativeBytes);

    /// <summary>Bytes that <see cref="Loss"/> with gradients will have allocated in a context of these settings and its workspace.</summary>
    /// <param name="settings">What is kept, where, and how much of a batch is done at a time.</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="threads">Threads of the workspace.</param>
    /// <exception cref="InvalidSettingException">Batch x length is more than an array holds.</exception>
    public StepMemory PredictStep(ActivationSettings settings, int batch, int length, int threads)
    {
        ArgumentNullException.ThrowIfNull(settings);
        ArgumentOutOfRangeException.ThrowIfLessThan(batch, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        if ((long)batch * length > Array.MaxLength) throw new InvalidSettingException("batch x length", (long)batch * length, $"a step has at most {Array.MaxLength} tokens: use fewer or shorter sequences.");
        (CheckpointPolicy policy, ActivationOffload offload) = (settings.Checkpointing, settings.Offload);
        int part = settings.PartOf(batch, length), tokens = checked(part * length);
        long panel = Panel<T>.Elements(tokens, PaddedWidth), saved = 0, stored = 0, store = 0, shared = 0, scratch = Math.Max(LossScratch, _tokens.ScratchElements);
        foreach (RbeTransformerBlock<T> block in Blocks)
        {
            saved += offload is ActivationOffload.None ? block.Layout.SavedElements(policy, part, length) : 0;
            long bytes = block.Layout.StoreBytes<T>(policy, offload, part, length);
            (stored, store) = (stored + bytes, Math.Max(store, bytes));
            shared = Math.Max(shared, block.Layout.SharedElements(policy, offload, part, length));
            scratch = Math.Max(scratch, block.ThreadScratchElements(part, length, threads));
        }

        long residual = panel * (offload is ActivationOffload.None ? Blocks.Count + 1 : 2);
        long whole = part < batch ? Panel<T>.Elements(checked(batch * length), PaddedWidth) : 0;
        return new StepMemory(
            ((saved + residual + whole) * sizeof(T)) + (offload is ActivationOffload.BFloat16 ? stored : 0),
            (shared + (2 * panel)) * sizeof(T), scratch * threads * sizeof(T), HeadBytes(settings, tokens) + IdBytes(batch, length), offload is ActivationOffload.Spill ? store * Blocks.Count : 0);
    }

    /// <summary>Bytes that a context and its workspace hold now, in the same parts.</summary>
    public static StepMemory MeasureStep(Gpt2Context<T> context)
    {
        ArgumentNullException.ThrowIfNull(context);
        Workspace<T> workspace = context.Workspace;
        return new StepMemory(
            context.ActivationBytes, workspace.AllocatedBytes - workspace.ScratchBytes + context.GradientBytes, workspace.ScratchBytes, context.HeadBytes, context.SpilledBytes);
    }

    // The context's copies of tokens and targets.
    private static long IdBytes(int batch, int length) => ((2L * batch * length * sizeof(int)) + 63) / 64 * 64;

    private long HeadBytes(ActivationSettings settings, int tokens)
    {
        int width = Panel<T>.WidthFor(tokens), lanes = Panel<T>.RoundUp(tokens, width), chunks = lanes / width;
        int group = (int)Math.Min(tokens, (long)HeadGroup(chunks, width, settings) * width);
        long elements = Panel<T>.Elements(group, PaddedWidth) + Panel<T>.Elements(group, _head.PaddedVocabulary) + (2L * PaddedWidth) + (2L * Width * chunks) + lanes;
        return (elements * sizeof(T)) + ((long)lanes * sizeof(int));
    }
}
