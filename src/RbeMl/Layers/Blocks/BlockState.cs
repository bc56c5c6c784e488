using System.Diagnostics;
using System.Numerics;
using RbeMl.Memory;
using RbeMl.Numerics;
using static RbeMl.Layers.BlockPanel;

namespace RbeMl.Layers;

/// <summary>The state of one forward or backward of a block; owned by a workspace and used again by the next call.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class BlockState<T> : IWorkspaceState
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly BlockActivations<T> _shared = new();
    private readonly Panel<T>[] _panels = new Panel<T>[Enum.GetValues<BlockPanel>().Length];
    private GrowableBuffer<T> _statistics = null!, _rowStatistics = null!;
    private uint _held;
    private volatile bool _nonFinite;

    public Workspace<T> Workspace { get; private set; } = null!;

    public BlockLayout Layout { get; private set; } = null!;

    /// <summary>Input and result are the caller's, the others those that a context saves or shared ones.</summary>
    public Panel<T> this[BlockPanel panel] => _panels[(int)panel];

    /// <summary>The panels that all calls share: after a backward its gradients, until the next call.</summary>
    public BlockActivations<T> Shared => _shared;

    /// <summary>Gradient of the result; null in a forward.</summary>
    public Panel<T>? OutputGradient { get; set; }

    public ParameterVector<T> Gradients { get; set; } = null!;

    public ForwardOptions<T> Options { get; private set; } = null!;

    public int Batch { get; private set; }

    public int Length { get; private set; }

    public int Past { get; private set; }

    /// <summary>Tokens of all sequences.</summary>
    public int Tokens => Batch * Length;

    /// <summary>What attention takes one by one, and the tokens of the longest: sequences, or the documents that share them.</summary>
    public (int Count, int Longest) Sequences => Options.Documents is { } documents ? (documents.Count, documents.Longest) : (Batch, Length);

    /// <summary>Lanes of a chunk.</summary>
    public int Width => this[Input].Lanes;

    public int Chunks => this[Input].Chunks;

    /// <summary>What a context keeps of the call; null without one.</summary>
    public CheckpointPolicy? Keep { get; private set; }

    /// <summary>Parts that attention divides each head into.</summary>
    public int Parts { get; set; } = 1;

    /// <summary>Groups of chunks that the forward's steps work on together.</summary>
    public int Groups { get; set; } = 1;

    /// <summary>Codes of coefficients in a divided call whose products read them.</summary>
    public GrowableBuffer<T> Codes { get; } = new();

    /// <summary>Whether the forward's products are divided into tile rows.</summary>
    public bool IsDivided { get; set; }

    public T* AttentionWeights { get; set; }

    public T* RowStatistics => _rowStatistics.Pointer;

    /// <summary>[worker][stage].</summary>
    public long[] Ticks { get; private set; } = [];

    /// <summary>Decoded gamma1, beta1, gamma2, beta2, each [Dp].</summary>
    public GrowableBuffer<T> NormVectors { get; } = new();

    /// <summary>Sums of the chunks for the gradients of the vectors.</summary>
    public GrowableBuffer<T> Sums { get; } = new();

    /// <summary>Whether stages are timed.</summary>
    public bool Profile { get; private set; }

    /// <summary>
    /// Where a call without a context may work instead of in panels of its own: a context that waits for its next forward.
    /// </summary>
    public BlockContext<T>? Borrowed { get; set; }

    /// <summary>Whether <see cref="Look"/> has seen a NaN or infinity.</summary>
    public bool HasNonFinite => _nonFinite;

    public long AllocatedBytes => _shared.AllocatedBytes + NormVectors.AllocatedBytes + Sums.AllocatedBytes + Codes.AllocatedBytes;

    /// <summary>
    /// Starts a call. Panels that the context keeps are the context's, the others shared. With offload all are shared: what is kept goes to
    /// the store after the forward and comes back before the backward. Without a context, those of a lent one are used that its own forward
    /// fills; others would stay beside the shared.
    /// </summary>
    public void Begin(
        Workspace<T> workspace, BlockLayout layout, Panel<T> x, Panel<T> result, int batch, int length, int past, ForwardOptions<T> options,
        BlockContext<T>? context)
    {
        (Workspace, Layout, Batch, Length, Past, Options, Keep) = (workspace, layout, batch, length, past, options, context?.Policy);
        BlockContext<T>? owner = context ?? Borrowed;
        CheckpointPolicy? owned = owner is { Offload: ActivationOffload.None } ? owner.Policy : null;
        for (int i = 0; i < _panels.Length; i++)
        {
            BlockPanel panel = (BlockPanel)i;
            _panels[i] = (layout.Saves(owned, panel) ? owner!.Saved : _shared)[panel];
        }

        BlockActivations<T> statistics = BlockLayout.KeepsStatistics(owned) ? owner!.Saved : _shared;
        (_statistics, _rowStatistics) = (statistics.Statistics, statistics.RowStatistics);
        (_panels[(int)Input], _panels[(int)Result]) = (x, result);
        (_held, _nonFinite) = (0, false);
        Profile = options.Profile || workspace.Profile is not null;
        if (!Profile) return;
        if (Ticks.Length != workspace.Workers.Threads * BlockProfile.Stages) Ticks = new long[workspace.Workers.Threads * BlockProfile.Stages];
        Array.Clear(Ticks);
    }

    /// <summary>Whether a panel takes the values of all chunks; otherwise they pass through a thread's scratch.</summary>
    public bool Holds(BlockPanel panel) => ((_held >> (int)panel) & 1) != 0;

    /// <summary>Takes a panel as one that the forward or the context filled or will fill.</summary>
    public void Hold(BlockPanel panel) => _held |= 1u << (int)panel;

    /// <summary>Gives a panel its shape, for all chunks to be written.</summary>
    public void Shape(BlockPanel panel)
    {
        Layout.Reshape(panel, this[panel], Tokens);
        Hold(panel);
    }

    /// <summary>Makes room for the statistics of LayerNorms and softmax.</summary>
    public void EnsureStatistics()
    {
        _statistics.Ensure(BlockLayout.Statistics(Tokens));
        _rowStatistics.Ensure(Layout.RowStatistics(Batch, Length));
    }

    /// <summary>Where a chunk's LayerNorm, the first or the second, has its vectors and statistics.</summary>
    public NormPlace<T> Norm(bool first, int chunk)
    {
        T* vectors = NormVectors.Pointer + (first ? 0 : 2L * Layout.PaddedWidth);
        T* statistics = _statistics.Pointer + (((first ? 0L : 2L * Chunks) + chunk) * Width);
        return new NormPlace<T>(vectors, vectors + Layout.PaddedWidth, statistics, statistics + ((long)Chunks * Width));
    }

    /// <summary>Puts away what a forward leaves for its backward: its input and what the policy keeps.</summary>
    public void Store(BlockContext<T> context)
    {
        context.Store.Prepare(Layout.StoreBytes<T>(context.Policy, context.Offload, Batch, Length));
        Move(context, save: true);
    }

    /// <summary>Brings back what a context put away, its input too.</summary>
    public void Restore(BlockContext<T> context)
    {
        _panels[(int)Input] = _shared[Input];
        foreach (BlockPanel panel in Layout.Saved(context.Policy)) Layout.Reshape(panel, this[panel], Tokens);
        if (BlockLayout.KeepsStatistics(context.Policy)) EnsureStatistics();
        Move(context, save: false);
    }

    private void Move(BlockContext<T> context, bool save)
    {
        ActivationStore<T> store = context.Store;
        store.Rewind();
        foreach (BlockPanel panel in Layout.Saved(context.Policy))
        {
            store.Move(this[panel].Pointer, this[panel].Length, rounded: true, save, Workspace.Workers);
        }

        if (!BlockLayout.KeepsStatistics(context.Policy)) return;
        store.Move(_statistics.Pointer, BlockLayout.Statistics(Tokens), rounded: false, save, Workspace.Workers);
        store.Move(_rowStatistics.Pointer, Layout.RowStatistics(Batch, Length), rounded: false, save, Workspace.Workers);
    }

    /// <summary>Looks through rows of a chunk of a panel while they are in the cache.</summary>
    public void Look(BlockPanel panel, int chunk, int firstRow, int rows)
    {
        if (!FiniteSearch.AllFinite(this[panel].Chunk(chunk) + ((long)firstRow * Width), (long)rows * Width)) _nonFinite = true;
    }

    public void End()
    {
        Array.Clear(_panels);
        (OutputGradient, Gradients, Options) = (null, null!, null!);
        AttentionWeights = null;
    }

    public long Now() => Profile ? Stopwatch.GetTimestamp() : 0;

    public long Lap(int worker, ProfileStage stage, long since)
    {
        if (!Profile) return 0;
        if (OutputGradient is not null && stage <= ProfileStage.FeedForward) stage = ProfileStage.Recomputation;
        long now = Stopwatch.GetTimestamp();
        Ticks[(worker * BlockProfile.Stages) + (int)stage] += now - since;
        return now;
    }

    public void Dispose()
    {
        _shared.Dispose();
        NormVectors.Dispose();
        Sums.Dispose();
        Codes.Dispose();
    }
}

/// <summary>The panels of a block's call: those that a context saves, or those that the calls of a workspace share.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed class BlockActivations<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly Panel<T>[] _panels = [.. Enum.GetValues<BlockPanel>().Select(_ => new Panel<T>())];

    public Panel<T> this[BlockPanel panel] => _panels[(int)panel];

    /// <summary>Mean and 1 / deviation of LN1, then of LN2, each [chunks * width].</summary>
    public GrowableBuffer<T> Statistics { get; } = new();

    /// <summary>Maximum and inverse sum of the attention's exponentials, [B, H, 2, T rounded up to 16].</summary>
    public GrowableBuffer<T> RowStatistics { get; } = new();

    public long AllocatedBytes
    {
        get
        {
            long bytes = Statistics.AllocatedBytes + RowStatistics.AllocatedBytes;
            foreach (Panel<T> panel in _panels) bytes += panel.AllocatedBytes;
            return bytes;
        }
    }

    public void Dispose()
    {
        foreach (Panel<T> panel in _panels) panel.Dispose();
        Statistics.Dispose();
        RowStatistics.Dispose();
    }
}
