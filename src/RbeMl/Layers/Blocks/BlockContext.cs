using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// What the forward of a block leaves for its backward: made once, filled by <c>Forward</c>, consumed by <c>Backward</c>, then used again.
/// What it holds depends on its <see cref="Policy"/>, where on its <see cref="Offload"/>. The forward's options are referenced, not copied,
/// and so is its input panel unless that is offloaded: keep them unchanged until the backward. It belongs to the block of the forward that
/// filled it, and serves one call at a time.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed class BlockContext<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly ActivationStore<T>? _store;

    /// <summary>Creates a context.</summary>
    /// <param name="policy">What is kept.</param>
    /// <param name="offload">Where.</param>
    /// <param name="spillFolder">
    /// Folder of a file of its own for <see cref="ActivationOffload.Spill"/>; null for the system's temporary folder.
    /// </param>
    /// <exception cref="InvalidSettingException">bf16 for elements other than float.</exception>
    public BlockContext(
        CheckpointPolicy policy = CheckpointPolicy.None, ActivationOffload offload = ActivationOffload.None, string? spillFolder = null)
        : this(
            policy, offload, offload == ActivationOffload.Spill ? new SpillStore<T>(new SpillFile(spillFolder), 0, ownsFile: true) : null)
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
            store = new BFloat16Store() as ActivationStore<T> ?? throw new InvalidSettingException(
                nameof(offload), offload,
                $"bf16 holds float activations, not {typeof(T).Name}; use {ActivationOffload.Spill} or {ActivationOffload.None}.");
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

    /// <summary>Takes what a forward was given; its panels are filled already.</summary>
    internal void Fill(RbeTransformerBlock<T> owner, Panel<T> x, ForwardOptions<T> options, int batch, int length, int past) =>
        (Owner, X, Options, Batch, Length, Past, CacheGeneration) =
        (owner, x, options, batch, length, past, options.Cache?.Generation ?? 0);

    /// <summary>Where an offload puts what is kept.</summary>
    internal ActivationStore<T> Store => _store!;

    /// <summary>Frees the memory, after the call that is using it.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        Saved.Dispose();
        Input.Dispose();
        _store?.Dispose();
    }
}
