using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <content>
/// The forward of fewer chunks than threads: products are divided into tile rows, so that a short text keeps all threads at work. What lies between the products
/// is done chunk by chunk. Every block of a result is computed by the same calls as in an undivided chunk, so it has the same bits. Intermediate results are in
/// whole panels, as a backward would have them.
/// </content>
public sealed unsafe partial class RbeTransformerBlock<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // Products of integers read codes that are made a chunk at a time.
    private bool IsDivided(BlockCall<T> call) => call.X.Chunks < call.Workspace.Team.Threads && !_usesCodes;

    private void ProjectAll(BlockCall<T> call)
    {
        int chunks = call.X.Chunks;
        if (!IsDivided(call))
        {
            Loop(call, Stage.Project, Groups(call));
            return;
        }

        Loop(call, Stage.ProjectInput, chunks);
        Loop(call, Stage.ProjectRow, chunks * Attention.ProjectionRows);
    }

    private void FinishAll(BlockCall<T> call)
    {
        int chunks = call.X.Chunks;
        if (!IsDivided(call))
        {
            Loop(call, Stage.Finish, Groups(call));
            return;
        }

        Loop(call, Stage.OutputInput, chunks);
        Loop(call, Stage.OutputRow, chunks * Attention.Output.TileRows);
        Loop(call, Stage.Middle, chunks);
        Loop(call, Stage.HiddenRow, chunks * FeedForward.Expand.TileRows);
        Loop(call, Stage.ResultRow, chunks * FeedForward.Contract.TileRows);
        Loop(call, Stage.Result, chunks);
    }

    private void ProjectInput(BlockCall<T> call, int chunk, int worker)
    {
        int width = call.X.Width;
        long t0 = call.Now();
        T* v = call.LayerNormVectors.Pointer;
        T* xHat = call.X1Hat.Chunk(chunk);
        NormalizeAndTransform(LayerNorm1, Attention.Query, call.X.Chunk(chunk), Statistic(call, 0, chunk), Statistic(call, 1, chunk), v, v + PaddedWidth, xHat, width);
        MomentsOf(Attention.Inputs, xHat, MomentsAt(call, chunk, MomentLayout.Of(this).X1), width);
        call.Lap(worker, ProfileStage.LayerNorm1, t0);
    }

    private void ProjectRow(BlockCall<T> call, int item, int worker, ScratchArea<T> scratch)
    {
        (int chunk, int row) = Math.DivRem(item, Attention.ProjectionRows);
        long t0 = call.Now();
        Attention.ProjectRow(row, Blocks(call, call.X1Hat, chunk, MomentLayout.Of(this).X1), new ChunkPointers<T>(call.Qkv.Chunk(chunk), 0), scratch);
        call.Lap(worker, ProfileStage.Projections, t0);
    }

    private void OutputInput(BlockCall<T> call, int chunk, int worker)
    {
        long t0 = call.Now();
        call.Look(call.Qkv, chunk);
        Attention.Output.TransformInput(Attention.Output.TileColumns, call.Att.Chunk(chunk), call.AttHat.Chunk(chunk), MomentsAt(call, chunk, MomentLayout.Of(this).Att), call.X.Width);
        call.Lap(worker, ProfileStage.AttentionOutput, t0);
    }

    private void OutputRow(BlockCall<T> call, int item, int worker, ScratchArea<T> scratch)
    {
        (int chunk, int row) = Math.DivRem(item, Attention.Output.TileRows);
        long t0 = call.Now();
        T* m = call.Middle.Chunk(chunk) + RowOffset(call, row);
        Attention.Output.ForwardRow(row, Blocks(call, call.AttHat, chunk, MomentLayout.Of(this).Att), new ChunkPointers<T>(m, 0), scratch);
        call.Lap(worker, ProfileStage.AttentionOutput, t0);
    }

    // m = x + drop(output) -> x2^.
    private void FinishMiddle(BlockCall<T> call, int chunk, int worker)
    {
        int width = call.X.Width;
        long t0 = call.Now();
        T* v = call.LayerNormVectors.Pointer + (2L * PaddedWidth);
        T* m = call.Middle.Chunk(chunk);
        if (Drops(call)) Drop(call, DropoutSite.AttentionResidual, chunk, m);
        Elementwise.Add(m, call.X.Chunk(chunk), m, (long)PaddedWidth * width);
        t0 = call.Lap(worker, ProfileStage.AttentionOutput, t0);
        T* xHat = call.X2Hat.Chunk(chunk);
        NormalizeAndTransform(LayerNorm2, FeedForward.Expand, m, Statistic(call, 2, chunk), Statistic(call, 3, chunk), v, v + PaddedWidth, xHat, width);
        FeedForward.Expand.Moments(FeedForward.Expand.TileColumns, xHat, MomentsAt(call, chunk, MomentLayout.Of(this).X2), width);
        call.Lap(worker, ProfileStage.LayerNorm2, t0);
    }

    private void HiddenRow(BlockCall<T> call, int item, int worker, ScratchArea<T> scratch)
    {
        (int chunk, int row) = Math.DivRem(item, FeedForward.Expand.TileRows);
        long t0 = call.Now(), start = RowOffset(call, row);
        int width = call.X.Width;
        MomentLayout layout = MomentLayout.Of(this);
        T* hidden = KeepsMost(call) ? call.Hidden.Chunk(chunk) + start : scratch.Take((long)FeedForward.Expand.Tile * width);
        T* moments = MomentsAt(call, chunk, layout.Hidden + (row * Moments));
        FeedForward.HiddenRow(row, Blocks(call, call.X2Hat, chunk, layout.X2), hidden, call.HiddenHat.Chunk(chunk) + start, moments, scratch);
        call.Lap(worker, ProfileStage.FeedForward, t0);
    }

    private void ResultRow(BlockCall<T> call, int item, int worker, ScratchArea<T> scratch)
    {
        (int chunk, int row) = Math.DivRem(item, FeedForward.Contract.TileRows);
        long t0 = call.Now();
        FeedForward.OutputRow(row, Blocks(call, call.HiddenHat, chunk, MomentLayout.Of(this).Hidden), call.Result.Chunk(chunk) + RowOffset(call, row), scratch);
        call.Lap(worker, ProfileStage.FeedForward, t0);
    }

    private void FinishResult(BlockCall<T> call, int chunk, int worker)
    {
        long t0 = call.Now();
        T* y = call.Result.Chunk(chunk);
        if (Drops(call)) Drop(call, DropoutSite.FeedForwardResidual, chunk, y);
        Elementwise.Add(y, call.Middle.Chunk(chunk), y, (long)PaddedWidth * call.X.Width);
        call.Look(call.Result, chunk);
        call.Lap(worker, ProfileStage.FeedForward, t0);
    }

    // A chunk of a panel in the coefficient domain, with its moments.
    private static HatBlocks<T> Blocks(BlockCall<T> call, Panel<T> hat, int chunk, int moments)
        => new(new ChunkBatch(1, call.X.Width, call.X.TokensIn(chunk)), new ChunkPointers<T>(hat.Chunk(chunk), 0), new ChunkPointers<T>(MomentsAt(call, chunk, moments), 0), default);

    private static T* MomentsAt(BlockCall<T> call, int chunk, int row) => call.MomentsOfInputs.Chunk(chunk) + ((long)row * call.X.Width);

    private long RowOffset(BlockCall<T> call, int row) => (long)row * Attention.Query.Tile * call.X.Width;
}
