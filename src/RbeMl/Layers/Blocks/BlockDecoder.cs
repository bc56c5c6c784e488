using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;
using static RbeMl.Layers.BlockPanel;

namespace RbeMl.Layers;

/// <summary>
/// Does the steps of a block for one new token each of a few sequences, as vectors. Panels would compute sixteen lanes; here weights are
/// read once and nothing is padded. Products are parallel loops over their tile rows. Results are those of the panels but for rounding, and
/// the same bits for any number of threads.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class BlockDecoder<T>(RbeTransformerBlock<T> block)
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>The most sequences that are decoded as vectors.</summary>
    public const int MostVectors = 4;

    // AttentionKernelSingle's limit.
    private const int LargestHeadWidth = 256;
    private readonly BlockLayout _layout = block.Layout;

    /// <summary>
    /// Whether it does such a call: one token each of a few sequences with a cache, no masks, dropout, weights or profile to return.
    /// </summary>
    public bool Takes(int batch, int length, ForwardOptions<T> options) =>
        typeof(T) == typeof(float) && length == 1 && batch <= MostVectors && block.Attention.HeadWidth <= LargestHeadWidth
        && options is { Cache: not null, PaddingMask: null, AdditiveMask: null }
        && options is { ReturnAttentionWeights: false, Profile: false, AllowNonFinite: false }
        && (options.Dropout is null || !block.HasDropout);

    /// <summary>Forward of panels of one lane a sequence.</summary>
    /// <exception cref="NonFiniteException">The output is NaN or infinite; the cache is as before.</exception>
    public void Run(Panel<T> x, Panel<T> y, int batch, LayerKvCache<T> cache, Workspace<T> workspace)
    {
        int width = _layout.PaddedWidth;
        T* from = workspace.Panel("block.decodeInput").Reshape(1, width, width).Pointer, to = from + ((long)MostVectors * width);
        for (int b = 0; b < batch; b++)
        {
            for (int f = 0; f < width; f++) from[((long)b * width) + f] = x.Pointer[((long)f * x.Lanes) + b];
        }

        Run(from, to, batch, cache, workspace);
        _layout.Reshape(Result, y, batch);
        y.Clear();
        for (int b = 0; b < batch; b++)
        {
            for (int f = 0; f < _layout.Width; f++) y.Pointer[((long)f * y.Lanes) + b] = to[((long)b * width) + f];
        }
    }

    /// <summary>
    /// Forward of one new token of each sequence, x -> y, both [batch][Dp] with zeros beyond the features; the cache grows by one.
    /// Arguments are checked.
    /// </summary>
    /// <exception cref="NonFiniteException">The output is NaN or infinite; the cache is as before.</exception>
    public void Run(T* x, T* y, int batch, LayerKvCache<T> cache, Workspace<T> workspace)
    {
        cache.Reserve(1);
        long scratch = 0;
        foreach (BlockMatrix matrix in BlockLayout.BackwardOrder)
        {
            RbeLinear<T> linear = block.Linears[(int)matrix];
            linear.PrepareVectors();
            scratch = Math.Max(scratch, linear.VectorScratch);
        }

        workspace.EnsureScratch(scratch + ScratchArea<T>.Size(_layout.Tile));
        DecodeState<T> call = workspace.State<DecodeState<T>>();
        call.Begin(_layout, x, y, batch, cache, workspace);
        block.DecodeNorms(call.NormVectors);
        new Span<T>(call[Att, 0], checked(batch * _layout.PaddedWidth)).Clear(); // attention writes no padding
        foreach (BlockStep step in block.Steps)
        {
            if (step.IsProduct || step.Operation == BlockOperation.Attend)
            {
                Work work = new(this, call, step);
                workspace.Workers.For(step.IsProduct ? _layout.Rows(step.To) / _layout.Tile : batch * _layout.Heads, ref work);
                continue;
            }

            for (int b = 0; b < batch; b++) Run(step, call, b);
        }

        RequireFinite(call);
        call.End();
        cache.Advance(block, 1);
    }

    // A step that is no product, of one vector.
    private void Run(in BlockStep step, DecodeState<T> call, int sequence)
    {
        T* x = call[step.From, sequence];
        if (step.Operation is BlockOperation.Normalize or BlockOperation.AddNormalized)
        {
            T* gamma = call.NormVectors + (step.From == Input ? 0 : 2L * _layout.PaddedWidth);
            block.NormOf(step.From).ApplyVector(x, gamma, gamma + _layout.PaddedWidth, call.Normal);
            new Span<T>(call.Normal + _layout.Width, _layout.PaddedWidth - _layout.Width).Clear();
            x = call.Normal;
        }

        if (step.Operation is BlockOperation.Add or BlockOperation.AddNormalized)
        {
            Elementwise.Add(call[step.To, sequence], x, call[step.To, sequence], _layout.PaddedWidth);
            return;
        }

        Transform(step.To, x, call[step.To, sequence], call.Moments(step.To, sequence), _layout.PaddedWidth / _layout.Tile);
    }

    // Some blocks of a panel of coefficients and, if one of the matrices that read it has alphas, their moments.
    private void Transform(BlockPanel coefficients, T* x, T* xCoefficients, T* moments, int blocks)
    {
        RbeLinear<T>[] readers = block.Readers(coefficients);
        readers[0].TransformVector(x, xCoefficients, blocks);
        if (Array.Find(readers, linear => linear.VectorMoments != 0) is { } reader) reader.VectorAlphaMoments(xCoefficients, moments, blocks);
    }

    // A tile row of a product, or a head.
    private void Run(in BlockStep step, DecodeState<T> call, int item, ScratchArea<T> scratch)
    {
        if (step.Operation == BlockOperation.Attend)
        {
            Attend(call, item / _layout.Heads, item % _layout.Heads);
            return;
        }

        RbeLinear<T>[] linears = block.Readers(step.From);
        (int m, int row) = Math.DivRem(item, linears[0].TileRows);
        T* hidden = step.Operation == BlockOperation.Expand ? scratch.Take(_layout.Tile) : null;
        for (int b = 0; b < call.Batch; b++)
        {
            T* y = call[step.To, b] + ((long)item * _layout.Tile);
            linears[m].VectorRow(row, call[step.From, b], call.Moments(step.From, b), hidden == null ? y : hidden, scratch);
            if (hidden == null) continue;
            block.FeedForward.Activate(hidden, hidden, _layout.Tile);
            Transform(step.To, hidden, y, call.Moments(step.To, b) + ((long)item * VectorAlpha.Entries), 1);
        }
    }

    // The new key and value go into the cache; then the query sees all that is there.
    private void Attend(DecodeState<T> call, int sequence, int head)
    {
        int d = block.Attention.HeadWidth, width = _layout.PaddedWidth;
        LayerKvCache<T> cache = call.Cache;
        T* q = call[Qkv, sequence] + ((long)head * d);
        cache.Write(sequence, head, cache.Length, q + width, q + (2L * width), block.Layer);
        KvRows keys = cache.Keys(sequence, head), values = cache.Values(sequence, head);
        T* statistics = stackalloc T[2];
        AttentionProblem<T> p = new()
        {
            HeadWidth = d,
            Queries = 1,
            Keys = cache.Length + 1,
            QueryStride = 1,
            KeyStride = cache.Stride,
            Scale = block.Attention.Scale,
            Q = q,
            K = (T*)keys.Codes,
            V = (T*)values.Codes,
            Output = call[Att, sequence] + ((long)head * d),
            RowStatistics = statistics,
        };
        if (cache.Format != KvFormat.F32) (p.CompressedK, p.CompressedV) = (keys, values);
        AttentionKernel.Forward(p);
    }

    private void RequireFinite(DecodeState<T> call)
    {
        long size = (long)call.Batch * _layout.PaddedWidth;
        if (FiniteSearch.AllFinite(call[Result, 0], size) && FiniteSearch.AllFinite(call[Qkv, 0], 3 * size)) return;
        NonFiniteException? error = Find(Input, $"{block.Name}: input", "value", NonFinite.InputMend)
            ?? Find(Result, block.Name, "its output is", NonFinite.Mend)
            ?? Find(Qkv, block.Name, "its queries, keys or values are", NonFinite.Mend);
        if (error is not null) throw error;

        NonFiniteException? Find(BlockPanel panel, string where, string what, string mend)
        {
            int width = _layout.Rows(panel);
            for (int i = 0; i < call.Batch * width; i++)
            {
                T value = call[panel, 0][i];
                if (T.IsFinite(value)) continue;
                return new NonFiniteException(
                    where, FormattableString.Invariant($"{what} {value} at sequence {i / width}, feature {i % width}. {mend}"));
            }

            return null;
        }
    }

    private readonly struct Work(BlockDecoder<T> decoder, DecodeState<T> call, BlockStep step) : IParallelWork
    {
        public void Execute(int item, int worker) => decoder.Run(step, call, item, call.Workspace.Scratch(worker));
    }
}
