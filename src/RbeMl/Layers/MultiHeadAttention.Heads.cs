using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <content>
/// Attention of one head of one sequence, or of a part of its queries or keys: parts may run on different threads, and give the same bits. Heads are
/// worked on where they lie in the panels if their sequence starts a chunk, else on copies; keys and values in a cache are read there.
/// </content>
public sealed unsafe partial class MultiHeadAttention<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Block = 64, LaneStep = Panel<T>.LaneStep;

    /// <summary>
    /// Parts that each head is divided into, so that few long sequences keep all threads at work. A divided backward takes 7 products where
    /// an undivided one takes 5. The plain kernels of other types are not divided.
    /// </summary>
    internal static int Parts(int heads, int queries, int threads, bool backward)
    {
        bool idle = backward ? 3 * heads <= 2 * threads : heads < threads;
        return idle && typeof(T) == typeof(float) ? Math.Min((queries + Block - 1) / Block, 4 * threads / heads) : 1;
    }

    /// <summary>Scratch elements that one head of one sequence, or of one of the documents that share it, takes at most.</summary>
    internal long HeadScratch(int batch, int queries, int past, bool backward, LayerKvCache<T>? cache, bool documents)
    {
        int keys = past + queries;
        if (cache is null && !documents && (batch == 1 || queries % Panel<T>.WideLanes == 0)) return 0;
        long query = ScratchArea<T>.Size((long)HeadWidth * Panel<T>.RoundUp(queries, 16)),
            key = ScratchArea<T>.Size((long)HeadWidth * Panel<T>.RoundUp(keys, 16));
        if (backward) return 4 * (query + key);
        return 2 * (cache is null ? query + key : query + ScratchArea<T>.Size((long)HeadWidth * Block));
    }

    /// <summary>Appends keys and values of a head to the cache.</summary>
    internal void HeadAppend(in HeadCall call, Panel<T> qkv, LayerKvCache<T> cache) => cache.Write(
        call.Sequence, call.Head, call.Past, qkv, PaddedWidth + (call.Head * HeadWidth), (2 * PaddedWidth) + (call.Head * HeadWidth), call.First,
        call.Tokens, call.Layer);

    /// <summary>qkv panel -> att panel and row statistics. With a cache, keys and values were appended to it.</summary>
    internal void HeadForward(in HeadCall call, HeadPart part, Panel<T> qkv, Panel<T> att, T* rowStatistics, ForwardOptions<T> options,
        T* weights, ScratchArea<T> scratch)
    {
        AttentionProblem<T> p = Problem(call, rowStatistics);
        LayerKvCache<T>? cache = options.Cache;
        bool inPlace = IsInPlace(call, qkv, cache);
        (p.FirstQuery, p.EndQuery) = Range(part, 0, call.Tokens);
        if (p.FirstQuery == p.EndQuery) return; // a document shorter than those that are divided
        if (inPlace)
        {
            SetPanels(ref p, qkv, att);
            p.Q = Rows(qkv, call, 0);
            p.K = Rows(qkv, call, PaddedWidth);
            p.V = Rows(qkv, call, 2 * PaddedWidth);
            p.Output = Rows(att, call, 0);
        }
        else
        {
            p.Q = Load(qkv, call.Head * HeadWidth, call, ref scratch);
            p.Output = scratch.Take((long)HeadWidth * p.QueryStride);
        }

        if (cache is not null)
        {
            KvRows keyRows = cache.Keys(call.Sequence, call.Head), valueRows = cache.Values(call.Sequence, call.Head);
            p.KeyStride = cache.Stride;
            if (cache.Format == KvFormat.F32)
            {
                p.K = (T*)keyRows.Codes;
                p.V = (T*)valueRows.Codes;
            }
            else
            {
                (p.CompressedK, p.CompressedV) = (keyRows, valueRows);
                p.Tiles = scratch.Take(2L * HeadWidth * Block);
            }
        }
        else if (!inPlace)
        {
            p.K = Load(qkv, PaddedWidth + (call.Head * HeadWidth), call, ref scratch);
            p.V = Load(qkv, (2 * PaddedWidth) + (call.Head * HeadWidth), call, ref scratch);
        }

        p.Weights = weights == null ? null : weights + ((long)call.Sequence * Heads + call.Head) * p.Queries * p.Keys;
        fixed (byte* given = options.PaddingMask)
        fixed (T* additive = options.AdditiveMask)
        {
            SetMasks(ref p, call, options.Padding == null ? given : options.Padding, additive, options);
            AttentionKernel.Forward(p);
        }

        if (!inPlace)
        {
            PanelRows.Scatter(p.Output + p.FirstQuery, p.QueryStride, att, call.Head * HeadWidth, HeadWidth, call.First + p.FirstQuery,
                p.EndQuery - p.FirstQuery);
        }
    }

    /// <summary>Gradient of att -> gradient of qkv: all of it, or that of a part of the queries, or that of a part of the keys and values.</summary>
    internal void HeadBackward(
        in HeadCall call, HeadPart part, AttentionGradients which, Panel<T> qkv, Panel<T> att, Panel<T> dAtt, Panel<T> dQkv, T* rowStatistics,
        ForwardOptions<T> options, ScratchArea<T> scratch)
    {
        AttentionProblem<T> p = Problem(call, rowStatistics);
        bool inPlace = IsInPlace(call, qkv, options.Cache);
        p.Gradients = which;
        if (which == AttentionGradients.Queries) (p.FirstQuery, p.EndQuery) = Range(part, 0, p.Queries);
        if (which == AttentionGradients.KeysAndValues) (p.FirstKey, p.EndKey) = Range(part, call.Past / Block, p.Keys);
        if (which == AttentionGradients.Queries ? p.FirstQuery == p.EndQuery : which == AttentionGradients.KeysAndValues && p.FirstKey == p.EndKey) return;
        if (inPlace)
        {
            SetPanels(ref p, qkv, att);
            p.Q = Rows(qkv, call, 0);
            p.K = Rows(qkv, call, PaddedWidth);
            p.V = Rows(qkv, call, 2 * PaddedWidth);
            p.QGradient = Rows(dQkv, call, 0);
            p.KGradient = Rows(dQkv, call, PaddedWidth);
            p.VGradient = Rows(dQkv, call, 2 * PaddedWidth);
            p.Output = Rows(att, call, 0);
            p.OutputGradient = Rows(dAtt, call, 0);
        }
        else
        {
            p.Q = Load(qkv, call.Head * HeadWidth, call, ref scratch);
            p.Output = Load(att, call.Head * HeadWidth, call, ref scratch);
            p.OutputGradient = Load(dAtt, call.Head * HeadWidth, call, ref scratch);
            p.QGradient = scratch.Take((long)HeadWidth * p.QueryStride);
            p.K = LoadKeys(call, qkv, PaddedWidth, options.Cache, options.Cache?.Keys(call.Sequence, call.Head) ?? default, p.KeyStride, ref scratch);
            p.V = LoadKeys(call, qkv, 2 * PaddedWidth, options.Cache, options.Cache?.Values(call.Sequence, call.Head) ?? default, p.KeyStride, ref scratch);
            p.KGradient = scratch.Take((long)HeadWidth * p.KeyStride);
            p.VGradient = scratch.Take((long)HeadWidth * p.KeyStride);
        }

        fixed (byte* given = options.PaddingMask)
        fixed (T* additive = options.AdditiveMask)
        {
            SetMasks(ref p, call, options.Padding == null ? given : options.Padding, additive, options);
            AttentionKernel.Backward(p);
        }

        if (!inPlace) ScatterGradients(call, p, dQkv);
    }

    // A sequence that starts a chunk has its heads there in rows of the chunk's width, and, if longer, its next 64 tokens in the next chunk.
    private static bool IsInPlace(in HeadCall call, Panel<T> panel, LayerKvCache<T>? cache) =>
        cache is null && call.First % panel.Lanes == 0 && (call.Tokens % panel.Lanes == 0 || call.IsLast);

    private static void SetPanels(ref AttentionProblem<T> p, Panel<T> qkv, Panel<T> att) =>
        (p.QueryStride, p.KeyStride, p.QueryBlock, p.KeyBlock, p.OutputBlock) = (qkv.Lanes, qkv.Lanes, qkv.ChunkStride, qkv.ChunkStride, att.ChunkStride);

    // Tokens of a part: whole blocks of 64 from the first one on.
    private static (int First, int End) Range(HeadPart part, int firstBlock, int tokens)
    {
        int blocks = ((tokens + Block - 1) / Block) - firstBlock;
        int Start(int index) => Math.Min(tokens, (int)(firstBlock + ((long)blocks * index / part.Count)) * Block);
        return (Start(part.Index), Start(part.Index + 1));
    }

    private AttentionProblem<T> Problem(in HeadCall call, T* rowStatistics)
    {
        int stride = Panel<T>.RoundUp(call.Tokens, 16), row = Panel<T>.RoundUp(call.Length, 16);
        return new()
        {
            HeadWidth = HeadWidth,
            Queries = call.Tokens,
            Keys = call.Past + call.Tokens,
            QueryStride = stride,
            KeyStride = Panel<T>.RoundUp(call.Past + call.Tokens, 16),
            StatisticsStride = row,
            RowStatistics = rowStatistics + (((long)call.Sequence * Heads + call.Head) * 2 * row) + call.Offset,
            Causal = _causal,
            Scale = Scale,
        };
    }

    private T* Rows(Panel<T> panel, in HeadCall call, int firstFeature) =>
        panel.Chunk(call.First / panel.Lanes) + ((long)firstFeature + (call.Head * HeadWidth)) * panel.Lanes;

    private void SetMasks(ref AttentionProblem<T> p, in HeadCall call, byte* padding, T* additive, ForwardOptions<T> options)
    {
        p.KeyPadding = padding == null ? null : padding + (long)call.Sequence * p.Keys;
        p.AdditiveMask = additive == null ? null : additive + (long)call.Sequence * p.Queries * p.Keys;
        if (options.Dropout is not { } stream || call.Dropout == 0) return;
        p.Dropout = call.Dropout;
        p.DropoutKey = stream.Key(call.Layer, DropoutSite.Attention);
        p.DropoutRow = ((((long)options.FirstSequence + call.Sequence) * Heads + call.Head) * call.Length) + call.Offset;
    }

    private T* Load(Panel<T> panel, int feature, in HeadCall call, ref ScratchArea<T> scratch)
    {
        int stride = Panel<T>.RoundUp(call.Tokens, 16);
        T* target = scratch.Take((long)HeadWidth * stride);
        for (int f = 1; f <= HeadWidth && stride != call.Tokens; f++) new Span<T>(target + ((long)f * stride) - LaneStep, LaneStep).Clear();
        PanelRows.Gather(panel, feature, HeadWidth, call.First, call.Tokens, target, stride);
        return target;
    }

    private T* LoadKeys(in HeadCall call, Panel<T> qkv, int part, LayerKvCache<T>? cache, in KvRows rows, int stride, ref ScratchArea<T> scratch)
    {
        if (cache is null) return Load(qkv, part + (call.Head * HeadWidth), call, ref scratch);
        T* target = scratch.Take((long)HeadWidth * stride);
        cache.Read(rows, call.Past + call.Tokens, target, stride);
        return target;
    }

    // Past keys and values are constants: only this call's columns have a gradient to pass on.
    private void ScatterGradients(in HeadCall call, in AttentionProblem<T> p, Panel<T> dQkv)
    {
        int feature = call.Head * HeadWidth, query = p.FirstQuery, queries = (p.EndQuery == 0 ? p.Queries : p.EndQuery) - query;
        int key = Math.Max(p.FirstKey, call.Past), keys = (p.EndKey == 0 ? p.Keys : p.EndKey) - key, token = call.First + key - call.Past;
        if (p.Gradients != AttentionGradients.KeysAndValues)
        {
            PanelRows.Scatter(p.QGradient + query, p.QueryStride, dQkv, feature, HeadWidth, call.First + query, queries);
        }

        if (p.Gradients == AttentionGradients.Queries || keys <= 0) return;
        PanelRows.Scatter(p.KGradient + key, p.KeyStride, dQkv, PaddedWidth + feature, HeadWidth, token, keys);
        PanelRows.Scatter(p.VGradient + key, p.KeyStride, dQkv, (2 * PaddedWidth) + feature, HeadWidth, token, keys);
    }

    /// <summary>
    /// Names one head of one sequence in a call, or of a document that shares it with others: from token Offset of the Length there are. The last ends its
    /// panel.
    /// </summary>
    internal readonly record struct HeadCall(int Sequence, int Head, int Offset, int Tokens, int Length, int Past, int Layer, float Dropout, bool IsLast)
    {
        /// <summary>Its first token in the panels.</summary>
        public int First => (Sequence * Length) + Offset;
    }

    /// <summary>One of equal parts of a head's queries or keys.</summary>
    internal readonly record struct HeadPart(int Index, int Count);
}
