using System.Diagnostics;
using System.Numerics;
using RbeMl.Codec;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// Pre-LN GPT-2 block: m = x + Attention(LN1(x)); y = m + FeedForward(LN2(m)), all six matrices compressed.
/// Letters: B sequences, T tokens each, D width, F hidden width, Dp and Fp the same in whole tiles, H heads, Tkv = past + T keys.
/// The block holds shapes and parameter views only; what a call needs is in its <see cref="Workspace{T}"/> and <see cref="BlockContext{T}"/>, so one block
/// serves many threads. Results are the same, bit for bit, for any number of threads.
/// </summary>
/// <typeparam name="T">float at run time, double in gradient checks.</typeparam>
public sealed unsafe partial class RbeTransformerBlock<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Moments = BasisFunctions.FactorCount;
    private readonly TransformerConfig _config;
    private readonly BlockProfile _profile = new();
    private readonly bool _ownsParameters;

    /// <summary>Builds a block of its own from compressed weights.</summary>
    public RbeTransformerBlock(TransformerConfig config, BlockWeights weights, int layer = 0)
        : this(new ParameterVector<T>(), "block", config, weights, layer)
    {
        Parameters.Freeze();
        _ownsParameters = true;
    }

    /// <summary>Adds a block to the parameters of a model.</summary>
    /// <exception cref="ShapeMismatchException">A matrix or vector does not fit the configuration.</exception>
    /// <exception cref="NonFiniteException">A weight is NaN or infinite.</exception>
    public RbeTransformerBlock(ParameterVector<T> parameters, string name, TransformerConfig config, BlockWeights weights, int layer)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(weights);
        _config = config.Validate();
        Parameters = parameters;
        Name = name;
        Layer = layer;
        int d = config.Width, f = config.HiddenWidth;
        BlockVectors v = weights.Vectors;
        CheckLength("ln1.gamma", v.Gamma1, d);
        CheckLength("ln1.beta", v.Beta1, d);
        CheckLength("ln2.gamma", v.Gamma2, d);
        CheckLength("ln2.beta", v.Beta2, d);
        LayerNorm1 = new LayerNorm<T>(parameters, $"{name}.ln1", config.LayerNorm, v.Gamma1, v.Beta1, config.LayerNormEpsilon);
        Attention = new MultiHeadAttention<T>(
            Linear("attention.query", weights.Query, v.QueryBias, d, d), Linear("attention.key", weights.Key, v.KeyBias, d, d),
            Linear("attention.value", weights.Value, v.ValueBias, d, d), Linear("attention.output", weights.Output, v.OutputBias, d, d), config.Heads, config.Causal, MultiHeadAttention<T>.ScaleOf(config, layer));
        LayerNorm2 = new LayerNorm<T>(parameters, $"{name}.ln2", config.LayerNorm, v.Gamma2, v.Beta2, config.LayerNormEpsilon);
        FeedForward = new FeedForward<T>(Linear("feedforward.expand", weights.Expand, v.ExpandBias, f, d), Linear("feedforward.contract", weights.Contract, v.ContractBias, d, f), config.Gelu);

        MostTogether = Linears.Any(linear => linear.HasBase) ? 4 : 1;

        RbeLinear<T> Linear(string part, RbeMatrix matrix, float[] bias, int outputs, int inputs)
        {
            if (matrix.Rows != outputs || matrix.Columns != inputs) throw new ShapeMismatchException($"{name}.{part}", $"[{outputs}, {inputs}]", $"[{matrix.Rows}, {matrix.Columns}]", "Weights are [out, in] and must fit the configuration.");
            if (matrix.Tile != weights.Query.Tile || matrix.Transform != weights.Query.Transform)
            {
                throw new ShapeMismatchException($"{name}.{part}", $"tile {weights.Query.Tile} and {weights.Query.Transform} like query", $"tile {matrix.Tile} and {matrix.Transform}", "Use one tile size and transform in a block; formats may differ.");
            }

            return new RbeLinear<T>(parameters, $"{name}.{part}", matrix, bias);
        }

        void CheckLength(string part, float[] values, int length)
        {
            if (values.Length != length) throw new ShapeMismatchException($"{name}.{part}", $"{length} values", $"{values.Length}", "Give one a feature.");
        }
    }

    /// <summary>The parameters, its own or its model's.</summary>
    public ParameterVector<T> Parameters { get; }

    /// <summary>Name in the parameters.</summary>
    public string Name { get; }

    /// <summary>Layer index; part of the key of the dropout's random numbers.</summary>
    public int Layer { get; }

    /// <summary>LayerNorm before attention.</summary>
    public LayerNorm<T> LayerNorm1 { get; }

    /// <summary>Attention half.</summary>
    public MultiHeadAttention<T> Attention { get; }

    /// <summary>LayerNorm before the feed-forward layer.</summary>
    public LayerNorm<T> LayerNorm2 { get; }

    /// <summary>Feed-forward half.</summary>
    public FeedForward<T> FeedForward { get; }

    /// <summary>Whether a normalised block goes straight into its transform (fused) or the whole normalised chunk is written first. Same bits.</summary>
    public bool FuseLayerNorm { get; init; } = true;

    /// <summary>D in whole tiles: the feature rows of input and output panels.</summary>
    public int PaddedWidth => Attention.PaddedWidth;

    private int Width => _config.Width;

    private float AttentionDropout => _config.AttentionDropout ?? _config.Dropout;

    /// <summary>The six matrices with their names and biases, in the order of the parameters.</summary>
    public IEnumerable<RbeLinear<T>> Linears => [Attention.Query, Attention.Key, Attention.Value, Attention.Output, FeedForward.Expand, FeedForward.Contract];

    /// <summary>The compressed weights with the current values of the parameters.</summary>
    public BlockWeights GetCompressedWeights() => new()
    {
        Query = Attention.Query.ToMatrix(),
        Key = Attention.Key.ToMatrix(),
        Value = Attention.Value.ToMatrix(),
        Output = Attention.Output.ToMatrix(),
        Expand = FeedForward.Expand.ToMatrix(),
        Contract = FeedForward.Contract.ToMatrix(),
        Vectors = new BlockVectors
        {
            QueryBias = Attention.Query.BiasValues(),
            KeyBias = Attention.Key.BiasValues(),
            ValueBias = Attention.Value.BiasValues(),
            OutputBias = Attention.Output.BiasValues(),
            ExpandBias = FeedForward.Expand.BiasValues(),
            ContractBias = FeedForward.Contract.BiasValues(),
            Gamma1 = LayerNorm1.Gamma.ToFloats(),
            Beta1 = LayerNorm1.Beta.ToFloats(),
            Gamma2 = LayerNorm2.Gamma.ToFloats(),
            Beta2 = LayerNorm2.Beta.ToFloats(),
        },
    };

    /// <summary>Forward of row-major activations.</summary>
    /// <param name="x">[B, T, D].</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="options">Masks, cache, dropout; null for none.</param>
    /// <param name="context">Filled for a backward; null for inference.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    /// <exception cref="ShapeMismatchException">A shape does not fit.</exception>
    /// <exception cref="TokenException">The sequence is longer than the model's maximum or the cache's capacity.</exception>
    /// <exception cref="NonFiniteException">The input or output holds NaN or infinity, the output unless <see cref="ForwardOptions{T}.AllowNonFinite"/>; the cache is as before.</exception>
    /// <exception cref="ConcurrentUseException">Context, cache or workspace is in use by another call.</exception>
    public TransformerBlockOutput<T> Forward(ReadOnlySpan<T> x, int batch, int length, ForwardOptions<T>? options = null, BlockContext<T>? context = null, Workspace<T>? workspace = null)
    {
        using Workspace<T>? own = workspace is null ? new Workspace<T>() : null;
        workspace ??= own!;
        using Hold weights = Parameters.Lease.Share(), scratch = workspace.Lease.Claim(), kept = Claim(context), past = Claim(options?.Cache);
        if (context is not null) context.Owner = null;
        CheckRows("input", x, batch, length);
        CheckCall(batch, length, options ?? s_none);
        Panel<T> input = (context?.Input ?? workspace.Panel("block.input")).Reshape(batch * length, Width, PaddedWidth);
        input.FromRowMajor(x);
        Panel<T> output = workspace.Panel("block.output").Reshape(batch * length, Width, PaddedWidth);
        (T[]? attention, LayerStats? statistics) = Forward(input, output, batch, length, options, context, workspace);
        T[] y = new T[x.Length];
        output.ToRowMajor(y);
        return new TransformerBlockOutput<T>(y, attention, statistics);
    }

    /// <summary>Backward of row-major activations: adds all parameter gradients, returns the input gradient [B, T, D].</summary>
    /// <param name="dy">[B, T, D].</param>
    /// <param name="context">A context that the forward filled; it is empty afterwards.</param>
    /// <param name="gradients">Vector of the parameters' layout; added to, the caller zeroes.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    /// <exception cref="ShapeMismatchException">A shape does not fit, the context is another block's, or the cache changed since the forward.</exception>
    /// <exception cref="InvalidOperationException">The context is empty, or the block a copy for inference.</exception>
    /// <exception cref="NonFiniteException">The gradient of the output or of the input holds NaN or infinity; what was added to the gradients is worth nothing.</exception>
    /// <exception cref="ConcurrentUseException">Context, cache or workspace is in use by another call.</exception>
    public T[] Backward(ReadOnlySpan<T> dy, BlockContext<T> context, ParameterVector<T> gradients, Workspace<T>? workspace = null)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(gradients);
        using Workspace<T>? own = workspace is null ? new Workspace<T>() : null;
        workspace ??= own!;
        using Hold weights = Parameters.Lease.Share(), scratch = workspace.Lease.Claim(), sums = gradients.Lease.Share(), kept = Claim(context);
        CheckFilled(context);
        using Hold past = Claim(context.Options!.Cache);
        CheckRows("output gradient", dy, context.Batch, context.Length);
        int tokens = context.Batch * context.Length;
        Panel<T> g = workspace.Panel("block.outputGradient").Reshape(tokens, Width, PaddedWidth);
        g.FromRowMajor(dy);
        Panel<T> dx = workspace.Panel("block.inputGradient").Reshape(tokens, Width, PaddedWidth);
        Backward(g, dx, context, gradients, workspace);
        T[] result = new T[dy.Length];
        dx.ToRowMajor(result);
        return result;
    }

    /// <summary>Forward of panels [Dp]: x -> y. Padded features and lanes of x are zero. x may not be y. The caller holds what the call uses.</summary>
    /// <exception cref="NonFiniteException">The input or output holds NaN or infinity, unless <see cref="ForwardOptions{T}.AllowNonFinite"/>; the cache is as before.</exception>
    internal (T[]? AttentionWeights, LayerStats? Statistics) Forward(Panel<T> x, Panel<T> y, int batch, int length, ForwardOptions<T>? options, BlockContext<T>? context, Workspace<T> workspace)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        ArgumentNullException.ThrowIfNull(workspace);
        if (ReferenceEquals(x, y)) throw new ArgumentException("The output panel must not be the input panel.", nameof(y));
        options ??= s_none;
        int past = options.Cache?.Length ?? 0;
        if (context is not null) context.Owner = null;
        CheckCall(x, batch, length, options);
        if (context is null && DecodesVectors(batch, length, options))
        {
            DecodePanels(x, y, batch, options.Cache!, workspace);
            return (null, null);
        }

        options.Cache?.Reserve(length);
        long started = options.Profile ? Stopwatch.GetTimestamp() : 0;
        BlockCall<T> call = workspace.Call();
        call.Begin(workspace, x, y, batch, length, past, options);
        T[]? weights = options.ReturnAttentionWeights ? new T[checked((long)batch * _config.Heads * length * (past + length))] : null;
        call.Keep = context is null ? null : context.Policy;
        call.Use(context);
        try
        {
            PrepareForward(call);
            fixed (T* w = weights)
            {
                call.AttentionWeights = w;
                RunForward(call);
            }

            if (call.HasNonFinite && !options.AllowNonFinite) RequireFinite(x, y, call.Qkv);

            if (context is { Offload: not ActivationOffload.None }) call.Store(context, StoreBytes(context.Policy, context.Offload, batch, length), StatisticsElements(x.Tokens), RowStatisticsElements(batch, length));
        }
        catch
        {
            call.End();
            throw;
        }

        options.Cache?.Advance(this, length);
        if (context is not null) (context.X, context.Options, context.Batch, context.Length, context.Past, context.CacheGeneration, context.Owner) = (x, options, batch, length, past, options.Cache?.Generation ?? 0, this);
        workspace.Profile?.AddBlock(call.Ticks);
        LayerStats? statistics = options.Profile ? _profile.Finish(call.Ticks, Stopwatch.GetTimestamp() - started, Layer, workspace.Team.Threads, workspace.AllocatedBytes) : null;
        call.End();
        return (weights, statistics);
    }

    /// <summary>Backward of panels [Dp]: dy -> dx, parameter gradients added. Padded features and lanes of dy are zero. dx may not be dy. The caller holds what the call uses.</summary>
    /// <exception cref="NonFiniteException">The gradient of the output or of the input holds NaN or infinity; what was added to the gradients is worth nothing.</exception>
    internal void Backward(Panel<T> dy, Panel<T> dx, BlockContext<T> context, ParameterVector<T> gradients, Workspace<T> workspace)
    {
        ArgumentNullException.ThrowIfNull(dy);
        ArgumentNullException.ThrowIfNull(dx);
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(workspace);
        if (ReferenceEquals(dx, dy)) throw new ArgumentException("The input gradient's panel must not be the output gradient's.", nameof(dx));
        CheckFilled(context);
        if (_isCompact) throw new InvalidOperationException($"{Name}: this is a copy for inference. Train the block or model that ToInference was called on.");
        Parameters.RequireLayout(Name, gradients);
        if (dy.Tokens != (long)context.Batch * context.Length || dy.PaddedFeatures != PaddedWidth) throw new ShapeMismatchException($"{Name}: output gradient", $"{Amount.Of(context.Batch * context.Length, "token")} x {PaddedWidth}", $"{dy.Tokens} x {dy.PaddedFeatures}", "Give it the shape of the output.");
        if (context.Options!.Cache is { } cache && (cache.Generation != context.CacheGeneration || cache.Length < context.Past + context.Length))
        {
            throw new ShapeMismatchException($"{Name}: KV cache", $"the {Amount.Of(context.Past + context.Length, "token")} of the forward", $"a cache that was reset since and holds {cache.Length}", "Do not reset the cache between forward and backward.");
        }

        BlockCall<T> call = workspace.Call();
        call.Begin(workspace, context.X!, dx, context.Batch, context.Length, context.Past, context.Options!);
        call.Keep = context.Policy;
        call.Use(context);
        if (context.Offload != ActivationOffload.None) call.Restore(context);
        call.OutputGradient = dy;
        call.Gradients = gradients;
        PrepareBackward(call);
        if (context.Policy == CheckpointPolicy.Full) Recompute(call);
        RunBackward(call);
        workspace.Profile?.AddBlock(call.Ticks);
        context.Owner = null;
        bool finite = !call.HasNonFinite;
        call.End();
        if (!finite) RequireFiniteGradient(dy, dx);
    }

    /// <summary>Frees the parameters of a block of its own and what its layers hold, after the calls that are using them; those of a model's block are freed with the model.</summary>
    public void Dispose()
    {
        if (_ownsParameters) Parameters.Dispose();
    }

    private static Hold Claim(BlockContext<T>? context) => context is null ? default : context.Lease.Claim();

    private static Hold Claim(LayerKvCache<T>? cache) => cache is null ? default : cache.Lease.Claim();

    private void CheckFilled(BlockContext<T> context)
    {
        if (context.Owner is not { } owner) throw new InvalidOperationException($"{Name}: the context is empty. Run Forward with it once before each Backward.");
        if (!ReferenceEquals(owner, this)) throw new ShapeMismatchException($"{Name}: context", "one that this block's Forward filled", $"one of another block, {owner.Name}", "Make a context for each block.");
    }

    private static readonly ForwardOptions<T> s_none = new();

    private void CheckRows(string what, ReadOnlySpan<T> values, int batch, int length)
    {
        if (!Shape.Holds(values.Length, batch, length, Width)) throw Shape.Mismatch($"{Name}: {what}", values.Length, "Pass row-major [batch, length, width].", batch, length, Width);

        for (int i = 0; i < values.Length; i++)
        {
            if (!T.IsFinite(values[i])) throw new NonFiniteException($"{Name}: {what}", $"value {values[i]} at sequence {i / Width / length}, token {i / Width % length}, feature {i % Width}. Find where it was made before this layer.");
        }
    }

    private void CheckCall(Panel<T> x, int batch, int length, ForwardOptions<T> options)
    {
        if (batch < 1 || length < 1 || x.Tokens != (long)batch * length || x.Features != Width || x.PaddedFeatures != PaddedWidth)
        {
            throw new ShapeMismatchException($"{Name}: input", $"{batch} x {Amount.Of(length, "token")}, {Width} features in {PaddedWidth} rows", $"{Amount.Of(x.Tokens, "token")}, {x.Features} features in {x.PaddedFeatures} rows", "Reshape the panel to tokens x Width, PaddedWidth.");
        }

        CheckCall(batch, length, options);
    }

    private void CheckCall(int batch, int length, ForwardOptions<T> options)
    {
        int past = options.Cache?.Length ?? 0;
        if ((long)past + length > _config.MaxSequenceLength)
        {
            throw new TokenException($"{Name}: {past} past and {length} new tokens are more than the maximum of {_config.MaxSequenceLength}. Shorten the input, reset the cache, or build the model with a larger MaxSequenceLength.");
        }

        int keys = past + length;
        options.Cache?.Check(this, batch, _config.Heads, _config.HeadWidth, length);
        if (options.PaddingMask is { } padding && !Shape.Holds(padding.Length, batch, keys)) throw Shape.Mismatch($"{Name}: padding mask", padding.Length, "Give one byte a key, past included.", batch, keys);
        if (options.AdditiveMask is not { } additive) return;
        if (!Shape.Holds(additive.Length, batch, 1, length, keys)) throw Shape.Mismatch($"{Name}: additive mask", additive.Length, "Give one value a query and key, past included.", batch, 1, length, keys);
        for (int i = 0; i < additive.Length; i++)
        {
            if (T.IsNaN(additive[i]) || T.IsPositiveInfinity(additive[i])) throw new NonFiniteException($"{Name}: additive mask", $"value {additive[i]} at element {i}. Use finite values, or -infinity to hide a key.");
        }
    }
}
