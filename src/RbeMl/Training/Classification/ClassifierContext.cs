using System.Numerics;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>
/// What training steps of a classifier work in: the model's activations and the head's rows. Made once and used again every step, by one
/// call at a time.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed class ClassifierContext<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly SequenceClassifier<T> _classifier;

    /// <summary>Creates the context.</summary>
    /// <param name="classifier">The classifier.</param>
    /// <param name="workspace">Threads and scratch.</param>
    /// <param name="settings">What is kept for the backward, where, and how much of a batch is done at a time; null keeps everything.</param>
    /// <exception cref="InvalidSettingException">A setting is out of range.</exception>
    /// <exception cref="RbeFileException">The spill folder cannot be used.</exception>
    public ClassifierContext(SequenceClassifier<T> classifier, Workspace<T> workspace, ActivationSettings? settings = null)
    {
        ArgumentNullException.ThrowIfNull(classifier);
        _classifier = classifier;
        Lease = new Lease(this);
        Model = new TransformerContext<T>(classifier.Model, workspace, settings ?? new ActivationSettings());
    }

    /// <summary>The model's activations.</summary>
    public TransformerContext<T> Model { get; }

    /// <summary>Threads and scratch.</summary>
    public Workspace<T> Workspace => Model.Workspace;

    /// <summary>Bytes of native memory of the head's rows.</summary>
    public long AllocatedBytes =>
        Tokens.AllocatedBytes + Rows.AllocatedBytes + Places.AllocatedBytes + Pooled.AllocatedBytes + PooledGradient.AllocatedBytes
            + Logits.AllocatedBytes + Losses.AllocatedBytes;

    internal Lease Lease { get; }

    /// <summary>[B] lengths, then [B] labels: copies, as what is checked must not change before it is used.</summary>
    internal GrowableBuffer<int> Rows { get; } = new();

    /// <summary>[B, T] padded ids.</summary>
    internal GrowableBuffer<int> Tokens { get; } = new();

    /// <summary>[B, D] token of each largest value.</summary>
    internal GrowableBuffer<int> Places { get; } = new();

    /// <summary>[B, D] input of the head, after its dropout.</summary>
    internal GrowableBuffer<T> Pooled { get; } = new();

    /// <summary>[B, D] its gradient.</summary>
    internal GrowableBuffer<T> PooledGradient { get; } = new();

    /// <summary>[B, C] logits, then their gradients.</summary>
    internal GrowableBuffer<T> Logits { get; } = new();

    /// <summary>[B] losses in nats.</summary>
    internal GrowableBuffer<double> Losses { get; } = new();

    internal void Require(SequenceClassifier<T> classifier)
    {
        if (!ReferenceEquals(classifier, _classifier))
        {
            throw new ShapeMismatchException("context", "one made for this classifier", "one of another", "Make a ClassifierContext for each classifier.");
        }
    }

    /// <summary>Frees the memory, after the call that is using it.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        Model.Dispose();
        Rows.Dispose();
        Tokens.Dispose();
        Places.Dispose();
        foreach (GrowableBuffer<T> buffer in (GrowableBuffer<T>[])[Pooled, PooledGradient, Logits]) buffer.Dispose();
        Losses.Dispose();
    }
}
