using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>What a training step does with the pooled rows of sequences. Threads share them.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal unsafe interface IPooledObjective<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Loss of one row in nats.</summary>
    /// <param name="row">Place of the sequence in the batch.</param>
    /// <param name="pooled">[D].</param>
    /// <param name="gradient">[D], its gradient is written; null when the model's gradients are not wanted.</param>
    double Row(int row, T* pooled, T* gradient);

    /// <summary>
    /// Told once all rows of a part of the batch are there, before their losses are summed and their gradients go back: what depends on other rows
    /// is done here.
    /// </summary>
    /// <param name="first">First row of the part.</param>
    /// <param name="count">Rows of it.</param>
    /// <param name="workers">Threads.</param>
    void Close(int first, int count, WorkerPool workers);
}

/// <summary>Where a step over pooled rows keeps them, [B, ..] each.</summary>
/// <param name="Pooled">[B, D].</param>
/// <param name="Gradient">[B, D].</param>
/// <param name="Places">[B, D], see <see cref="SequencePooling"/>.</param>
/// <param name="Losses">[B] nats.</param>
internal readonly unsafe record struct PooledRows<T>(GrowableBuffer<T> Pooled, GrowableBuffer<T> Gradient, GrowableBuffer<int> Places,
    GrowableBuffer<double> Losses)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    public void Ensure(long batch, int features)
    {
        Pooled.Ensure(batch * features);
        Gradient.Ensure(batch * features);
        Places.Ensure(batch * features);
        Losses.Ensure(batch);
    }
}

/// <summary>Final LayerNorm, pooling, rows; then back through pooling and LayerNorm. Each stage is a parallel loop.</summary>
/// <param name="head">The model's.</param>
/// <param name="lengths">[B] tokens without padding; pinned by the caller.</param>
/// <param name="length">T.</param>
/// <param name="pooling">How.</param>
/// <param name="rows">Room for the rows.</param>
/// <param name="gradients">Added to; null for no backward.</param>
/// <param name="objective">What is done with a row.</param>
/// <typeparam name="T">Element type.</typeparam>
/// <typeparam name="TObjective">What is done with a row.</typeparam>
internal readonly unsafe struct PooledObjective<T, TObjective>(
    LanguageModelHead<T> head, int* lengths, int length, Pooling pooling, PooledRows<T> rows, ParameterVector<T>? gradients,
    TObjective objective) : IHiddenObjective<T>
    where T : unmanaged, IFloatingPointIeee754<T>
    where TObjective : struct, IPooledObjective<T>
{
    private enum Stage
    {
        Normalize,
        Rows,
        Backward,
    }

    public double LossAndGradient(Panel<T> hidden, int first, int count, TransformerContext<T> context, double sum)
    {
        Workspace<T> workspace = context.Workspace;
        FinalNorm<T> norm = head.Norm;
        norm.Prepare(hidden, context, gradients is not null);
        context.HeadInputCoefficients.Reshape(hidden.Tokens, norm.Width, norm.PaddedWidth);
        workspace.EnsureScratch(head.LossScratch);
        Work work = new(norm, hidden, context, first, lengths, length, pooling, rows, gradients is not null, objective);
        workspace.Workers.For(hidden.Chunks, ref work);
        Work each = work with { Stage = Stage.Rows };
        workspace.Workers.For(count, ref each);
        objective.Close(first, count, workspace.Workers);
        for (int row = first; row < first + count; row++) sum += rows.Losses.Pointer[row];
        if (gradients is null) return sum;
        Work back = work with { Stage = Stage.Backward };
        workspace.Workers.For(hidden.Chunks, ref back);
        norm.AddGradients(hidden.Chunks, context, gradients);
        return sum;
    }

    private readonly struct Work(
        FinalNorm<T> norm, Panel<T> hidden, TransformerContext<T> context, int first, int* lengths, int length, Pooling pooling,
        PooledRows<T> rows, bool gradient, TObjective objective) : IParallelWork
    {
        public Stage Stage { get; init; }

        public void Execute(int item, int worker)
        {
            ScratchArea<T> scratch = context.Workspace.Scratch(worker);
            if (Stage == Stage.Normalize) norm.Forward(hidden, item, context.HeadVectors.Pointer, context.HeadInputCoefficients.Chunk(item),
                scratch.Take(2L * hidden.Lanes));
            else if (Stage == Stage.Rows) Row(item);
            else Backward(item, scratch);
        }

        private void Row(int item)
        {
            int row = first + item;
            long at = (long)row * norm.Width;
            T* pooled = rows.Pooled.Pointer + at;
            SequencePooling.Forward(context.HeadInputCoefficients, item * length, lengths[row], pooling, pooled, pooling == Pooling.Max
                ? rows.Places.Pointer + at : null);
            rows.Losses.Pointer[row] = objective.Row(row, pooled, gradient ? rows.Gradient.Pointer + at : null);
        }

        // The gradient of the normalised chunk takes the place of the chunk.
        private void Backward(int chunk, ScratchArea<T> scratch)
        {
            int lanes = hidden.Lanes, features = norm.Width;
            T* normalized = context.HeadInputCoefficients.Chunk(chunk);
            new Span<T>(normalized, norm.PaddedWidth * lanes).Clear();
            for (int lane = 0; lane < hidden.TokensIn(chunk); lane++)
            {
                (int item, int token) = Math.DivRem((chunk * lanes) + lane, length);
                int row = first + item;
                if (token >= lengths[row]) continue;
                long at = (long)row * features;
                SequencePooling.Backward(rows.Gradient.Pointer + at, rows.Places.Pointer + at, pooling, token, lengths[row], features,
                    normalized + lane, lanes);
            }

            T* statistics = scratch.Take(2L * lanes);
            norm.Statistics(hidden, chunk, statistics);
            norm.Backward(hidden, chunk, statistics, normalized, context);
        }
    }
}
