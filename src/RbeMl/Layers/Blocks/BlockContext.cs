using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// What the forward of a block leaves for its backward: made once, filled by <c>Forward</c>, consumed by <c>Backward</c>, then used again. What it holds
/// depends on its <see cref="Policy"/>, where on its <see cref="Offload"/>. The forward's options are referenced, not copied, and so is its input panel
/// unless that is offloaded: keep them unchanged until the backward. It belongs to the block of the forward that filled it, and serves one call at a time.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed class BlockContext<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int MostPanels = 9;
    private readonly ActivationStore<T>? _store;
    private readonly (int Tokens, int Features, int PaddedFeatures)[] _shapes = new (int, int, int)[MostPanels];

    /// <summary>Creates a context.</summary>
    /// <param name="policy">What is kept.</param>
    /// <param name="offload">Where.</param>
    /// <param name="spillFolder">Folder of a file of its own for <see cref="ActivationOffload.Spill"/>; null for the system's temporary folder.</param>
    /// <exception cref="InvalidSettingException">bf16 for elements other than float.</exception>
    public BlockContext(CheckpointPolicy policy = CheckpointPolicy.None, ActivationOffload offload = ActivationOffload.None, string? spillFolder = null)
        : this(policy, offload, offload == ActivationOffload.Spill ? new SpillStore<T>(new SpillFile(spillFolder), 0, ownsFile: true) : null)
    {
    }

    /// <summary>A context that spills into a region of a file that others share.</summary>
    internal BlockContext(CheckpointPolicy policy, ActivationOffload offload, SpillFile file, int region)
        : this(policy, offload, new SpillStore<T>(file, region, ownsFile: false))
    {
    }

    private BlockContext(CheckpointPolicy policy, ActivationOffload offload, ActivationStore<T>? store)
    {
        if (offload == ActivationOffload.BFloat16)
        {
            store = new BFloat16Store() as ActivationStore<T> ?? throw new InvalidSettingException(nameof(offload), offload, $"bf16 holds float activations, not {typeof(T).Name}; use {ActivationOffload.Spill} or {ActivationOffload.None}.");
        }

        (Policy, Offload, _store) = (policy, offload, store);
        Lease = new Lease(this);
    }

    /// <summary>What is kept.</summary>
    public CheckpointPolicy Policy { get; }

    /// <summary>Where it is kept.</summary>
    public ActivationOffload Offload { get; }

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes => Saved.AllocatedBytes + Input.AllocatedBytes + (_store?.AllocatedBytes ?? 0);

    internal BlockActivations<T> Saved { get; } = new();

    /// <summary>Holds the converted input of the row-major forward.</summary>
    internal Panel<T> Input { get; } = new();

    internal Panel<T>? X { get; set; }

    internal ForwardOptions<T>? Options { get; set; }

    internal int Batch { get; set; }

    internal int Length { get; set; }

    internal int Past { get; set; }

    internal int CacheGeneration { get; set; }

    /// <summary>The block whose forward filled it; null when it is empty.</summary>
    internal RbeTransformerBlock<T>? Owner { get; set; }

    internal Lease Lease { get; }

    internal long StatisticsLength { get; set; }

    internal long RowStatisticsLength { get; set; }

    /// <summary>Puts away what the forward left in shared panels: its input and what the policy keeps.</summary>
    internal void Store(BlockActivations<T> shared, Panel<T> x, long bytes, ThreadTeam team)
    {
        _store!.Prepare(bytes);
        _store.Rewind();
        for (int i = 0; i < BlockActivations<T>.KeptPanels(Policy); i++)
        {
            Panel<T> panel = i == 0 ? x : shared.Kept(i);
            _shapes[i] = (panel.Tokens, panel.Features, panel.PaddedFeatures);
            Move(panel, save: true, team);
        }

        MoveStatistics(shared, save: true, team);
    }

    /// <summary>Brings it back into shared panels.</summary>
    internal void Restore(BlockActivations<T> shared, Panel<T> x, ThreadTeam team)
    {
        _store!.Rewind();
        for (int i = 0; i < BlockActivations<T>.KeptPanels(Policy); i++)
        {
            (int tokens, int features, int paddedFeatures) = _shapes[i];
            Move((i == 0 ? x : shared.Kept(i)).Reshape(tokens, features, paddedFeatures), save: false, team);
        }

        MoveStatistics(shared, save: false, team);
    }

    private unsafe void Move(Panel<T> panel, bool save, ThreadTeam team) => _store!.Move(panel.Pointer, panel.Length, rounded: true, save, team);

    // Full checkpointing computes them again.
    private unsafe void MoveStatistics(BlockActivations<T> shared, bool save, ThreadTeam team)
    {
        if (Policy is CheckpointPolicy.Full) return;
        long statistics = StatisticsLength, rows = RowStatisticsLength;
        _store!.Move(shared.Statistics.Ensure(statistics), statistics, rounded: false, save, team);
        _store.Move(shared.RowStatistics.Ensure(rows), rows, rounded: false, save, team);
    }

    /// <summary>Frees the memory, after the call that is using it.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        Saved.Dispose();
        Input.Dispose();
        _store?.Dispose();
    }
}

