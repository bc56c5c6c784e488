using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <content>
/// Generation: one new token each of a few sequences, as vectors. Panels would compute sixteen lanes; here weights are read once and nothing is padded. Each matrix
/// is a parallel loop over its tile rows. Results are those of the panels but for rounding, and the same bits for any number of threads.
/// </content>
public sealed unsafe partial class RbeTransformerBlock<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>The most sequences that are decoded as vectors.</summary>
    internal const int MostVectors = 4;

    // AttentionKernelSingle's limit.
    private const int LargestHeadWidth = 256;

    private enum DecodeStage
    {
        Project,
        Attend,
        Output,
        Expand,
        Contract,
    }

    private readonly struct DecodeWork(RbeTransformerBlock<T> block, DecodeCall<T> call, DecodeStage stage, Workspace<T> workspace) : IParallelWork
    {
        public void Execute(int item, int worker) => block.Run(stage, call, item, workspace.Scratch(worker));
    }

    /// <summary>Whether <see cref="Decode"/> does such a call: one token each of a few sequences with a cache, no masks, dropout, weights or profile to return.</summary>
    internal bool DecodesVectors(int batch, int length, ForwardOptions<T> options) =>
        typeof(T) == typeof(float) && length == 1 && batch <= MostVectors && _config.HeadWidth <= LargestHeadWidth
        && options is { Cache: not null, PaddingMask: null, AdditiveMask: null, ReturnAttentionWeights: false, Profile: false, AllowNonFinite: false }
        && (options.Dropout is null || (_config.Dropout == 0 && AttentionDropout == 0));

    /// <summary>Forward of one new token of each sequence, x -> y, both [batch][Dp] with zeros beyond the features; the cache grows by one. Arguments are checked.</summary>
    /// <exception cref="NonFiniteException">The output is NaN or infinite; the cache is as before.</exception>
    internal void Decode(T* x, T* y, int batch, LayerKvCache<T> cache, Workspace<T> workspace)
    {
        cache.Reserve(1);
        RbeLinear<T>[] inputs = Attention.Inputs;
        RbeLinear<T> output = Attention.Output, expand = FeedForward.Expand, contract = FeedForward.Contract;
        foreach (RbeLinear<T> linear in inputs) linear.PrepareVectors();
        output.PrepareVectors();
        expand.PrepareVectors();
        contract.PrepareVectors();
        DecodeCall<T> call = workspace.Decode();
        call.Begin(x, y, batch, cache, PaddedWidth, FeedForward.PaddedHidden, Attention.Query.TileColumns * VectorAlpha.Entries, contract.TileColumns * VectorAlpha.Entries);
        T* vectors = call.LayerNormVectors;
        LayerNorm1.Gamma.Decode(vectors);
        LayerNorm1.Beta.Decode(vectors + PaddedWidth);
        LayerNorm2.Gamma.Decode(vectors + (2L * PaddedWidth));
        LayerNorm2.Beta.Decode(vectors + (3L * PaddedWidth));
        new Span<T>(call.Att, checked(batch * PaddedWidth)).Clear();
        long scratch = Math.Max(output.VectorScratch, Math.Max(expand.VectorScratch, contract.VectorScratch));
        foreach (RbeLinear<T> linear in inputs) scratch = Math.Max(scratch, linear.VectorScratch);
        workspace.EnsureScratch(scratch + ScratchArea<T>.Size(Attention.Query.Tile));

        NormalizeVectors(LayerNorm1, vectors, x, call, inputs);
        Loop(DecodeStage.Project, 3 * PaddedWidth / Attention.Query.Tile);
        Loop(DecodeStage.Attend, batch * _config.Heads);
        TransformVectors(call.Att, call, output);
        Loop(DecodeStage.Output, output.TileRows);
        NormalizeVectors(LayerNorm2, vectors + (2L * PaddedWidth), call.Middle, call, expand);
        Loop(DecodeStage.Expand, expand.TileRows);
        Loop(DecodeStage.Contract, contract.TileRows);
        RequireFinite(call);
        call.End();
        cache.Advance(this, 1);

        void Loop(DecodeStage stage, int items)
        {
            DecodeWork work = new(this, call, stage, workspace);
            workspace.Team.For(items, ref work);
        }
    }

    // The panel form of the same: its lanes are few.
    private void DecodePanels(Panel<T> x, Panel<T> y, int batch, LayerKvCache<T> cache, Workspace<T> workspace)
    {
        T* from = workspace.Panel("block.decodeInput").Reshape(1, PaddedWidth, PaddedWidth).Pointer, to = from + ((long)MostVectors * PaddedWidth);
        for (int b = 0; b < batch; b++)
        {
            for (int f = 0; f < PaddedWidth; f++) from[((long)b * PaddedWidth) + f] = x.Pointer[((long)f * x.Width) + b];
        }

        Decode(from, to, batch, cache, workspace);
        y.Reshape(batch, Width, PaddedWidth);
        y.Clear();
        for (int b = 0; b < batch; b++)
        {
            for (int f = 0; f < Width; f++) y.Pointer[((long)f * y.Width) + b] = to[((long)b * PaddedWidth) + f];
        }
    }

    private void Run(DecodeStage stage, DecodeCall<T> call, int item, ScratchArea<T> scratch)
    {
        int tile = Attention.Query.Tile;
        long width = PaddedWidth, start = (long)item * tile;
        switch (stage)
        {
            case DecodeStage.Attend:
                AttendVector(call, item / _config.Heads, item % _config.Heads);
                return;
            case DecodeStage.Project:
                (int which, int row) = Math.DivRem(item, Attention.Query.TileRows);
                for (int b = 0; b < call.Batch; b++) Attention.Inputs[which].VectorRow(row, call.Hat + (b * width), Moments(b), call.Qkv + (b * 3 * width) + start, scratch);
                return;
            case DecodeStage.Output:
                for (int b = 0; b < call.Batch; b++)
                {
                    T* m = call.Middle + (b * width) + start;
                    Attention.Output.VectorRow(item, call.Hat + (b * width), Moments(b), m, scratch);
                    Elementwise.Add(m, call.X + (b * width) + start, m, tile);
                }

                return;
            case DecodeStage.Expand:
                T* hidden = scratch.Take(tile);
                for (int b = 0; b < call.Batch; b++)
                {
                    FeedForward.Expand.VectorRow(item, call.Hat + (b * width), Moments(b), hidden, scratch);
                    GeluKernel.Forward(_config.Gelu, hidden, hidden, tile);
                    T* hat = call.HiddenHat + ((long)b * FeedForward.PaddedHidden) + start;
                    FeedForward.Contract.TransformVector(hidden, hat, 1);
                    FeedForward.Contract.VectorMomentsOf(hat, HiddenMoments(b) + ((long)item * VectorAlpha.Entries), 1);
                }

                return;
            default:
                for (int b = 0; b < call.Batch; b++)
                {
                    T* y = call.Y + (b * width) + start;
                    FeedForward.Contract.VectorRow(item, call.HiddenHat + ((long)b * FeedForward.PaddedHidden), HiddenMoments(b), y, scratch);
                    Elementwise.Add(y, call.Middle + (b * width) + start, y, tile);
                }

                return;
        }

        T* Moments(int b) => call.Moments + ((long)b * Attention.Query.TileColumns * VectorAlpha.Entries);
        T* HiddenMoments(int b) => call.HiddenMoments + ((long)b * FeedForward.Contract.TileColumns * VectorAlpha.Entries);
    }

    // The new key and value go into the cache; then the query sees all that is there.
    private void AttendVector(DecodeCall<T> call, int sequence, int head)
    {
        int d = _config.HeadWidth;
        LayerKvCache<T> cache = call.Cache;
        T* q = call.Qkv + (sequence * 3L * PaddedWidth) + ((long)head * d);
        cache.Write(sequence, head, cache.Length, q + PaddedWidth, q + (2L * PaddedWidth), Layer);
        KvRows keys = cache.Keys(sequence, head), values = cache.Values(sequence, head);
        T* statistics = stackalloc T[2];
        AttentionProblem<T> p = new()
        {
            HeadWidth = d,
            Queries = 1,
            Keys = cache.Length + 1,
            QueryStride = 1,
            KeyStride = cache.Stride,
            Scale = Attention.Scale,
            Q = q,
            K = (T*)keys.Codes,
            V = (T*)values.Codes,
            Output = call.Att + ((long)sequence * PaddedWidth) + ((long)head * d),
            RowStatistics = statistics,
        };
        if (cache.Format != KvFormat.F32) (p.CompressedK, p.CompressedV) = (keys, values);
        AttentionKernel.Forward(p);
    }

    private void NormalizeVectors(LayerNorm<T> norm, T* vectors, T* x, DecodeCall<T> call, params ReadOnlySpan<RbeLinear<T>> linears)
    {
        for (int b = 0; b < call.Batch; b++)
        {
            T* normal = call.Normal + ((long)b * PaddedWidth);
            norm.ApplyVector(x + ((long)b * PaddedWidth), vectors, vectors + PaddedWidth, normal);
            new Span<T>(normal + Width, PaddedWidth - Width).Clear();
        }

        TransformVectors(call.Normal, call, linears);
    }

    // x -> its hat and, if one of the matrices has alphas, the moments; all have the same tile and transform.
    private void TransformVectors(T* x, DecodeCall<T> call, params ReadOnlySpan<RbeLinear<T>> linears)
    {
        int blocks = call.Batch * linears[0].TileColumns;
        linears[0].TransformVector(x, call.Hat, blocks);
        foreach (RbeLinear<T> linear in linears)
        {
            if (linear.VectorMoments == 0) continue;
            linear.VectorMomentsOf(call.Hat, call.Moments, blocks);
            return;
        }
    }
}
