using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>What a training step does with the pooled row of a sequence. Rows are independent; threads share them.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal unsafe interface IPooledObjective<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>Loss of one row in nats.</summary>
    /// <param name="row">Place of the sequence in the batch.</param>
    /// <param name="pooled">[D].</param>
    /// <param name="gradient">[D], its gradient is written; null when the model's gradients are not wanted.</param>
    double Row(int row, T* pooled, T* gradient);
}

/// <summary>Where a step over pooled rows keeps them, [B, ..] each.</summary>
/// <param name="Pooled">[B, D].</param>
/// <param name="Gradient">[B, D].</param>
/// <param name="Places">[B, D], see <see cref="SequencePooling"/>.</param>
/// <param name="Losses">[B] nats.</param>
internal readonly unsafe record struct PooledRows<T>(Slab<T> Pooled, Slab<T> Gradient, Slab<int> Places, Slab<double> Losses)
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

/// <content>Training steps whose loss is of one pooled row a sequence.</content>
public sealed unsafe partial class Gpt2Model<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private enum PooledStage
    {
        Normalize,
        Rows,
        Backward,
    }

    /// <summary>Mean loss over the sequences of a padded batch; with gradients, back from the objective's rows through final LayerNorm, blocks and embeddings.</summary>
    /// <typeparam name="TObjective">What is done with a row.</typeparam>
    /// <param name="tokens">[B, T] ids, padded at the end.</param>
    /// <param name="lengths">[B] tokens without padding; pinned by the caller.</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="pooling">How.</param>
    /// <param name="context">Activations and workspace.</param>
    /// <param name="rows">Room for the rows.</param>
    /// <param name="dropout">Random stream of the dropout; null for evaluation.</param>
    /// <param name="gradients">Vector of the parameters' layout, added to; null for no backward.</param>
    /// <param name="objective">What is done with a row.</param>
    internal double PooledStep<TObjective>(
        ReadOnlySpan<int> tokens, int* lengths, int batch, int length, Pooling pooling, Gpt2Context<T> context, PooledRows<T> rows,
        DropoutStep? dropout, ParameterVector<T>? gradients, TObjective objective)
        where TObjective : struct, IPooledObjective<T>
    {
        CheckTokens(tokens, batch, length, 0);
        rows.Ensure(batch, Width);
        PooledObjective<TObjective> pooled = new(this, lengths, length, pooling, rows, gradients, objective);
        return Step(tokens, batch, length, context, dropout, gradients, ref pooled) / batch;
    }

    /// <summary>Final LayerNorm, pooling, rows; then back through pooling and LayerNorm. Each stage is a parallel loop.</summary>
    private readonly struct PooledObjective<TObjective>(
        Gpt2Model<T> model, int* lengths, int length, Pooling pooling, PooledRows<T> rows, ParameterVector<T>? gradients, TObjective objective) : IHiddenObjective<T>
        where TObjective : struct, IPooledObjective<T>
    {
        public double Add(Panel<T> hidden, int first, int count, Gpt2Context<T> context, double sum)
        {
            Workspace<T> workspace = context.Workspace;
            model.DecodeFinalNorm(context.HeadVectors.Ensure(2L * model.PaddedWidth));
            context.HeadInputHat.Reshape(hidden.Tokens, model.Width, model.PaddedWidth);
            workspace.EnsureScratch(model.LossScratch);
            PooledWork<TObjective> work = new(model, hidden, context, first, lengths, length, pooling, rows, gradients is not null, objective);
            workspace.Team.For(hidden.Chunks, ref work);
            PooledWork<TObjective> each = work with { Stage = PooledStage.Rows };
            workspace.Team.For(count, ref each);
            for (int row = first; row < first + count; row++) sum += rows.Losses.Pointer[row];
            if (gradients is null) return sum;
            context.HeadSums.Ensure(2L * model.Width * hidden.Chunks);
            context.GradientA.Reshape(hidden.Tokens, model.Width, model.PaddedWidth);
            PooledWork<TObjective> back = work with { Stage = PooledStage.Backward };
            workspace.Team.For(hidden.Chunks, ref back);
            model.AddFinalNormGradients(hidden.Chunks, context, gradients);
            return sum;
        }
    }

    private readonly struct PooledWork<TObjective>(
        Gpt2Model<T> model, Panel<T> hidden, Gpt2Context<T> context, int first, int* lengths, int length, Pooling pooling, PooledRows<T> rows, bool gradient, TObjective objective) : IParallelWork
        where TObjective : struct, IPooledObjective<T>
    {
        public PooledStage Stage { get; init; }

        public void Execute(int item, int worker)
        {
            ScratchArea<T> scratch = context.Workspace.Scratch(worker);
            if (Stage == PooledStage.Normalize) Normalize(item, scratch);
            else if (Stage == PooledStage.Rows) Row(item);
            else Backward(item, scratch);
        }

        private void Normalize(int chunk, ScratchArea<T> scratch)
        {
            int width = hidden.Width;
            T* mean = scratch.Take(width);
            T* rstd = scratch.Take(width);
            T* vectors = context.HeadVectors.Pointer;
            model._finalNorm.Statistics(hidden.Chunk(chunk), mean, rstd, width);
            model._finalNorm.ApplyBlock(hidden.Chunk(chunk), mean, rstd, vectors, vectors + model.PaddedWidth, 0, model.PaddedWidth, context.HeadInputHat.Chunk(chunk), width);
        }

        private void Row(int item)
        {
            int row = first + item;
            long at = (long)row * model.Width;
            T* pooled = rows.Pooled.Pointer + at;
            SequencePooling.Forward(context.HeadInputHat, item * length, lengths[row], pooling, pooled, pooling == Pooling.Max ? rows.Places.Pointer + at : null);
            rows.Losses.Pointer[row] = objective.Row(row, pooled, gradient ? rows.Gradient.Pointer + at : null);
        }

        // The gradient of the normalised chunk takes the place of the chunk.
        private void Backward(int chunk, ScratchArea<T> scratch)
        {
            int width = hidden.Width, features = model.Width;
            T* normalized = context.HeadInputHat.Chunk(chunk);
            new Span<T>(normalized, model.PaddedWidth * width).Clear();
            for (int lane = 0; lane < hidden.TokensIn(chunk); lane++)
            {
                (int item, int token) = Math.DivRem((chunk * width) + lane, length);
                int row = first + item;
                if (token >= lengths[row]) continue;
                long at = (long)row * features;
                SequencePooling.Backward(rows.Gradient.Pointer + at, rows.Places.Pointer + at, pooling, token, lengths[row], features, normalized + lane, width);
            }

            T* mean = scratch.Take(width);
            T* rstd = scratch.Take(width);
            T* dx = context.GradientA.Chunk(chunk);
            new Span<T>(dx, model.PaddedWidth * width).Clear();
            T* sums = context.HeadSums.Pointer + (2L * features * chunk);
            model._finalNorm.Statistics(hidden.Chunk(chunk), mean, rstd, width);
            model._finalNorm.Backward(hidden.Chunk(chunk), mean, rstd, context.HeadVectors.Pointer, normalized, dx, sums, sums + features, width);
        }
    }
}
