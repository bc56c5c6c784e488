using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <content>
/// The stages of a call. Forward: chunks (LN1, projections), heads (attention), chunks (output, LN2, feed-forward). Backward: chunks, heads, chunks, then
/// tile rows of the weight gradients and the sums of the vectors' gradients. Each stage is one parallel loop; with fewer chunks than threads the forward's chunks
/// are divided into tile rows.
/// </content>
public sealed unsafe partial class RbeTransformerBlock<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private enum Stage
    {
        Project,
        Append,
        Attend,
        Finish,
        ProjectInput,
        ProjectRow,
        OutputInput,
        OutputRow,
        Middle,
        HiddenRow,
        ResultRow,
        Result,
        RecomputeHidden,
        BackwardFeedForward,
        BackwardAttend,
        BackwardProject,
        WeightGradients,
    }

    private readonly struct Work(RbeTransformerBlock<T> block, BlockCall<T> call, Stage stage) : IParallelWork
    {
        public void Execute(int item, int worker) => block.Run(stage, call, item, worker);
    }

    // Rows of a chunk's partial sums: contract bias, gamma2, beta2, expand bias, output bias, q/k/v biases, gamma1, beta1.
    private int PartialRows => 9 * Width + _config.HiddenWidth;

    // Chunks that a thread works on together: a tile of a frozen base is decoded for all of them. More would not stay in its cache.
    private int MostTogether { get; }

    private long ChunkScratch(int together) => ScratchArea<T>.Size(Panel<T>.WideWidth * (2L * PaddedWidth + (together * (PaddedWidth + ((long)Moments * Attention.Query.TileColumns)))))
        + Math.Max(FeedForward.ScratchElements(together), Attention.ScratchElements(together)) + 64;

    private int TogetherFor(int chunks, int threads) => Math.Min(MostTogether, (chunks + threads - 1) / threads);

    private void PrepareForward(BlockCall<T> call)
    {
        int tokens = call.X.Tokens;
        call.Qkv.Reshape(tokens, 3 * PaddedWidth, 3 * PaddedWidth);
        call.Att.Reshape(tokens, Width, PaddedWidth, clear: IsPadded(call));
        call.Middle.Reshape(tokens, Width, PaddedWidth);
        call.Result.Reshape(tokens, Width, PaddedWidth);
        call.Statistics.Ensure(StatisticsElements(tokens));
        call.RowStatistics.Ensure(RowStatisticsElements(call.Batch, call.Length));
        bool divided = IsDivided(call);
        if (divided || KeepsMost(call))
        {
            call.X1Hat.Reshape(tokens, PaddedWidth, PaddedWidth);
            call.X2Hat.Reshape(tokens, PaddedWidth, PaddedWidth);
        }

        if (KeepsMost(call)) call.Hidden.Reshape(tokens, FeedForward.PaddedHidden, FeedForward.PaddedHidden);
        if (divided) call.MomentsOfInputs.Reshape(tokens, MomentLayout.Of(this).Inputs, MomentLayout.Of(this).Inputs);
        if (divided || call.Keep is CheckpointPolicy.None)
        {
            call.AttHat.Reshape(tokens, PaddedWidth, PaddedWidth);
            call.HiddenHat.Reshape(tokens, FeedForward.PaddedHidden, FeedForward.PaddedHidden);
        }

        DecodeLayerNorms(call);
        call.Together = TogetherFor(call.X.Chunks, call.Workspace.Team.Threads);
        call.Workspace.EnsureScratch(Math.Max(ChunkScratch(call.Together), Attention.HeadScratch(call.Batch, call.Length, call.Past, backward: false, call.Options.Cache)));
    }

    private void RunForward(BlockCall<T> call)
    {
        ProjectAll(call);
        AttendAll(call);
        FinishAll(call);
    }

    private static int Groups(BlockCall<T> call) => (call.X.Chunks + call.Together - 1) / call.Together;

    private void PrepareBackward(BlockCall<T> call)
    {
        int tokens = call.X.Tokens, hidden = FeedForward.PaddedHidden;
        call.Result.Reshape(tokens, Width, PaddedWidth);
        call.ContractHat.Reshape(tokens, PaddedWidth, PaddedWidth);
        call.ExpandHat.Reshape(tokens, hidden, hidden);
        call.OutputHat.Reshape(tokens, PaddedWidth, PaddedWidth);
        call.QkvGradient.Reshape(tokens, 3 * PaddedWidth, 3 * PaddedWidth, clear: IsPadded(call));
        call.AttGradient.Reshape(tokens, PaddedWidth, PaddedWidth);
        call.MiddleGradient.Reshape(tokens, Width, PaddedWidth);
        int inputs = MomentLayout.Of(this).Inputs, outputs = MomentLayout.Of(this).Outputs;
        call.MomentsOfInputs.Reshape(tokens, inputs, inputs);
        call.MomentsOfGradients.Reshape(tokens, outputs, outputs);
        call.PartialSums.Ensure((long)call.X.Chunks * PartialRows);
        if (call.Keep is CheckpointPolicy.Full)
        {
            call.X1Hat.Reshape(tokens, PaddedWidth, PaddedWidth);
            call.Qkv.Reshape(tokens, 3 * PaddedWidth, 3 * PaddedWidth);
            call.Att.Reshape(tokens, Width, PaddedWidth, clear: IsPadded(call));
            call.X2Hat.Reshape(tokens, PaddedWidth, PaddedWidth);
            call.Hidden.Reshape(tokens, hidden, hidden);
            call.Statistics.Ensure(StatisticsElements(tokens));
            call.RowStatistics.Ensure(RowStatisticsElements(call.Batch, call.Length));
        }

        if (call.Keep is not CheckpointPolicy.None)
        {
            call.AttHat.Reshape(tokens, PaddedWidth, PaddedWidth);
            call.HiddenHat.Reshape(tokens, hidden, hidden);
        }

        DecodeLayerNorms(call);
        call.Together = TogetherFor(call.X.Chunks, call.Workspace.Team.Threads);
        call.Workspace.EnsureScratch(Math.Max(ChunkScratch(call.Together), Attention.HeadScratch(call.Batch, call.Length, call.Past, backward: true, call.Options.Cache)));
    }

    // The forward once more, in the form that saves; the two last products of the halves are not needed again.
    private void Recompute(BlockCall<T> call)
    {
        ProjectAll(call);
        AttendAll(call);
        Loop(call, Stage.RecomputeHidden, call.X.Chunks);
    }

    private void RunBackward(BlockCall<T> call)
    {
        Loop(call, Stage.BackwardFeedForward, call.X.Chunks);
        int heads = checked(call.Batch * _config.Heads);
        call.Parts = MultiHeadAttention<T>.Parts(heads, call.Length, call.Workspace.Team.Threads, backward: true);
        Loop(call, Stage.BackwardAttend, call.Parts == 1 ? heads : 2 * heads * call.Parts);
        Loop(call, Stage.BackwardProject, call.X.Chunks);
        Loop(call, Stage.WeightGradients, 4 * Attention.Query.TileRows + FeedForward.Expand.TileRows + FeedForward.Contract.TileRows);
        AddVectorGradients(call);
    }

    // Parts of a head need its keys and values in the cache before any of them starts.
    private void AttendAll(BlockCall<T> call)
    {
        int heads = checked(call.Batch * _config.Heads);
        call.Parts = MultiHeadAttention<T>.Parts(heads, call.Length, call.Workspace.Team.Threads, backward: false);
        if (call.Options.Cache is not null && call.Parts > 1) Loop(call, Stage.Append, heads);
        Loop(call, Stage.Attend, heads * call.Parts);
    }

    private void Loop(BlockCall<T> call, Stage stage, int items)
    {
        Work work = new(this, call, stage);
        call.Workspace.Team.For(items, ref work);
    }

    private void Run(Stage stage, BlockCall<T> call, int item, int worker)
    {
        ScratchArea<T> scratch = call.Workspace.Scratch(worker);
        switch (stage)
        {
            case Stage.Project: Project(call, item, worker, scratch); break;
            case Stage.Append: Attention.HeadAppend(HeadOf(call, item), call.Qkv, call.Options.Cache!); break;
            case Stage.Attend: Attend(call, item, worker, scratch); break;
            case Stage.Finish: Finish(call, item, worker, scratch); break;
            case Stage.ProjectInput: ProjectInput(call, item, worker); break;
            case Stage.ProjectRow: ProjectRow(call, item, worker, scratch); break;
            case Stage.OutputInput: OutputInput(call, item, worker); break;
            case Stage.OutputRow: OutputRow(call, item, worker, scratch); break;
            case Stage.Middle: FinishMiddle(call, item, worker); break;
            case Stage.HiddenRow: HiddenRow(call, item, worker, scratch); break;
            case Stage.ResultRow: ResultRow(call, item, worker, scratch); break;
            case Stage.Result: FinishResult(call, item, worker); break;
            case Stage.RecomputeHidden: RecomputeHidden(call, item, worker, scratch); break;
            case Stage.BackwardFeedForward: BackwardFeedForward(call, item, worker, scratch); break;
            case Stage.BackwardAttend: BackwardAttend(call, item, worker, scratch); break;
            case Stage.BackwardProject: BackwardProject(call, item, worker, scratch); break;
            default: WeightGradients(call, item, worker); break;
        }
    }

    // Whether attention, which writes the features and tokens there are, leaves rows or lanes of its panels unwritten.
    private bool IsPadded(BlockCall<T> call) => PaddedWidth != Width || call.X.Tokens % call.X.Width != 0;

    private static bool KeepsMost(BlockCall<T> call) => call.Keep is CheckpointPolicy.None or CheckpointPolicy.Selective;

    private void DecodeLayerNorms(BlockCall<T> call)
    {
        T* v = call.LayerNormVectors.Ensure(4L * PaddedWidth);
        LayerNorm1.Gamma.Decode(v);
        LayerNorm1.Beta.Decode(v + PaddedWidth);
        LayerNorm2.Gamma.Decode(v + 2L * PaddedWidth);
        LayerNorm2.Beta.Decode(v + 3L * PaddedWidth);
    }

    // Mean (which = 0, 2) or 1 / deviation (1, 3) of LN1 and LN2 of a chunk.
    private static T* Statistic(BlockCall<T> call, int which, int chunk) => call.Statistics.Pointer + ((long)which * call.X.Chunks + chunk) * call.X.Width;

    private MultiHeadAttention<T>.HeadCall HeadOf(BlockCall<T> call, int item) => new(item / _config.Heads, item % _config.Heads, call.Length, call.Past, Layer, AttentionDropout, (item / _config.Heads) + 1 == call.Batch);

    private bool Drops(BlockCall<T> call) => call.Options.Dropout is not null && _config.Dropout > 0;

    private void Drop(BlockCall<T> call, DropoutSite site, int chunk, T* block) =>
        DropoutKernel.Apply(call.Options.Dropout!.Value.Key(Layer, site), _config.Dropout, block, 0, Width, ((long)call.Options.FirstSequence * call.Length) + ((long)chunk * call.X.Width), call.X.Width);

    // LN of a chunk into its transform: block by block through one scratch tile (fused), or by way of the whole normalised chunk.
    private void NormalizeAndTransform(LayerNorm<T> norm, RbeLinear<T> linear, T* x, T* mean, T* rstd, T* gamma, T* beta, T* xHat, int width)
    {
        norm.Statistics(x, mean, rstd, width);
        long block = (long)linear.Tile * width;
        if (!FuseLayerNorm)
        {
            for (int j = 0; j < linear.TileColumns; j++) norm.ApplyBlock(x, mean, rstd, gamma, beta, j * linear.Tile, linear.Tile, xHat + j * block, width);
            linear.TransformBlocks(linear.TileColumns, xHat, xHat, width);
            return;
        }

        for (int j = 0; j < linear.TileColumns; j++)
        {
            norm.ApplyBlock(x, mean, rstd, gamma, beta, j * linear.Tile, linear.Tile, xHat + j * block, width);
            linear.TransformBlocks(1, xHat + j * block, xHat + j * block, width);
        }
    }
}
