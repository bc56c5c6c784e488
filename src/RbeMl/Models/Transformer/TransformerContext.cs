using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>
/// The activations of one training step of a model: residual stream at every layer, a <see cref="BlockContext{T}"/> a block, the head's panels. Made once
/// for a model and used again every step; memory is allocated at the first step of a shape. With offload the residual stream is two panels, whatever
/// the number of layers. It serves its model, and one call at a time.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class TransformerContext<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly TransformerModel<T> _model;
    private readonly SpillFile? _spill;

    /// <summary>Creates the contexts of <paramref name="model"/>'s blocks.</summary>
    /// <param name="model">The model.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="policy">What is kept for the backward.</param>
    public TransformerContext(TransformerModel<T> model, Workspace<T> workspace, CheckpointPolicy policy = CheckpointPolicy.None)
        : this(model, workspace, new ActivationSettings { Checkpointing = policy })
    {
    }

    /// <summary>Creates the contexts of <paramref name="model"/>'s blocks.</summary>
    /// <param name="model">The model.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="settings">What is kept for the backward, where, and how much of a batch is done at a time.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range.</exception>
    /// <exception cref="RbeFileException">The spill folder cannot be used.</exception>
    public TransformerContext(TransformerModel<T> model, Workspace<T> workspace, ActivationSettings settings)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(workspace);
        ArgumentNullException.ThrowIfNull(settings);
        _model = model;
        Lease = new Lease(this);
        Workspace = workspace;
        Settings = settings.Validate();
        CheckpointPolicy policy = settings.Checkpointing;
        if (settings.Offload is ActivationOffload.Spill) _spill = new SpillFile(settings.SpillFolder);
        Blocks = [.. model.Blocks.Select((_, l) => _spill is null ? new BlockContext<T>(policy, settings.Offload)
            : new BlockContext<T>(policy, settings.Offload, _spill, l))];
        Panel<T>[] panels = [.. Enumerable.Range(0, settings.Offload is ActivationOffload.None ? model.Blocks.Count + 1 : 2).Select(_ => new Panel<T>())];
        Residual = [.. Enumerable.Range(0, model.Blocks.Count + 1).Select(l => panels[l % panels.Length])];
    }

    /// <summary>Threads and scratch.</summary>
    public Workspace<T> Workspace { get; }

    /// <summary>What is kept, where, and how much of a batch is done at a time.</summary>
    public ActivationSettings Settings { get; }

    /// <summary>What is kept.</summary>
    public CheckpointPolicy Policy => Settings.Checkpointing;

    /// <summary>Bytes of native memory for activations kept between forward and backward.</summary>
    public long ActivationBytes => Blocks.Sum(b => b.AllocatedBytes) + Residual.Distinct().Sum(p => p.AllocatedBytes) + EmbeddingGradient.AllocatedBytes;

    /// <summary>Bytes of native memory of the head: logits and loss of a group of chunks.</summary>
    public long HeadBytes =>
        HeadInputCoefficients.AllocatedBytes + Logits.AllocatedBytes + HeadVectors.AllocatedBytes + HeadSums.AllocatedBytes
            + Losses.AllocatedBytes + Targets.AllocatedBytes + Ids.AllocatedBytes + Padding.AllocatedBytes + Documents.AllocatedBytes;

    /// <summary>Bytes of the gradients that go from block to block.</summary>
    public long GradientBytes => GradientA.AllocatedBytes + GradientB.AllocatedBytes;

    /// <summary>Bytes of the spill file.</summary>
    public long SpilledBytes => _spill?.AllocatedBytes ?? 0;

    /// <summary>The spill file, or null.</summary>
    public string? SpillPath => _spill?.Path;

    internal Lease Lease { get; }

    internal BlockContext<T>[] Blocks { get; }

    /// <summary>Input of block l, and the last one's output. With offload two panels take turns.</summary>
    internal Panel<T>[] Residual { get; }

    internal Panel<T> GradientA { get; } = new();

    internal Panel<T> GradientB { get; } = new();

    /// <summary>Gradient of the embedding's output of the whole batch, when that is done in parts.</summary>
    internal Panel<T> EmbeddingGradient { get; } = new();

    internal Panel<T> HeadInputCoefficients { get; } = new();

    internal Panel<T> Logits { get; } = new();

    internal GrowableBuffer<T> HeadVectors { get; } = new();

    internal GrowableBuffer<T> HeadSums { get; } = new();

    internal GrowableBuffer<T> Losses { get; } = new();

    internal GrowableBuffer<int> Targets { get; } = new();

    /// <summary>The caller's tokens, targets and positions.</summary>
    internal GrowableBuffer<int> Ids { get; } = new();

    /// <summary>Documents that share rows.</summary>
    internal RowDocuments Documents { get; } = new();

    /// <summary>Hides the padding from tokens that would see it.</summary>
    internal PaddingMask<T> Padding { get; } = new();

    /// <summary>Options of the blocks' forwards; kept so that a step allocates nothing.</summary>
    internal ForwardOptions<T> Options { get; } = new();

    /// <summary>Ends the call under way between two blocks.</summary>
    internal CancellationToken Cancel { get; set; }

    /// <summary>Makes room in the spill file for all blocks.</summary>
    internal void PrepareOffload(int batch, int length)
    {
        if (_spill is null) return;
        long bytes = 0;
        for (int l = 0; l < Blocks.Length; l++) bytes = Math.Max(bytes, _model.Blocks[l].Layout.StoreBytes<T>(Policy, Settings.Offload, batch, length));
        _spill.Prepare(bytes, Blocks.Length);
    }

    internal void Require(TransformerModel<T> model)
    {
        if (!ReferenceEquals(model, _model))
        {
            throw new ShapeMismatchException("context", $"one made for this model of {model.Blocks.Count} blocks",
                $"one of another model of {Blocks.Length} blocks", "Make a TransformerContext for each model.");
        }
    }

    /// <summary>Copies of a caller's tokens, targets and positions: what is checked must not change before it is used.</summary>
    internal void Own(ref ReadOnlySpan<int> tokens, ref ReadOnlySpan<int> targets, ref ReadOnlySpan<int> positions)
    {
        long count = (long)tokens.Length + targets.Length;
        int* ids = Ids.Ensure(count + positions.Length);
        Span<int> first = new(ids, tokens.Length), second = new(ids + tokens.Length, targets.Length), third = new(ids + count, positions.Length);
        tokens.CopyTo(first);
        targets.CopyTo(second);
        positions.CopyTo(third);
        tokens = first;
        targets = second;
        positions = third;
    }

    /// <summary>Frees the memory and deletes the spill file, after the call that is using them.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        foreach (BlockContext<T> block in Blocks) block.Dispose();
        foreach (Panel<T> panel in Residual) panel.Dispose();
        foreach (Panel<T> panel in (Panel<T>[])[GradientA, GradientB, EmbeddingGradient, HeadInputCoefficients, Logits]) panel.Dispose();
        foreach (GrowableBuffer<T> buffer in (GrowableBuffer<T>[])[HeadVectors, HeadSums, Losses]) buffer.Dispose();
        Targets.Dispose();
        Ids.Dispose();
        Padding.Dispose();
        Documents.Dispose();
        _spill?.Dispose();
    }
}
