using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Layers;

namespace RbeMl.Models;

/// <summary>Past keys and values of every layer of a model, for generation.</summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed class KvCache<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly LayerKvCache<T>[] _layers;
    private readonly ForwardOptions<T>[] _options;

    /// <summary>Allocates room for <paramref name="capacity"/> tokens of <paramref name="batch"/> sequences.</summary>
    /// <exception cref="InvalidSettingException">A number is out of range, or a model of doubles is to be cached in less than its own precision.</exception>
    public KvCache(TransformerConfig config, int batch, int capacity, KvFormat format = KvFormat.F32)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        if (capacity > config.MaxSequenceLength) throw new InvalidSettingException(nameof(capacity), capacity, $"the model has {config.MaxSequenceLength} positions.");
        _layers = [.. Enumerable.Range(0, config.Layers).Select(_ => new LayerKvCache<T>(batch, config.Heads, config.HeadWidth, capacity, format))];
        _options = [.. _layers.Select(layer => new ForwardOptions<T> { Cache = layer })];
    }

    /// <summary>Layers.</summary>
    public int Layers => _layers.Length;

    /// <summary>Tokens held.</summary>
    public int Length => _layers[0].Length;

    /// <summary>Most tokens it can hold.</summary>
    public int Capacity => _layers[0].Capacity;

    /// <summary>Sequences.</summary>
    public int Batch => _layers[0].Batch;

    /// <summary>How numbers are stored.</summary>
    public KvFormat Format => _layers[0].Format;

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes => _layers.Sum(l => l.AllocatedBytes);

    /// <summary>The cache of one layer.</summary>
    public LayerKvCache<T> this[int layer] => _layers[layer];

    /// <summary>Options of a layer's forward with its cache; kept so that a step allocates nothing.</summary>
    internal ForwardOptions<T> Options(int layer) => _options[layer];

    /// <summary>Forgets everything.</summary>
    public void Reset()
    {
        foreach (LayerKvCache<T> layer in _layers) layer.Reset();
    }

    /// <summary>Forgets what layers hold beyond so many tokens.</summary>
    internal void Truncate(int length)
    {
        foreach (LayerKvCache<T> layer in _layers) layer.Truncate(Math.Min(length, layer.Length));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (LayerKvCache<T> layer in _layers) layer.Dispose();
    }
}
