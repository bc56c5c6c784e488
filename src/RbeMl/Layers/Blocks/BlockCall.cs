using System.Diagnostics;
using System.Numerics;
using RbeMl.Memory;
using RbeMl.Numerics;

namespace RbeMl.Layers;

/// <summary>The state of one forward or backward of a block; owned by a workspace and used again by the next call.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class BlockCall<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly BlockActivations<T> _shared = new();
    private readonly Panel<T> _input = new();
    private volatile bool _nonFinite;

    public Workspace<T> Workspace { get; private set; } = null!;

    public Panel<T> X { get; private set; } = null!;

    /// <summary>Output of a forward, input gradient of a backward.</summary>
    public Panel<T> Result { get; private set; } = null!;

    public Panel<T> OutputGradient { get; set; } = null!;

    public ParameterVector<T> Gradients { get; set; } = null!;

    public ForwardOptions<T> Options { get; private set; } = null!;

    public int Batch { get; private set; }

    public int Length { get; private set; }

    public int Past { get; private set; }

    public CheckpointPolicy? Keep { get; set; }

    /// <summary>Parts that attention divides each head into.</summary>
    public int Parts { get; set; } = 1;

    /// <summary>Chunks that the forward's stages work on together.</summary>
    public int Together { get; set; } = 1;

    public T* AttentionWeights { get; set; }

    /// <summary>[worker][stage].</summary>
    public long[] Ticks { get; private set; } = [];

    // Panels of the call: saved in the context or shared, by policy.
    public Panel<T> X1Hat { get; private set; } = null!;

    public Panel<T> Qkv { get; private set; } = null!;

    public Panel<T> Att { get; private set; } = null!;

    public Panel<T> AttHat { get; private set; } = null!;

    public Panel<T> Middle { get; private set; } = null!;

    public Panel<T> X2Hat { get; private set; } = null!;

    public Panel<T> Hidden { get; private set; } = null!;

    public Panel<T> HiddenHat { get; private set; } = null!;

    public Slab<T> Statistics { get; private set; } = null!;

    public Slab<T> RowStatistics { get; private set; } = null!;

    /// <summary>Decoded gamma1, beta1, gamma2, beta2, each [Dp].</summary>
    public Slab<T> LayerNormVectors { get; } = new();

    // Backward only: gradients in the coefficient domain, moments, partial sums.
    public Panel<T> ContractHat { get; } = new();

    public Panel<T> ExpandHat { get; } = new();

    public Panel<T> OutputHat { get; } = new();

    public Panel<T> QkvGradient { get; } = new();

    public Panel<T> AttGradient { get; } = new();

    public Panel<T> MiddleGradient { get; } = new();

    public Panel<T> MomentsOfInputs { get; } = new();

    public Panel<T> MomentsOfGradients { get; } = new();

    public Slab<T> PartialSums { get; } = new();

    /// <summary>Whether stages are timed.</summary>
    public bool Profile { get; private set; }

    public long AllocatedBytes => _shared.AllocatedBytes + _input.AllocatedBytes + LayerNormVectors.AllocatedBytes + ContractHat.AllocatedBytes + ExpandHat.AllocatedBytes + OutputHat.AllocatedBytes
        + QkvGradient.AllocatedBytes + AttGradient.AllocatedBytes + MiddleGradient.AllocatedBytes + MomentsOfInputs.AllocatedBytes + MomentsOfGradients.AllocatedBytes + PartialSums.AllocatedBytes;

    public void Begin(Workspace<T> workspace, Panel<T> x, Panel<T> result, int batch, int length, int past, ForwardOptions<T> options)
    {
        (Workspace, X, Result, Batch, Length, Past, Options) = (workspace, x, result, batch, length, past, options);
        _nonFinite = false;
        Profile = options.Profile || workspace.Profile is not null;
        if (!Profile) return;
        if (Ticks.Length != workspace.Team.Threads * BlockProfile.Stages) Ticks = new long[workspace.Team.Threads * BlockProfile.Stages];
        Array.Clear(Ticks);
    }

    /// <summary>Where a call without a context may work instead of in panels of its own: a context that waits for its next forward.</summary>
    public BlockContext<T>? Lent { get; set; }

    /// <summary>
    /// Takes the panels that the policy keeps from the context, the others from the shared ones. With offload all are shared: what is kept goes to the
    /// store after the forward (<see cref="Store"/>) and comes back before the backward (<see cref="Restore"/>).
    /// </summary>
    public void Use(BlockContext<T>? context)
    {
        if (context is null && Lent is { Offload: ActivationOffload.None } lent)
        {
            // Only panels that its own forward fills: others would stay beside those that it shares.
            Use(lent.Saved, lent.Policy is CheckpointPolicy.Full ? _shared : lent.Saved, lent.Policy is CheckpointPolicy.None ? lent.Saved : _shared);
            return;
        }

        BlockActivations<T> saved = context is { Offload: ActivationOffload.None } ? context.Saved : _shared;
        BlockActivations<T> most = Keep is CheckpointPolicy.None or CheckpointPolicy.Selective ? saved : _shared;
        BlockActivations<T> all = Keep is CheckpointPolicy.None ? saved : _shared;
        Use(saved, most, all);
    }

    /// <summary>Puts away what a forward leaves for its backward.</summary>
    public void Store(BlockContext<T> context, long bytes, long statistics, long rowStatistics)
    {
        (context.StatisticsLength, context.RowStatisticsLength) = (statistics, rowStatistics);
        context.Store(_shared, X, bytes, Workspace.Team);
    }

    /// <summary>Brings back what a context put away; its input is then <see cref="X"/>.</summary>
    public void Restore(BlockContext<T> context)
    {
        X = _input;
        context.Restore(_shared, X, Workspace.Team);
    }

    private void Use(BlockActivations<T> saved, BlockActivations<T> most, BlockActivations<T> all)
    {
        Middle = saved.Middle;
        (X1Hat, Qkv, Att, X2Hat, Hidden, Statistics, RowStatistics) = (most.X1Hat, most.Qkv, most.Att, most.X2Hat, most.Hidden, most.Statistics, most.RowStatistics);
        (AttHat, HiddenHat) = (all.AttHat, all.HiddenHat);
    }

    /// <summary>Whether <see cref="Look"/> has seen a NaN or infinity.</summary>
    public bool HasNonFinite => _nonFinite;

    /// <summary>Looks through a chunk of a panel while it is in the cache.</summary>
    public void Look(Panel<T> panel, int chunk)
    {
        if (!FiniteSearch.AllFinite(panel.Chunk(chunk), panel.ChunkStride)) _nonFinite = true;
    }

    public void End()
    {
        (X, Result, OutputGradient, Gradients, Options) = (null!, null!, null!, null!, null!);
        AttentionWeights = null;
    }

    public long Now() => Profile ? Stopwatch.GetTimestamp() : 0;

    public long Lap(int worker, ProfileStage stage, long since)
    {
        if (!Profile) return 0;
        if (OutputGradient is not null && stage <= ProfileStage.FeedForward) stage = ProfileStage.Recomputation;
        long now = Stopwatch.GetTimestamp();
        Ticks[worker * BlockProfile.Stages + (int)stage] += now - since;
        return now;
    }

    public void Dispose()
    {
        _shared.Dispose();
        _input.Dispose();
        LayerNormVectors.Dispose();
        PartialSums.Dispose();
        foreach (Panel<T> panel in (Panel<T>[])[ContractHat, ExpandHat, OutputHat, QkvGradient, AttGradient, MiddleGradient, MomentsOfInputs, MomentsOfGradients]) panel.Dispose();
    }
}