/// <summary>The intermediate panels of a block: saved by a context, or shared scratch of a workspace.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed class BlockActivations<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    /// <summary>LN1(x) in the coefficient domain, [Dp].</summary>
    public Panel<T> X1Hat { get; } = new();

    /// <summary>Query, key, value, [3 Dp].</summary>
    public Panel<T> Qkv { get; } = new();

    /// <summary>Attention output before its projection, [Dp].</summary>
    public Panel<T> Att { get; } = new();

    /// <summary>The same in the coefficient domain, [Dp].</summary>
    public Panel<T> AttHat { get; } = new();

    /// <summary>x + attention half, the input of the feed-forward half, [Dp].</summary>
    public Panel<T> Middle { get; } = new();

    /// <summary>LN2(middle) in the coefficient domain, [Dp].</summary>
    public Panel<T> X2Hat { get; } = new();

    /// <summary>Input of GELU, [Fp].</summary>
    public Panel<T> Hidden { get; } = new();

    /// <summary>Output of GELU in the coefficient domain, [Fp].</summary>
    public Panel<T> HiddenHat { get; } = new();

    /// <summary>Mean and 1/deviation of LN1 and LN2, each [chunks * width].</summary>
    public Slab<T> Statistics { get; } = new();

    /// <summary>Maximum and inverse sum of the attention's exponentials, [B, H, 2, T rounded up to 16].</summary>
    public Slab<T> RowStatistics { get; } = new();

    /// <summary>Panels that a policy keeps, the block's input (number 0) included.</summary>
    public static int KeptPanels(CheckpointPolicy policy) => policy switch { CheckpointPolicy.None => 9, CheckpointPolicy.Selective => 7, _ => 2 };

    /// <summary>Panel number 1 and up of those kept: what a policy keeps comes before what only a more generous one does.</summary>
    public Panel<T> Kept(int number) => number switch
    {
        1 => Middle,
        2 => X1Hat,
        3 => Qkv,
        4 => Att,
        5 => X2Hat,
        6 => Hidden,
        7 => AttHat,
        _ => HiddenHat,
    };

    public long AllocatedBytes => X1Hat.AllocatedBytes + Qkv.AllocatedBytes + Att.AllocatedBytes + AttHat.AllocatedBytes + Middle.AllocatedBytes
        + X2Hat.AllocatedBytes + Hidden.AllocatedBytes + HiddenHat.AllocatedBytes + Statistics.AllocatedBytes + RowStatistics.AllocatedBytes;

    public void Dispose()
    {
        foreach (Panel<T> panel in (Panel<T>[])[X1Hat, Qkv, Att, AttHat, Middle, X2Hat, Hidden, HiddenHat]) panel.Dispose();
        Statistics.Dispose();
        RowStatistics.Dispose();
    }
}
