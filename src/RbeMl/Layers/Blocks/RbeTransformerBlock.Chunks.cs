using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <content>What the stages do to a group of chunks, one chunk, head or tile row.</content>
public sealed unsafe partial class RbeTransformerBlock<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // First rows of the pieces of a chunk's moment panels, in rows of 12 a tile.
    private readonly record struct MomentLayout(int X1, int Att, int X2, int Hidden, int Inputs, int Contract, int Expand, int Output, int Qkv, int Outputs)
    {
        public static MomentLayout Of(RbeTransformerBlock<T> block)
        {
            int d = block.Attention.Query.TileColumns * Moments, f = block.FeedForward.Expand.TileRows * Moments;
            return new MomentLayout(0, d, 2 * d, 3 * d, (3 * d) + f, 0, d, d + f, (2 * d) + f, (5 * d) + f);
        }
    }

    // The chunks of group number item: the first one and how many.
    private static (int First, ChunkBatch Group) GroupOf(BlockCall<T> call, int item)
    {
        int first = item * call.Together, count = Math.Min(call.Together, call.X.Chunks - first);
        return (first, new ChunkBatch(count, call.X.Width, call.X.TokensIn(first + count - 1)));
    }

    private static ChunkPointers<T> Of(Panel<T> panel, int first) => new(panel.Chunk(first), panel.ChunkStride);

    private static ChunkPointers<T> Taken(ref ScratchArea<T> scratch, long elements, int chunks) => new(scratch.Take(elements * chunks), elements);

    // x -> x1^ -> q, k, v of a group of chunks.
    private void Project(BlockCall<T> call, int item, int worker, ScratchArea<T> scratch)
    {
        (int first, ChunkBatch group) = GroupOf(call, item);
        int width = group.Width;
        long t0 = call.Now();
        T* v = call.LayerNormVectors.Pointer;
        bool keeps = call.Keep is not null && (call.Keep is not CheckpointPolicy.Full || call.OutputGradient is not null);
        ChunkPointers<T> xHat = keeps ? Of(call.X1Hat, first) : Taken(ref scratch, (long)PaddedWidth * width, group.Count);
        ChunkPointers<T> moments = Taken(ref scratch, (long)Attention.Query.TileColumns * Moments * width, group.Count);
        for (int c = 0; c < group.Count; c++)
        {
            NormalizeAndTransform(LayerNorm1, Attention.Query, call.X.Chunk(first + c), Statistic(call, 0, first + c), Statistic(call, 1, first + c), v, v + PaddedWidth, xHat[c], width);
            MomentsOf(Attention.Inputs, xHat[c], moments[c], width);
        }

        t0 = call.Lap(worker, ProfileStage.LayerNorm1, t0);
        Attention.ProjectChunks(new HatBlocks<T>(group, xHat, moments, default), Of(call.Qkv, first), scratch);
        for (int c = 0; c < group.Count; c++) call.Look(call.Qkv, first + c);
        call.Lap(worker, ProfileStage.Projections, t0);
    }

    private void Attend(BlockCall<T> call, int item, int worker, ScratchArea<T> scratch)
    {
        long t0 = call.Now();
        MultiHeadAttention<T>.HeadCall head = HeadOf(call, item / call.Parts);
        if (call.Options.Cache is { } cache && call.Parts == 1) Attention.HeadAppend(head, call.Qkv, cache);
        Attention.HeadForward(head, PartOf(call, item), call.Qkv, call.Att, call.RowStatistics.Pointer, call.Options, call.AttentionWeights, scratch);
        call.Lap(worker, ProfileStage.Attention, t0);
    }

    // Items of a divided backward are the heads' parts of queries, then their parts of keys and values.
    private void BackwardAttend(BlockCall<T> call, int item, int worker, ScratchArea<T> scratch)
    {
        long t0 = call.Now();
        int parts = call.Batch * _config.Heads * call.Parts;
        AttentionGradients which = call.Parts == 1 ? AttentionGradients.All : item < parts ? AttentionGradients.Queries : AttentionGradients.KeysAndValues;
        item %= parts;
        Attention.HeadBackward(
            HeadOf(call, item / call.Parts), PartOf(call, item), which, call.Qkv, call.Att, call.AttGradient, call.QkvGradient, call.RowStatistics.Pointer, call.Options, scratch);
        call.Lap(worker, ProfileStage.AttentionBackward, t0);
    }

    // The last queries see the most keys: parts of a head run from the last to the first.
    private static MultiHeadAttention<T>.HeadPart PartOf(BlockCall<T> call, int item) => new(call.Parts - 1 - (item % call.Parts), call.Parts);

    // att -> m = x + drop(output(att)) -> y = m + drop(feed-forward(LN2 m)) of a group of chunks.
    private void Finish(BlockCall<T> call, int item, int worker, ScratchArea<T> scratch)
    {
        (int first, ChunkBatch group) = GroupOf(call, item);
        int width = group.Width;
        long size = (long)PaddedWidth * width;
        bool keepMost = KeepsMost(call), keepAll = call.Keep is CheckpointPolicy.None;
        long t0 = call.Now();
        T* v = call.LayerNormVectors.Pointer;
        ChunkPointers<T> moments = Taken(ref scratch, (long)Attention.Query.TileColumns * Moments * width, group.Count);
        ScratchArea<T> rest = scratch; // att^ is no longer needed when x2^ is made
        ChunkPointers<T> attHat = keepAll ? Of(call.AttHat, first) : Taken(ref rest, size, group.Count), m = Of(call.Middle, first);
        for (int c = 0; c < group.Count; c++) Attention.Output.TransformInput(Attention.Output.TileColumns, call.Att.Chunk(first + c), attHat[c], moments[c], width);
        Attention.OutputChunks(new HatBlocks<T>(group, attHat, moments, default), m, rest);
        for (int c = 0; c < group.Count; c++)
        {
            if (Drops(call)) Drop(call, DropoutSite.AttentionResidual, first + c, m[c]);
            Elementwise.Add(m[c], call.X.Chunk(first + c), m[c], size);
        }

        t0 = call.Lap(worker, ProfileStage.AttentionOutput, t0);
        ChunkPointers<T> xHat = keepMost ? Of(call.X2Hat, first) : Taken(ref scratch, size, group.Count), y = Of(call.Result, first);
        for (int c = 0; c < group.Count; c++)
        {
            NormalizeAndTransform(LayerNorm2, FeedForward.Expand, m[c], Statistic(call, 2, first + c), Statistic(call, 3, first + c), v + 2L * PaddedWidth, v + 3L * PaddedWidth, xHat[c], width);
            FeedForward.Expand.Moments(FeedForward.Expand.TileColumns, xHat[c], moments[c], width);
        }

        t0 = call.Lap(worker, ProfileStage.LayerNorm2, t0);
        HatBlocks<T> x = new(group, xHat, moments, default);
        FeedForward.ForwardChunks(x, keepMost ? Of(call.Hidden, first) : default, keepAll ? Of(call.HiddenHat, first) : default, y, scratch);
        for (int c = 0; c < group.Count; c++)
        {
            if (Drops(call)) Drop(call, DropoutSite.FeedForwardResidual, first + c, y[c]);
            Elementwise.Add(y[c], m[c], y[c], size);
            call.Look(call.Result, first + c);
        }

        call.Lap(worker, ProfileStage.FeedForward, t0);
    }

    private void RecomputeHidden(BlockCall<T> call, int chunk, int worker, ScratchArea<T> scratch)
    {
        long t0 = call.Now();
        int width = call.X.Width;
        T* v = call.LayerNormVectors.Pointer;
        T* moments = scratch.Take((long)FeedForward.Expand.TileColumns * Moments * width);
        NormalizeAndTransform(LayerNorm2, FeedForward.Expand, call.Middle.Chunk(chunk), Statistic(call, 2, chunk), Statistic(call, 3, chunk), v + 2L * PaddedWidth, v + 3L * PaddedWidth, call.X2Hat.Chunk(chunk), width);
        FeedForward.Expand.Moments(FeedForward.Expand.TileColumns, call.X2Hat.Chunk(chunk), moments, width);
        FeedForward.RecomputeHidden(call.X2Hat.Chunk(chunk), moments, call.Hidden.Chunk(chunk), width, scratch);
        call.Lap(worker, ProfileStage.Recomputation, t0);
    }

    // dy -> dm (the gradient of the middle) and the gradient of att, of one chunk.
    private void BackwardFeedForward(BlockCall<T> call, int chunk, int worker, ScratchArea<T> scratch)
    {
        long t0 = call.Now();
        int width = call.X.Width;
        long size = (long)PaddedWidth * width;
        MomentLayout layout = MomentLayout.Of(this);
        T* inputMoments = call.MomentsOfInputs.Chunk(chunk);
        T* gradientMoments = call.MomentsOfGradients.Chunk(chunk);
        T* sums = call.PartialSums.Pointer + (long)chunk * PartialRows;
        T* v = call.LayerNormVectors.Pointer;
        if (call.Keep is not CheckpointPolicy.None)
        {
            FeedForward.RecomputeHat(call.Hidden.Chunk(chunk), call.HiddenHat.Chunk(chunk), width);
            Attention.Output.TransformBlocks(Attention.Output.TileColumns, call.Att.Chunk(chunk), call.AttHat.Chunk(chunk), width);
            t0 = call.Lap(worker, ProfileStage.Recomputation, t0);
        }

        MomentsOf(Attention.Inputs, call.X1Hat.Chunk(chunk), inputMoments + (long)layout.X1 * width, width);
        Attention.Output.Moments(Attention.Output.TileColumns, call.AttHat.Chunk(chunk), inputMoments + (long)layout.Att * width, width);
        FeedForward.Expand.Moments(FeedForward.Expand.TileColumns, call.X2Hat.Chunk(chunk), inputMoments + (long)layout.X2 * width, width);
        FeedForward.Contract.Moments(FeedForward.Contract.TileColumns, call.HiddenHat.Chunk(chunk), inputMoments + (long)layout.Hidden * width, width);

        T* dy = call.OutputGradient.Chunk(chunk);
        T* g = call.ContractHat.Chunk(chunk);
        T* kept = Dropped(call, DropoutSite.FeedForwardResidual, chunk, dy, g);
        FeedForward.Contract.TransformGradient(0, FeedForward.Contract.TileRows, kept, g, gradientMoments + (long)layout.Contract * width, sums, width);
        T* dNorm = scratch.Take(size);
        FeedForward.BackwardChunk(
            g, gradientMoments + (long)layout.Contract * width, call.Hidden.Chunk(chunk), call.ExpandHat.Chunk(chunk), gradientMoments + (long)layout.Expand * width, sums + 3L * Width, dNorm, width, scratch);

        t0 = call.Lap(worker, ProfileStage.FeedForwardBackward, t0);
        T* dm = call.MiddleGradient.Chunk(chunk);
        Copy(dy, dm, size);
        LayerNorm2.Backward(call.Middle.Chunk(chunk), Statistic(call, 2, chunk), Statistic(call, 3, chunk), v + 2L * PaddedWidth, dNorm, dm, sums + Width, sums + 2L * Width, width);
        t0 = call.Lap(worker, ProfileStage.LayerNorm2Backward, t0);

        T* go = call.OutputHat.Chunk(chunk);
        kept = Dropped(call, DropoutSite.AttentionResidual, chunk, dm, go);
        Attention.Output.TransformGradient(0, Attention.Output.TileRows, kept, go, gradientMoments + (long)layout.Output * width, sums + 3L * Width + _config.HiddenWidth, width);
        Attention.OutputBackwardChunk(go, gradientMoments + (long)layout.Output * width, call.AttGradient.Chunk(chunk), width, scratch);
        call.Lap(worker, ProfileStage.AttentionOutputBackward, t0);
    }

    // dq, dk, dv -> dx of one chunk.
    private void BackwardProject(BlockCall<T> call, int chunk, int worker, ScratchArea<T> scratch)
    {
        long t0 = call.Now();
        int width = call.X.Width;
        long size = (long)PaddedWidth * width;
        T* sums = call.PartialSums.Pointer + (long)chunk * PartialRows + 4L * Width + _config.HiddenWidth;
        T* dNorm = scratch.Take(size);
        Attention.ProjectBackwardChunk(call.QkvGradient.Chunk(chunk), call.MomentsOfGradients.Chunk(chunk) + (long)MomentLayout.Of(this).Qkv * width, sums, dNorm, width, scratch);
        t0 = call.Lap(worker, ProfileStage.ProjectionsBackward, t0);
        T* dx = call.Result.Chunk(chunk);
        Copy(call.MiddleGradient.Chunk(chunk), dx, size);
        LayerNorm1.Backward(call.X.Chunk(chunk), Statistic(call, 0, chunk), Statistic(call, 1, chunk), call.LayerNormVectors.Pointer, dNorm, dx, sums + 3L * Width, sums + 4L * Width, width);
        call.Look(call.Result, chunk);
        call.Lap(worker, ProfileStage.LayerNorm1Backward, t0);
    }

    // Coefficients and alphas of one tile row of one matrix, over all chunks in order.
    private void WeightGradients(BlockCall<T> call, int item, int worker)
    {
        long t0 = call.Now();
        WeightGradients(call, item);
        call.Lap(worker, ProfileStage.WeightGradients, t0);
    }

    private void WeightGradients(BlockCall<T> call, int item)
    {
        MomentLayout l = MomentLayout.Of(this);
        int rows = Attention.Query.TileRows, hiddenRows = FeedForward.Expand.TileRows, group = ChunkGroup.Of(call.Length);
        if (item < hiddenRows)
        {
            Gradient(FeedForward.Expand, item, call.X2Hat, l.X2, call.ExpandHat, 0, l.Expand);
            return;
        }

        (int which, int row) = Math.DivRem(item - hiddenRows, rows);
        switch (which)
        {
            case 0: Gradient(FeedForward.Contract, row, call.HiddenHat, l.Hidden, call.ContractHat, 0, l.Contract); break;
            case 1: Gradient(Attention.Output, row, call.AttHat, l.Att, call.OutputHat, 0, l.Output); break;
            case 2: Gradient(Attention.Query, row, call.X1Hat, l.X1, call.QkvGradient, 0, l.Qkv); break;
            case 3: Gradient(Attention.Key, row, call.X1Hat, l.X1, call.QkvGradient, PaddedWidth, l.Qkv + (rows * Moments)); break;
            default: Gradient(Attention.Value, row, call.X1Hat, l.X1, call.QkvGradient, 2 * PaddedWidth, l.Qkv + (2 * rows * Moments)); break;
        }

        void Gradient(RbeLinear<T> linear, int tileRow, Panel<T> xHat, int xMoment, Panel<T> gHat, int gRow, int gMoment) =>
            linear.GradientRow(tileRow, xHat, call.MomentsOfInputs, xMoment, gHat, gRow, call.MomentsOfGradients, gMoment, group, call.Gradients);
    }

    // Biases and LayerNorm vectors: the chunks' sums, added up group by group in the order of the chunks.
    private void AddVectorGradients(BlockCall<T> call)
    {
        int stride = PartialRows, group = ChunkGroup.Of(call.Length);
        for (int first = 0; first < call.X.Chunks; first += group)
        {
            T* total = call.PartialSums.Pointer + (long)first * stride;
            int chunks = Math.Min(group, call.X.Chunks - first);
            for (int chunk = 1; chunk < chunks; chunk++) Elementwise.Add(total, total + (long)chunk * stride, total, stride);
            AddVectorGradients(call, total);
        }
    }

    private void AddVectorGradients(BlockCall<T> call, T* total)
    {
        int d = Width, f = _config.HiddenWidth;
        AddBias(FeedForward.Contract, total);
        LayerNorm2.Gamma.PullBack(total + d, call.Gradients);
        LayerNorm2.Beta.PullBack(total + 2L * d, call.Gradients);
        AddBias(FeedForward.Expand, total + 3L * d);
        AddBias(Attention.Output, total + 3L * d + f);
        AddBias(Attention.Query, total + 4L * d + f);
        AddBias(Attention.Key, total + 5L * d + f);
        AddBias(Attention.Value, total + 6L * d + f);
        LayerNorm1.Gamma.PullBack(total + 7L * d + f, call.Gradients);
        LayerNorm1.Beta.PullBack(total + 8L * d + f, call.Gradients);

        void AddBias(RbeLinear<T> linear, T* sums)
        {
            if (linear.Bias is { } slice) Elementwise.Add(call.Gradients.At(slice), sums, call.Gradients.At(slice), slice.Length);
        }
    }

    // Moments of an input that several matrices share; all have the same tile and transform.
    private static void MomentsOf(RbeLinear<T>[] linears, T* xHat, T* moments, int width)
    {
        foreach (RbeLinear<T> linear in linears)
        {
            if (linear.InputMomentRows == 0) continue;
            linear.Moments(linear.TileColumns, xHat, moments, width);
            return;
        }
    }

    // The gradient before a dropout: without one the gradient itself, else a copy in the target.
    private T* Dropped(BlockCall<T> call, DropoutSite site, int chunk, T* gradient, T* target)
    {
        if (!Drops(call)) return gradient;
        Copy(gradient, target, (long)PaddedWidth * call.X.Width);
        Drop(call, site, chunk, target);
        return target;
    }

    private static void Copy(T* source, T* target, long count) => Buffer.MemoryCopy(source, target, count * sizeof(T), count * sizeof(T));
}
