using System.Diagnostics;
using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;
using static RbeMl.Layers.BlockOperation;
using static RbeMl.Layers.BlockPanel;

namespace RbeMl.Layers;

/// <summary>
/// GPT-2's block, m = x + Attention(LN1(x)); y = m + FeedForward(LN2(m)), or BERT's (<see cref="BlockOrder"/>), all six matrices compressed.
/// Letters: B sequences, T tokens
/// each, D width, F hidden width, Dp and Fp the same in whole tiles, H heads, Tkv = past + T keys. The block holds shapes and parameter
/// views only; what a call needs is in its <see cref="Workspace{T}"/> and <see cref="BlockContext{T}"/>, so one block serves many threads.
/// Results are the same, bit for bit, for any number of threads.
/// </summary>
/// <typeparam name="T">float at run time, double in gradient checks.</typeparam>
public sealed unsafe partial class RbeTransformerBlock<T> : IDisposable, ICacheOwner
    where T : unmanaged, IFloatingPointIeee754<T>
{
    // GPT-2's block from top to bottom. Coefficients are what the transform makes of a panel: there the products W x^ are computed.
    internal static readonly BlockStep[] PreNorm =
    [
        new(Normalize, Input, X1Coefficients, ProfileStage.LayerNorm1), // x^ = LN1(x)
        new(Multiply, X1Coefficients, Qkv, ProfileStage.Projections), // q, k, v = W x^ + b
        new(Attend, Qkv, Att, ProfileStage.Attention), // a = softmax(q k' / sqrt(D / H)) v
        new(Transform, Att, AttCoefficients, ProfileStage.AttentionOutput), // a^ = a
        new(Multiply, AttCoefficients, Middle, ProfileStage.AttentionOutput), // m = W a^ + b
        new(Add, Input, Middle, ProfileStage.AttentionOutput), // m = x + drop(m)
        new(Normalize, Middle, X2Coefficients, ProfileStage.LayerNorm2), // x^ = LN2(m)
        new(Expand, X2Coefficients, HiddenCoefficients, ProfileStage.FeedForward), // h^ = gelu(W x^ + b)
        new(Contract, HiddenCoefficients, Result, ProfileStage.FeedForward), // y = W h^ + b
        new(Add, Middle, Result, ProfileStage.FeedForward), // y = m + drop(y)
    ];

    // BERT's block: the residual connections begin after the LayerNorms.
    internal static readonly BlockStep[] PostNorm =
        [.. PreNorm.Select(step => step.Operation == Add ? step with { Operation = AddNormalized } : step)];

    private static readonly ForwardOptions<T> s_none = new();
    private readonly TransformerConfig _config;
    private readonly BlockProfile _profile = new();
    private readonly BlockForward<T> _forward;
    private readonly BlockBackward<T> _backward;
    private readonly BlockDecoder<T> _decoder;
    private readonly RbeLinear<T>[] _linears;
    private readonly RbeLinear<T>[][] _readers;
    private readonly bool _ownsParameters;
    private bool _isCompact;

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
        (Parameters, Name, Layer, Steps) = (parameters, name, layer, config.Order == BlockOrder.PostNorm ? PostNorm : PreNorm);
        BlockVectors v = weights.Vectors;
        weights.Check(name, config);
        Layout = new BlockLayout(config, weights.Query.Tile);
        LayerNorm1 = Norm("ln1", v.Gamma1, v.Beta1);
        Attention = new MultiHeadAttention<T>(
            Linear(BlockMatrix.Query), Linear(BlockMatrix.Key), Linear(BlockMatrix.Value), Linear(BlockMatrix.Output),
            config.Heads, config.Causal, MultiHeadAttention<T>.ScaleOf(config, layer));
        LayerNorm2 = Norm("ln2", v.Gamma2, v.Beta2);
        FeedForward = new FeedForward<T>(Linear(BlockMatrix.UpProjection), Linear(BlockMatrix.DownProjection), config.Gelu);
        _linears = [Attention.Query, Attention.Key, Attention.Value, Attention.Output, FeedForward.UpProjection, FeedForward.DownProjection];
        _readers = [.. Enum.GetValues<BlockPanel>().Select(coefficients => BlockLayout.ReadersOf(coefficients).Select(m => _linears[(int)m]).ToArray())];
        _forward = new BlockForward<T>(this);
        _backward = new BlockBackward<T>(this, _forward);
        _decoder = new BlockDecoder<T>(this);

        RbeLinear<T> Linear(BlockMatrix m) => new(parameters, $"{name}.{BlockLayout.NameOf(m)}", weights.MatrixAt(m), v.BiasOf(m));

        LayerNorm<T> Norm(string part, float[] gamma, float[] beta) => new(parameters, $"{name}.{part}", config, gamma, beta, v.Norms);
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

    /// <summary>
    /// Whether a normalised block goes straight into its transform (fused) or the whole normalised chunk is written first. Same bits.
    /// </summary>
    public bool FuseLayerNorm { get; init; } = true;

    /// <summary>D in whole tiles: the feature rows of input and output panels.</summary>
    public int PaddedWidth => Layout.PaddedWidth;

    /// <summary>The six matrices with their names and biases, in the order of <see cref="BlockMatrix"/> and of the parameters.</summary>
    public IReadOnlyList<RbeLinear<T>> Linears => _linears;

    /// <summary>What a forward does, from top to bottom.</summary>
    internal BlockStep[] Steps { get; }

    /// <summary>Whether the residual connections begin after the LayerNorms.</summary>
    internal bool IsPostNorm => _config.Order == BlockOrder.PostNorm;

    /// <summary>Where things lie, and how much memory a call takes.</summary>
    internal BlockLayout Layout { get; }

    /// <summary>Bytes in memory beside the parameters.</summary>
    internal long FixedBytes => _linears.Sum(l => l.FixedBytes) + LayerNorm1.NativeBytes + LayerNorm2.NativeBytes;

    /// <summary>Those in native memory.</summary>
    internal long NativeBytes => _linears.Sum(l => l.NativeBytes) + LayerNorm1.NativeBytes + LayerNorm2.NativeBytes;

    /// <summary>Scratch elements of one thread of so many.</summary>
    internal long ThreadScratchElements(int batch, int length, int threads, bool documents) =>
        Math.Max(_forward.Scratch(batch * length, threads), Attention.HeadScratch(batch, length, past: 0, backward: true, cache: null, documents));

    /// <summary>Whether products with a base are those of integers.</summary>
    internal bool UsesCodes { get; private set; }

    /// <summary>Whether training drops anything in the block.</summary>
    internal bool HasDropout => _config.Dropout > 0 || AttentionDropout > 0;

    private int Width => _config.Width;

    private float AttentionDropout => _config.AttentionDropout ?? _config.Dropout;

    /// <summary>The compressed weights with the current values of the parameters.</summary>
    public BlockWeights GetCompressedWeights() => BlockWeights.From(m => _linears[(int)m].ToMatrix(), new BlockVectors
    {
        QueryBias = Attention.Query.BiasValues(),
        KeyBias = Attention.Key.BiasValues(),
        ValueBias = Attention.Value.BiasValues(),
        OutputBias = Attention.Output.BiasValues(),
        UpProjectionBias = FeedForward.UpProjection.BiasValues(),
        DownProjectionBias = FeedForward.DownProjection.BiasValues(),
        Gamma1 = LayerNorm1.Gamma.ToFloats(),
        Beta1 = LayerNorm1.Beta.ToFloats(),
        Gamma2 = LayerNorm2.Gamma.ToFloats(),
        Beta2 = LayerNorm2.Beta.ToFloats(),
    });

    /// <summary>Forward of row-major activations.</summary>
    /// <param name="x">[B, T, D].</param>
    /// <param name="batch">B.</param>
    /// <param name="length">T.</param>
    /// <param name="options">Masks, cache, dropout; null for none.</param>
    /// <param name="context">Filled for a backward; null for inference.</param>
    /// <param name="workspace">Threads and scratch; null makes one for this call.</param>
    /// <exception cref="ShapeMismatchException">A shape does not fit.</exception>
    /// <exception cref="TokenException">The sequence is longer than the model's maximum or the cache's capacity.</exception>
    /// <exception cref="NonFiniteException">
    /// The input or output holds NaN or infinity, the output unless <see cref="ForwardOptions{T}.AllowNonFinite"/>; the cache is as before.
    /// </exception>
    /// <exception cref="ConcurrentUseException">Context, cache or workspace is in use by another call.</exception>
    public TransformerBlockOutput<T> Forward(
        ReadOnlySpan<T> x, int batch, int length, ForwardOptions<T>? options = null, BlockContext<T>? context = null,
        Workspace<T>? workspace = null)
    {
        using Workspace<T>? own = workspace is null ? new Workspace<T>() : null;
        workspace ??= own!;
        using Hold weights = Parameters.Lease.Share(), scratch = workspace.Lease.Claim();
        using Hold kept = Claim(context), past = Claim(options?.Cache);
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
    /// <exception cref="ShapeMismatchException">
    /// A shape does not fit, the context is another block's, or the cache changed since the forward.
    /// </exception>
    /// <exception cref="InvalidOperationException">The context is empty, or the block a copy for inference.</exception>
    /// <exception cref="NonFiniteException">
    /// The gradient of the output or of the input holds NaN or infinity; what was added to the gradients is worth nothing.
    /// </exception>
    /// <exception cref="ConcurrentUseException">Context, cache or workspace is in use by another call.</exception>
    public T[] Backward(ReadOnlySpan<T> dy, BlockContext<T> context, ParameterVector<T> gradients, Workspace<T>? workspace = null)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(gradients);
        using Workspace<T>? own = workspace is null ? new Workspace<T>() : null;
        workspace ??= own!;
        using Hold weights = Parameters.Lease.Share(), scratch = workspace.Lease.Claim();
        using Hold sums = gradients.Lease.Share(), kept = Claim(context);
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

    /// <summary>
    /// Forward of panels [Dp]: x -> y. Padded features and lanes of x are zero. x may not be y. The caller holds what the call uses.
    /// </summary>
    /// <exception cref="NonFiniteException">
    /// The input or output holds NaN or infinity, unless <see cref="ForwardOptions{T}.AllowNonFinite"/>; the cache is as before.
    /// </exception>
    internal (T[]? AttentionWeights, LayerStats? Statistics) Forward(
        Panel<T> x, Panel<T> y, int batch, int length, ForwardOptions<T>? options, BlockContext<T>? context, Workspace<T> workspace)
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
            _decoder.Run(x, y, batch, options.Cache!, workspace);
            return (null, null);
        }

        options.Cache?.Reserve(length);
        long started = options.Profile ? Stopwatch.GetTimestamp() : 0;
        BlockState<T> call = workspace.State<BlockState<T>>();
        call.Begin(workspace, Layout, x, y, batch, length, past, options, context);
        T[]? weights = options.ReturnAttentionWeights ? new T[checked((long)batch * _config.Heads * length * (past + length))] : null;
        try
        {
            fixed (T* w = weights)
            {
                call.AttentionWeights = w;
                _forward.Run(call);
            }

            if (call.HasNonFinite && !options.AllowNonFinite) RequireFinite(x, y, call[Qkv]);
            if (context is { Offload: not ActivationOffload.None }) call.Store(context);
        }
        catch
        {
            call.End();
            throw;
        }

        options.Cache?.Advance(this, length);
        context?.Fill(this, x, options, batch, length, past);
        workspace.Profile?.AddBlock(call.Ticks);
        LayerStats? statistics = options.Profile
            ? _profile.Finish(call.Ticks, Stopwatch.GetTimestamp() - started, Layer, workspace.Workers.Threads, workspace.AllocatedBytes)
            : null;
        call.End();
        return (weights, statistics);
    }

    /// <summary>
    /// Backward of panels [Dp]: dy -> dx, parameter gradients added. Padded features and lanes of dy are zero. dx may not be dy. The caller
    /// holds what the call uses.
    /// </summary>
    /// <exception cref="NonFiniteException">
    /// The gradient of the output or of the input holds NaN or infinity; what was added to the gradients is worth nothing.
    /// </exception>
    internal void Backward(Panel<T> dy, Panel<T> dx, BlockContext<T> context, ParameterVector<T> gradients, Workspace<T> workspace)
    {
        ArgumentNullException.ThrowIfNull(dy);
        ArgumentNullException.ThrowIfNull(dx);
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(workspace);
        if (ReferenceEquals(dx, dy))
        {
            throw new ArgumentException("The input gradient's panel must not be the output gradient's.", nameof(dx));
        }

        CheckBackward(dy, context, gradients);
        BlockState<T> call = workspace.State<BlockState<T>>();
        call.Begin(workspace, Layout, context.X!, dx, context.Batch, context.Length, context.Past, context.Options!, context);
        if (context.Offload != ActivationOffload.None) call.Restore(context);
        (call.OutputGradient, call.Gradients) = (dy, gradients);
        _backward.Run(call);
        workspace.Profile?.AddBlock(call.Ticks);
        context.Owner = null;
        bool finite = !call.HasNonFinite;
        call.End();
        if (!finite) RequireFiniteGradient(dy, dx);
    }

    /// <summary>
    /// Whether <see cref="Decode"/> does such a call: one token each of a few sequences with a cache, no masks, dropout, weights or profile
    /// to return.
    /// </summary>
    internal bool DecodesVectors(int batch, int length, ForwardOptions<T> options) => _decoder.Takes(batch, length, options);

    /// <summary>
    /// Forward of one new token of each sequence, x -> y, both [batch][Dp] with zeros beyond the features; the cache grows by one.
    /// Arguments are checked.
    /// </summary>
    /// <exception cref="NonFiniteException">The output is NaN or infinite; the cache is as before.</exception>
    internal void Decode(T* x, T* y, int batch, LayerKvCache<T> cache, Workspace<T> workspace) =>
        _decoder.Run(x, y, batch, cache, workspace);

    /// <summary>
    /// A copy with the current values of the parameters whose sparse coefficients, in runs of sixteen or free places, lie once more in the
    /// order and precision that generation reads fastest. It computes what this block does, of rounded coefficients if asked to; it cannot
    /// be trained.
    /// </summary>
    /// <param name="precision">Of the sparse coefficients and trellis codes; everything else stays as it is.</param>
    /// <param name="activations">
    /// Of the inputs of products with frozen codes. Single vectors, whose time is that of reading the weights, stay as they are.
    /// </param>
    /// <exception cref="InvalidSettingException">
    /// Int8 activations where no weights are codes, or of elements other than float; or weights so small or large that the precision cannot
    /// hold them.
    /// </exception>
    public RbeTransformerBlock<T> ToInference(
        WeightPrecision precision = WeightPrecision.Float32, ActivationPrecision activations = ActivationPrecision.Float32)
    {
        BlockWeights weights = GetCompressedWeights();
        RequireCodes(activations, [weights]);
        RbeTransformerBlock<T> copy = new(_config, weights.Rounded(precision), Layer);
        copy.PackForInference(precision, activations);
        return copy;
    }

    /// <summary>
    /// Copies the coefficients of all matrices for vectors, which must be of that precision already, and chooses the products with codes.
    /// </summary>
    internal void PackForInference(WeightPrecision precision, ActivationPrecision activations)
    {
        _isCompact = true;
        UsesCodes = activations == ActivationPrecision.Int8;
        WeightPrecision sparse = precision == WeightPrecision.Float32 ? precision : WeightPrecision.BFloat16;
        foreach (RbeLinear<T> linear in _linears)
        {
            linear.PackForInference(sparse);
            if (UsesCodes) linear.UseInt8();
        }
    }

    /// <summary>
    /// Frees the parameters of a block of its own and what its layers hold, after the calls that are using them; those of a model's block
    /// are freed with the model.
    /// </summary>
    public void Dispose()
    {
        if (_ownsParameters) Parameters.Dispose();
    }

    /// <summary>The LayerNorm of the half that begins with a panel.</summary>
    internal LayerNorm<T> NormOf(BlockPanel input) => input == Input ? LayerNorm1 : LayerNorm2;

    /// <summary>The matrices that read a panel of coefficients.</summary>
    internal RbeLinear<T>[] Readers(BlockPanel coefficients) => _readers[(int)coefficients];

    /// <summary>Decodes gamma1, beta1, gamma2, beta2, each [Dp].</summary>
    internal void DecodeNorms(T* vectors)
    {
        LayerNorm1.Gamma.Decode(vectors);
        LayerNorm1.Beta.Decode(vectors + PaddedWidth);
        LayerNorm2.Gamma.Decode(vectors + (2L * PaddedWidth));
        LayerNorm2.Beta.Decode(vectors + (3L * PaddedWidth));
    }
}
