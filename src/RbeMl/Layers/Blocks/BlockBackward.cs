using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;
using static RbeMl.Layers.BlockPanel;

namespace RbeMl.Layers;

/// <summary>
/// The forward's steps in reverse: per chunk from the result to the attention's output, per head through the attention, per chunk through
/// the projections to the input; then the weights' gradients, per tile row over all chunks in order, and those of the vectors.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class BlockBackward<T>(RbeTransformerBlock<T> block, BlockForward<T> forward)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // What full checkpointing does again; the last products of the halves are not needed, the rest is done with the other policies'
    // recomputation.
    private readonly BlockStep[] _again =
    [
        .. block.Steps.Where(step => step.To is X1Coefficients or Qkv or Att or X2Coefficients),
        new(BlockOperation.ExpandOnly, X2Coefficients, Hidden, ProfileStage.Recomputation),
    ];

    private readonly BlockLayout _layout = block.Layout;

    private enum Stage
    {
        FeedForward,
        Attend,
        Project,
        Weights,
    }

    /// <summary>
    /// From the gradient of the result to that of the input, which is the call's result; adds the gradients of the parameters.
    /// </summary>
    public void Run(BlockState<T> call)
    {
        call.Shape(Result);
        foreach (BlockPanel panel in BlockLayout.BackwardPanels) call.Shape(panel);
        for (BlockPanel panel = Middle; panel < Result; panel++)
        {
            if (_layout.Saves(call.Keep, panel)) call.Hold(panel);
            else call.Shape(panel);
        }

        if (!BlockLayout.KeepsStatistics(call.Keep)) call.EnsureStatistics();
        call.Sums.Ensure((long)call.Chunks * _layout.Sums);
        forward.Prepare(call);
        forward.EnsureScratch(call, backward: true);
        if (call.Keep == CheckpointPolicy.Full) forward.Run(call, _again);

        (int sequences, int longest) = call.Sequences;
        int heads = checked(sequences * _layout.Heads);
        Loop(call, Stage.FeedForward, call.Chunks);
        call.Parts = MultiHeadAttention<T>.Parts(heads, longest, call.Workspace.Workers.Threads, backward: true);
        Loop(call, Stage.Attend, call.Parts == 1 ? heads : 2 * heads * call.Parts);
        Loop(call, Stage.Project, call.Chunks);
        int rows = 0;
        foreach (BlockMatrix matrix in BlockLayout.BackwardOrder) rows += block.Linears[(int)matrix].TileRows;
        Loop(call, Stage.Weights, rows);
        AddVectorGradients(call);
    }

    private void Loop(BlockState<T> call, Stage stage, int items)
    {
        Work work = new(this, call, stage);
        call.Workspace.Workers.For(items, ref work);
    }

    private void Run(Stage stage, BlockState<T> call, int item, int worker)
    {
        ScratchArea<T> scratch = call.Workspace.Scratch(worker);
        switch (stage)
        {
            case Stage.FeedForward: FeedForward(call, item, worker, scratch); break;
            case Stage.Attend: Attend(call, item, worker, scratch); break;
            case Stage.Project: Project(call, item, worker, scratch); break;
            default: Weights(call, item, worker); break;
        }
    }

    // dy -> dm, the gradient of the middle, and the gradient of the attention's output, of one chunk.
    private void FeedForward(BlockState<T> call, int chunk, int worker, ScratchArea<T> scratch)
    {
        long t0 = call.Now();
        int width = call.Width;
        RbeLinear<T> contract = block.FeedForward.DownProjection, output = block.Attention.Output;
        T* hidden = call[Hidden].Chunk(chunk), hiddenCoefficients = call[HiddenCoefficients].Chunk(chunk);
        if (call.Keep is not CheckpointPolicy.None)
        {
            block.FeedForward.RecomputeCoefficients(hidden, hiddenCoefficients, width);
            output.TransformBlocks(output.TileColumns, call[Att].Chunk(chunk), call[AttCoefficients].Chunk(chunk), width);
            t0 = call.Lap(worker, ProfileStage.Recomputation, t0);
        }

        foreach (BlockPanel coefficients in BlockLayout.Inputs)
        {
            T* moments = call[InputMoments].Chunk(chunk) + ((long)_layout.InputAlphaMoments(coefficients) * width);
            RbeLinear<T>.MomentsOf(block.Readers(coefficients), call[coefficients].Chunk(chunk), moments, width);
        }

        // y = m + drop(contract(gelu(expand(LN2 m))))
        T* dy = call.OutputGradient!.Chunk(chunk), g = call[DownGradientCoefficients].Chunk(chunk);
        T* dNorm = scratch.Take((long)_layout.PaddedWidth * width);
        contract.TransformGradient(
            0, contract.TileRows, Dropped(call, DropoutSite.FeedForwardResidual, chunk, dy, g), g,
            Moments(call, BlockMatrix.DownProjection, chunk), Sums(call, BlockVector.DownProjectionBias, chunk), width);
        block.FeedForward.BackwardChunk(
            g, Moments(call, BlockMatrix.DownProjection, chunk), hidden, call[UpGradientCoefficients].Chunk(chunk),
            Moments(call, BlockMatrix.UpProjection, chunk), Sums(call, BlockVector.UpProjectionBias, chunk), dNorm, width, scratch);
        t0 = call.Lap(worker, ProfileStage.FeedForwardBackward, t0);
        T* dm = call[MiddleGradient].Chunk(chunk);
        Normalize(call, Middle, chunk, dNorm, dy, dm);
        t0 = call.Lap(worker, ProfileStage.LayerNorm2Backward, t0);

        // m = x + drop(output(att))
        g = call[OutputGradientCoefficients].Chunk(chunk);
        output.TransformGradient(
            0, output.TileRows, Dropped(call, DropoutSite.AttentionResidual, chunk, dm, g), g,
            Moments(call, BlockMatrix.Output, chunk), Sums(call, BlockVector.OutputBias, chunk), width);
        block.Attention.OutputBackwardChunk(
            g, Moments(call, BlockMatrix.Output, chunk), call[AttGradient].Chunk(chunk), width, scratch);
        call.Lap(worker, ProfileStage.AttentionOutputBackward, t0);
    }

    // Items of a divided backward are the heads' parts of queries, then their parts of keys and values.
    private void Attend(BlockState<T> call, int item, int worker, ScratchArea<T> scratch)
    {
        long t0 = call.Now();
        int parts = call.Sequences.Count * _layout.Heads * call.Parts;
        AttentionGradients which = call.Parts == 1 ? AttentionGradients.All
            : item < parts ? AttentionGradients.Queries : AttentionGradients.KeysAndValues;
        item %= parts;
        block.Attention.HeadBackward(
            block.HeadOf(call, item / call.Parts), BlockForward<T>.HeadPart(call, item), which, call[Qkv], call[Att],
            call[AttGradient], call[QkvGradient], call.RowStatistics, call.Options, scratch);
        call.Lap(worker, ProfileStage.AttentionBackward, t0);
    }

    // dq, dk, dv -> dx of one chunk.
    private void Project(BlockState<T> call, int chunk, int worker, ScratchArea<T> scratch)
    {
        long t0 = call.Now();
        T* dNorm = scratch.Take((long)_layout.PaddedWidth * call.Width);
        block.Attention.ProjectBackwardChunk(
            call[QkvGradient].Chunk(chunk), Moments(call, BlockMatrix.Query, chunk), Sums(call, BlockVector.QueryBias, chunk), dNorm,
            call.Width, scratch);
        t0 = call.Lap(worker, ProfileStage.ProjectionsBackward, t0);
        Normalize(call, Input, chunk, dNorm, call[MiddleGradient].Chunk(chunk), call[Result].Chunk(chunk));
        call.Look(Result, chunk, 0, _layout.PaddedWidth);
        call.Lap(worker, ProfileStage.LayerNorm1Backward, t0);
    }

    // Through a half's LayerNorm to its input x: the residual's gradient goes past it, dx = residual + LN'(dNorm), or in a post-LN block
    // through it too.
    private void Normalize(BlockState<T> call, BlockPanel input, int chunk, T* dNorm, T* residual, T* dx)
    {
        (BlockVector gamma, BlockVector beta) = input == Input
            ? (BlockVector.Gamma1, BlockVector.Beta1)
            : (BlockVector.Gamma2, BlockVector.Beta2);
        NormPlace<T> at = call.Norm(input == Input, chunk);
        long size = (long)_layout.PaddedWidth * call.Width;
        if (block.IsPostNorm)
        {
            Elementwise.Add(dNorm, residual, dNorm, size);
            new Span<T>(dx, checked((int)size)).Clear();
        }
        else
        {
            Copy(residual, dx, call);
        }

        block.NormOf(input).Backward(
            call[input].Chunk(chunk), at.Mean, at.Rstd, at.Gamma, dNorm, dx, Sums(call, gamma, chunk), Sums(call, beta, chunk), call.Width);
    }

    // Coefficients and alphas of one tile row of one matrix, over all chunks in order.
    private void Weights(BlockState<T> call, int row, int worker)
    {
        long t0 = call.Now();
        foreach (BlockMatrix matrix in BlockLayout.BackwardOrder)
        {
            RbeLinear<T> linear = block.Linears[(int)matrix];
            if (row < linear.TileRows)
            {
                BlockPanel coefficients = BlockLayout.InputOf(matrix);
                linear.GradientRow(
                    row, call[coefficients], call[InputMoments], _layout.InputAlphaMoments(coefficients),
                    call[BlockLayout.GradientOf(matrix)], _layout.GradientRowOf(matrix),
                    call[GradientMoments], _layout.GradientAlphaMoments(matrix), ChunkGroup.Of(call.Length), call.Gradients);
                break;
            }

            row -= linear.TileRows;
        }

        call.Lap(worker, ProfileStage.WeightGradients, t0);
    }

    // Biases and LayerNorm vectors: the chunks' sums, added up group by group in the order of the chunks.
    private void AddVectorGradients(BlockState<T> call)
    {
        int stride = _layout.Sums, group = ChunkGroup.Of(call.Length);
        for (int first = 0; first < call.Chunks; first += group)
        {
            T* total = call.Sums.Pointer + ((long)first * stride);
            int chunks = Math.Min(group, call.Chunks - first);
            for (int chunk = 1; chunk < chunks; chunk++) Elementwise.Add(total, total + ((long)chunk * stride), total, stride);
            foreach (BlockMatrix matrix in BlockLayout.BackwardOrder)
            {
                if (block.Linears[(int)matrix].Bias is not { } slice || !call.Gradients.Holds(slice)) continue;
                T* gradient = call.Gradients.At(slice);
                Elementwise.Add(gradient, Sums(call, BlockLayout.BiasOf(matrix), first), gradient, slice.Length);
            }

            block.LayerNorm1.Gamma.PullBack(Sums(call, BlockVector.Gamma1, first), call.Gradients);
            block.LayerNorm1.Beta.PullBack(Sums(call, BlockVector.Beta1, first), call.Gradients);
            block.LayerNorm2.Gamma.PullBack(Sums(call, BlockVector.Gamma2, first), call.Gradients);
            block.LayerNorm2.Beta.PullBack(Sums(call, BlockVector.Beta2, first), call.Gradients);
        }
    }

    private T* Sums(BlockState<T> call, BlockVector vector, int chunk) =>
        call.Sums.Pointer + ((long)chunk * _layout.Sums) + _layout.SumOf(vector);

    private T* Moments(BlockState<T> call, BlockMatrix matrix, int chunk) =>
        call[GradientMoments].Chunk(chunk) + ((long)_layout.GradientAlphaMoments(matrix) * call.Width);

    // The gradient before a dropout: without one the gradient itself, else a copy in the target.
    private T* Dropped(BlockState<T> call, DropoutSite site, int chunk, T* gradient, T* target)
    {
        if (!block.Drops(call)) return gradient;
        Copy(gradient, target, call);
        block.Drop(call, site, chunk, target);
        return target;
    }

    private void Copy(T* source, T* target, BlockState<T> call)
    {
        long bytes = (long)_layout.PaddedWidth * call.Width * sizeof(T);
        Buffer.MemoryCopy(source, target, bytes, bytes);
    }

    private readonly struct Work(BlockBackward<T> backward, BlockState<T> call, Stage stage) : IParallelWork
    {
        public void Execute(int item, int worker) => backward.Run(stage, call, item, worker);
    }
}
