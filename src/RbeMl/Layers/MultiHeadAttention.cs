using System.Numerics;
using RbeMl.Codec;
using RbeMl.Kernels;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// Multi-head self-attention with compressed query, key, value and output matrices, all D x D. The projections work on chunks of tokens,
/// attention itself on one head of one sequence.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class MultiHeadAttention<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Moments = BasisFunctions.FactorCount;
    private readonly bool _causal;

    /// <summary>Groups the four matrices.</summary>
    /// <exception cref="ShapeMismatchException">A matrix is not D x D, or D is not a multiple of the heads.</exception>
    public MultiHeadAttention(RbeLinear<T> query, RbeLinear<T> key, RbeLinear<T> value, RbeLinear<T> output, int heads, bool causal)
    {
        int d = query.Inputs;
        foreach (RbeLinear<T> linear in (RbeLinear<T>[])[query, key, value, output])
        {
            if (linear.Inputs != d || linear.Outputs != d) throw new ShapeMismatchException(linear.Name, $"[{d}, {d}]", $"[{linear.Outputs}, {linear.Inputs}]", "The four matrices of attention are all D x D.");
        }

        if (d % heads != 0) throw new InvalidSettingException(nameof(heads), heads, $"the width {d} must be a multiple of it.");
        (Query, Key, Value, Output, Heads, _causal) = (query, key, value, output, heads, causal);
        Inputs = [query, key, value];
    }

    /// <summary>Query matrix.</summary>
    public RbeLinear<T> Query { get; }

    /// <summary>Key matrix.</summary>
    public RbeLinear<T> Key { get; }

    /// <summary>Value matrix.</summary>
    public RbeLinear<T> Value { get; }

    /// <summary>Output matrix.</summary>
    public RbeLinear<T> Output { get; }

    /// <summary>H.</summary>
    public int Heads { get; }

    /// <summary>D.</summary>
    public int Width => Query.Inputs;

    /// <summary>D / H.</summary>
    public int HeadWidth => Width / Heads;

    /// <summary>D in whole tiles.</summary>
    public int PaddedWidth => Query.TileColumns * Query.Tile;

    /// <summary>Scratch elements the chunk methods take at most.</summary>
    public long ScratchElements => Math.Max(Math.Max(Query.ScratchElements, Key.ScratchElements), Math.Max(Value.ScratchElements, Output.ScratchElements))
        + ScratchArea<T>.Size((long)Output.TileRows * Moments * Panel<T>.WideWidth) + 64;

    internal RbeLinear<T>[] Inputs { get; }

    /// <summary>Query, key and value of one chunk: x^ [Dp][width] -> qkv [3 Dp][width].</summary>
    public void ProjectChunk(T* xHat, T* xMoments, T* qkv, int width, ScratchArea<T> scratch)
    {
        long block = (long)Query.Tile * width;
        T* y = qkv;
        for (int m = 0; m < 3; m++)
        {
            RbeLinear<T> linear = Select(m);
            for (int i = 0; i < linear.TileRows; i++, y += block) linear.ForwardRow(i, xHat, xMoments, y, width, scratch);
        }
    }

    /// <summary>Output projection of one chunk: attHat [Dp][width] -> y [Dp][width].</summary>
    public void OutputChunk(T* attHat, T* attMoments, T* y, int width, ScratchArea<T> scratch)
    {
        for (int i = 0; i < Output.TileRows; i++) Output.ForwardRow(i, attHat, attMoments, y + (long)i * Output.Tile * width, width, scratch);
    }

    /// <summary>Backward of the output projection of one chunk: gyHat -> gradient of the attention output, [Dp][width].</summary>
    public void OutputBackwardChunk(T* gyHat, T* gyMoments, T* dAtt, int width, ScratchArea<T> scratch)
    {
        for (int j = 0; j < Output.TileColumns; j++)
        {
            T* g = dAtt + (long)j * Output.Tile * width;
            new Span<T>(g, Output.Tile * width).Clear();
            Output.AccumulateColumn(j, gyHat, gyMoments, g, width, scratch);
            Output.FinishColumn(j, g, g, width);
        }
    }

    /// <summary>
    /// Backward of the three projections of one chunk. dqkv [3 Dp][width] becomes its transform; moments and the bias sums [3 D] are filled; dx [Dp][width].
    /// </summary>
    public void ProjectBackwardChunk(T* dqkv, T* moments, T* biasSums, T* dx, int width, ScratchArea<T> scratch)
    {
        long block = (long)Query.Tile * width;
        long part = (long)PaddedWidth * width;
        for (int m = 0; m < 3; m++)
        {
            RbeLinear<T> linear = Select(m);
            linear.BiasSums(dqkv + m * part, biasSums + (long)m * Width, width);
            linear.TransformBlocks(linear.TileRows, dqkv + m * part, dqkv + m * part, width);
            linear.Moments(linear.TileRows, dqkv + m * part, moments + (long)m * linear.TileRows * Moments * width, width);
        }

        for (int j = 0; j < Query.TileColumns; j++)
        {
            T* g = dx + j * block;
            new Span<T>(g, (int)block).Clear();
            for (int m = 0; m < 3; m++) Select(m).AccumulateColumn(j, dqkv + m * part, moments + (long)m * Query.TileRows * Moments * width, g, width, scratch);
            Query.FinishColumn(j, g, g, width);
        }
    }

    /// <summary>Scratch elements that one head of one sequence takes.</summary>
    public long HeadScratch(int queries, int keys, bool backward) =>
        (backward ? 4 : 2) * ScratchArea<T>.Size((long)HeadWidth * Panel<T>.RoundUp(queries, 16)) + (backward ? 4 : 2) * ScratchArea<T>.Size((long)HeadWidth * Panel<T>.RoundUp(keys, 16));

    /// <summary>Attention of one head of one sequence: qkv panel -> att panel and row statistics. With a cache, keys and values are appended to it.</summary>
    internal void HeadForward(in HeadCall call, Panel<T> qkv, Panel<T> att, T* rowStatistics, ForwardOptions<T> options, T* weights, ScratchArea<T> scratch)
    {
        int queries = call.Tokens, keys = call.Past + call.Tokens, d = HeadWidth;
        int first = call.Sequence * call.Tokens;
        AttentionProblem<T> p = Problem(call);
        LayerKvCache<T>? cache = options.Cache;
        bool inPlace = IsChunk(call, qkv, cache);
        if (inPlace)
        {
            p.Q = Rows(qkv, call, 0);
            p.K = Rows(qkv, call, PaddedWidth);
            p.V = Rows(qkv, call, 2 * PaddedWidth);
            p.Output = Rows(att, call, 0);
        }
        else
        {
            p.Q = scratch.Take((long)d * p.QueryStride);
            p.Output = scratch.Take((long)d * p.QueryStride);
            Load(qkv, call.Head * d, first, queries, p.Q, p.QueryStride);
        }

        if (cache is not null)
        {
            p.K = cache.Keys(call.Sequence, call.Head);
            p.V = cache.Values(call.Sequence, call.Head);
            p.KeyStride = cache.Stride;
            PanelRows.Gather(qkv, PaddedWidth + call.Head * d, d, first, queries, p.K + call.Past, cache.Stride);
            PanelRows.Gather(qkv, 2 * PaddedWidth + call.Head * d, d, first, queries, p.V + call.Past, cache.Stride);
        }
        else if (!inPlace)
        {
            p.K = scratch.Take((long)d * p.KeyStride);
            p.V = scratch.Take((long)d * p.KeyStride);
            Load(qkv, PaddedWidth + call.Head * d, first, queries, p.K, p.KeyStride);
            Load(qkv, 2 * PaddedWidth + call.Head * d, first, queries, p.V, p.KeyStride);
        }

        p.RowStatistics = rowStatistics + ((long)call.Sequence * Heads + call.Head) * 2 * p.QueryStride;
        p.Weights = weights == null ? null : weights + ((long)call.Sequence * Heads + call.Head) * queries * keys;
        fixed (byte* padding = options.PaddingMask)
        fixed (T* additive = options.AdditiveMask)
        {
            SetMasks(ref p, call, padding, additive, options);
            AttentionKernel.Forward(p);
        }

        if (!inPlace) PanelRows.Scatter(p.Output, p.QueryStride, att, call.Head * d, d, first, queries);
    }

    /// <summary>Backward of one head of one sequence: gradient of att -> gradient of qkv.</summary>
    internal void HeadBackward(in HeadCall call, Panel<T> qkv, Panel<T> att, Panel<T> dAtt, Panel<T> dQkv, T* rowStatistics, ForwardOptions<T> options, ScratchArea<T> scratch)
    {
        int queries = call.Tokens, d = HeadWidth, first = call.Sequence * call.Tokens;
        AttentionProblem<T> p = Problem(call);
        bool inPlace = IsChunk(call, qkv, options.Cache);
        if (inPlace)
        {
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
            p.Q = scratch.Take((long)d * p.QueryStride);
            p.Output = scratch.Take((long)d * p.QueryStride);
            p.OutputGradient = scratch.Take((long)d * p.QueryStride);
            p.QGradient = scratch.Take((long)d * p.QueryStride);
            p.K = scratch.Take((long)d * p.KeyStride);
            p.V = scratch.Take((long)d * p.KeyStride);
            p.KGradient = scratch.Take((long)d * p.KeyStride);
            p.VGradient = scratch.Take((long)d * p.KeyStride);
            Load(qkv, call.Head * d, first, queries, p.Q, p.QueryStride);
            Load(att, call.Head * d, first, queries, p.Output, p.QueryStride);
            Load(dAtt, call.Head * d, first, queries, p.OutputGradient, p.QueryStride);
            LoadKeys(call, qkv, PaddedWidth + call.Head * d, options.Cache, true, p.K, p.KeyStride);
            LoadKeys(call, qkv, 2 * PaddedWidth + call.Head * d, options.Cache, false, p.V, p.KeyStride);
        }

        p.RowStatistics = rowStatistics + ((long)call.Sequence * Heads + call.Head) * 2 * p.QueryStride;
        fixed (byte* padding = options.PaddingMask)
        fixed (T* additive = options.AdditiveMask)
        {
            SetMasks(ref p, call, padding, additive, options);
            AttentionKernel.Backward(p);
        }

        if (inPlace) return;

        // Past keys and values are constants: only this call's columns have a gradient to pass on.
        PanelRows.Scatter(p.QGradient, p.QueryStride, dQkv, call.Head * d, d, first, queries);
        PanelRows.Scatter(p.KGradient + call.Past, p.KeyStride, dQkv, PaddedWidth + call.Head * d, d, first, queries);
        PanelRows.Scatter(p.VGradient + call.Past, p.KeyStride, dQkv, 2 * PaddedWidth + call.Head * d, d, first, queries);
    }

    private RbeLinear<T> Select(int m) => m switch { 0 => Query, 1 => Key, _ => Value };

    private AttentionProblem<T> Problem(in HeadCall call) => new()
    {
        HeadWidth = HeadWidth,
        Queries = call.Tokens,
        Keys = call.Past + call.Tokens,
        QueryStride = Panel<T>.RoundUp(call.Tokens, 16),
        KeyStride = Panel<T>.RoundUp(call.Past + call.Tokens, 16),
        Causal = _causal,
        Scale = T.One / T.Sqrt(T.CreateTruncating(HeadWidth)),
    };

    // A sequence that is one chunk of the panels has its heads there as attention wants them, so nothing need be copied.
    private static bool IsChunk(in HeadCall call, Panel<T> panel, LayerKvCache<T>? cache) => cache is null && call.Past == 0 && call.Tokens == panel.Width;

    private T* Rows(Panel<T> panel, in HeadCall call, int firstFeature) => panel.Chunk(call.Sequence) + ((long)firstFeature + (call.Head * HeadWidth)) * panel.Width;

    private void SetMasks(ref AttentionProblem<T> p, in HeadCall call, byte* padding, T* additive, ForwardOptions<T> options)
    {
        p.KeyPadding = padding == null ? null : padding + (long)call.Sequence * p.Keys;
        p.AdditiveMask = additive == null ? null : additive + (long)call.Sequence * p.Queries * p.Keys;
        if (options.Dropout is not { } stream || call.Dropout == 0) return;
        p.Dropout = call.Dropout;
        p.DropoutKey = stream.Key(call.Layer, DropoutSite.Attention);
        p.DropoutRow = (((long)options.FirstSequence + call.Sequence) * Heads + call.Head) * call.Tokens;
    }

    private void Load(Panel<T> panel, int feature, int firstToken, int tokens, T* target, int stride)
    {
        if (stride != tokens) new Span<T>(target, HeadWidth * stride).Clear();
        PanelRows.Gather(panel, feature, HeadWidth, firstToken, tokens, target, stride);
    }

    private void LoadKeys(in HeadCall call, Panel<T> qkv, int feature, LayerKvCache<T>? cache, bool keys, T* target, int stride)
    {
        new Span<T>(target, HeadWidth * stride).Clear();
        if (cache is not null && call.Past > 0)
        {
            T* past = keys ? cache.Keys(call.Sequence, call.Head) : cache.Values(call.Sequence, call.Head);
            for (int f = 0; f < HeadWidth; f++) new Span<T>(past + (long)f * cache.Stride, call.Past).CopyTo(new Span<T>(target + (long)f * stride, call.Past));
        }

        PanelRows.Gather(qkv, feature, HeadWidth, call.Sequence * call.Tokens, call.Tokens, target + call.Past, stride);
    }

    /// <summary>Names one head of one sequence in a call.</summary>
    internal readonly record struct HeadCall(int Sequence, int Head, int Tokens, int Past, int Layer, float Dropout);
}
