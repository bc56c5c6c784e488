using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>
/// The activations of one training step of a model: residual stream at every layer, a <see cref="BlockContext{T}"/> a block, the head's panels. Made once
/// for a model and used again every step; memory is allocated at the first step of a shape.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed class Gpt2Context<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly Gpt2Model<T> _model;

    /// <summary>Creates the contexts of <paramref name="model"/>'s blocks.</summary>
    public Gpt2Context(Gpt2Model<T> model, Workspace<T> workspace, CheckpointPolicy policy = CheckpointPolicy.None)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(workspace);
        _model = model;
        Workspace = workspace;
        Policy = policy;
        Blocks = [.. model.Blocks.Select(_ => new BlockContext<T>(policy))];
        Residual = [.. Enumerable.Range(0, model.Blocks.Count + 1).Select(_ => new Panel<T>())];
    }

    /// <summary>Threads and scratch.</summary>
    public Workspace<T> Workspace { get; }

    /// <summary>What is kept.</summary>
    public CheckpointPolicy Policy { get; }

    /// <summary>Bytes of activations kept between forward and backward.</summary>
    public long ActivationBytes => Blocks.Sum(b => b.AllocatedBytes) + Residual.Sum(p => p.AllocatedBytes);

    internal BlockContext<T>[] Blocks { get; }

    /// <summary>Input of block l, and the last one's output.</summary>
    internal Panel<T>[] Residual { get; }

    internal Panel<T> GradientA { get; } = new();

    internal Panel<T> GradientB { get; } = new();

    internal Panel<T> HeadInput { get; } = new();

    internal Panel<T> HeadInputHat { get; } = new();

    internal Panel<T> Logits { get; } = new();

    internal Slab<T> HeadVectors { get; } = new();

    internal Slab<T> HeadSums { get; } = new();

    internal Slab<T> Losses { get; } = new();

    internal Slab<int> Targets { get; } = new();

    internal int[] Tokens { get; set; } = [];

    /// <summary>Options of the blocks' forwards; kept so that a step allocates nothing.</summary>
    internal ForwardOptions<T> Options { get; } = new();

    internal void Require(Gpt2Model<T> model)
    {
        if (!ReferenceEquals(model, _model))
        {
            throw new ShapeMismatchException("context", $"one made for this model of {model.Blocks.Count} blocks", $"one of another model of {Blocks.Length} blocks", "Make a Gpt2Context for each model.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (BlockContext<T> block in Blocks) block.Dispose();
        foreach (Panel<T> panel in Residual) panel.Dispose();
        foreach (Panel<T> panel in (Panel<T>[])[GradientA, GradientB, HeadInput, HeadInputHat, Logits]) panel.Dispose();
        foreach (Slab<T> slab in (Slab<T>[])[HeadVectors, HeadSums, Losses]) slab.Dispose();
        Targets.Dispose();
    }
}
