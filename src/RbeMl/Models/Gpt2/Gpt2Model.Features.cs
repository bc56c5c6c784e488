using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <content>Pooled hidden states of sequences of different lengths.</content>
public sealed unsafe partial class Gpt2Model<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>
    /// Pooled hidden states of sequences of different lengths. Sequences are sorted by length, padded at the end to a multiple of eight tokens and
    /// computed in batches; padding reaches no token before it, and pooling leaves it out. A row is the same, bit for bit, whatever other sequences are
    /// in the call, in whatever order, and for any number of threads.
    /// </summary>
    /// <param name="tokens">Ids of all sequences, one after the other.</param>
    /// <param name="lengths">[B] tokens of each, at least 1.</param>
    /// <param name="options">Layer and pooling.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="output">[B, D] row-major, written.</param>
    /// <exception cref="TokenException">A sequence is empty or longer than the model's positions, or an id is outside the vocabulary.</exception>
    /// <exception cref="ShapeMismatchException">The lengths do not add up to the tokens, or the output is not [B, D].</exception>
    /// <exception cref="InvalidSettingException">An option is out of range, or the model is not causal.</exception>
    /// <exception cref="NonFiniteException">A feature is NaN or infinite.</exception>
    /// <exception cref="ConcurrentUseException">The workspace is in use by another call.</exception>
    public void Features(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, FeatureOptions options, Workspace<T> workspace, Span<T> output)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(workspace);
        using Hold weights = Parameters.Lease.Share(), scratch = workspace.Lease.Claim();
        PooledRows(tokens, lengths, options, workspace, output);
    }

    // The caller holds what the call uses.
    internal void PooledRows(ReadOnlySpan<int> tokens, ReadOnlySpan<int> lengths, FeatureOptions options, Workspace<T> workspace, Span<T> output)
    {
        int layer = options.Resolve(Blocks.Count);
        using RaggedBatches batches = new(tokens, lengths, Config, options.PassTokens);
        if (!Shape.Holds(output.Length, lengths.Length, Width)) throw Shape.Mismatch("features", output.Length, "Pass room for one row a sequence.", lengths.Length, Width);
        fixed (T* rows = output)
        fixed (int* sizes = batches.Lengths)
        {
            while (batches.MoveNext())
            {
                Panel<T> x = HiddenAfter(batches.Tokens, batches.Count, batches.Length, workspace, null, layer);
                if (layer == Blocks.Count) FinalNormalize(x, workspace);
                PoolWork work = new(x, batches.Length, options.Pooling, batches.Order, sizes, rows);
                workspace.Team.For(batches.Count, ref work);
            }
        }

        for (int i = 0; i < output.Length; i++)
        {
            if (!T.IsFinite(output[i])) throw new NonFiniteException($"features of layer {layer}", $"{output[i]} at sequence {i / Width}, feature {i % Width}. The model's weights are damaged or its training diverged. Go back to an earlier file of it.");
        }
    }

    // The final LayerNorm of a panel, in place.
    private void FinalNormalize(Panel<T> x, Workspace<T> workspace)
    {
        NormalizeWork work = new(this, x, PrepareHead(workspace), workspace);
        workspace.Team.For(x.Chunks, ref work);
    }

    private void NormalizeChunk(Panel<T> x, int chunk, T* vectors, ScratchArea<T> scratch)
    {
        T* mean = scratch.Take(x.Width);
        T* rstd = scratch.Take(x.Width);
        _finalNorm.Statistics(x.Chunk(chunk), mean, rstd, x.Width);
        _finalNorm.ApplyBlock(x.Chunk(chunk), mean, rstd, vectors, vectors + PaddedWidth, 0, PaddedWidth, x.Chunk(chunk), x.Width);
    }

    private readonly struct NormalizeWork(Gpt2Model<T> model, Panel<T> x, T* vectors, Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker) => model.NormalizeChunk(x, item, vectors, workspace.Scratch(worker));
    }

    private readonly struct PoolWork(Panel<T> x, int length, Pooling pooling, ReadOnlyMemory<long> order, int* lengths, T* rows) : IParallelWork
    {
        public void Execute(int item, int worker)
        {
            int row = RaggedBatches.RowOf(order.Span[item]);
            SequencePooling.Forward(x, item * length, lengths[row], pooling, rows + ((long)row * x.Features), null);
        }
    }
}
