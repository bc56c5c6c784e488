using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Layers;
using RbeMl.Memory;

namespace RbeMl.Models;

/// <summary>Past keys and values of every layer of a model, for generation. Memory grows with the tokens.</summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed class KvCache<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly LayerKvCache<T>[] _layers;
    private readonly ForwardOptions<T>[] _options;

    /// <summary>Makes an empty cache for up to <paramref name="capacity"/> tokens of <paramref name="batch"/> sequences.</summary>
    /// <exception cref="InvalidSettingException">A number is out of range, the model is not causal, or a model of doubles is to be cached
    /// in less than its own precision.</exception>
    public KvCache(TransformerConfig config, int batch, int capacity, KvFormat format = KvFormat.F32)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        config.RequireLanguageModel("a KV cache is for");

        if (capacity > config.MaxSequenceLength)
        {
            throw new InvalidSettingException(nameof(capacity), capacity,
                $"the model has {Amount.Of(config.MaxSequenceLength, "position")}. Use at most that.");
        }

        Lease = new Lease(this);
        _layers = [.. Enumerable.Range(0, config.Layers).Select(_ => new LayerKvCache<T>(batch, config.Heads, config.HeadWidth, capacity, format, Lease))];
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

    /// <summary>Bytes of native memory held: 0 before the first token.</summary>
    public long AllocatedBytes => _layers.Sum(l => l.AllocatedBytes);

    /// <summary>The cache of one layer.</summary>
    internal LayerKvCache<T> this[int layer] => _layers[layer];

    /// <summary>Options of a layer's forward with its cache; kept so that a step allocates nothing.</summary>
    internal ForwardOptions<T> Options(int layer) => _options[layer];

    internal Lease Lease { get; }

    /// <summary>Forgets everything.</summary>
    /// <exception cref="ConcurrentUseException">A call is using it.</exception>
    public void Reset()
    {
        using Hold held = Lease.Claim();
        foreach (LayerKvCache<T> layer in _layers) layer.Clear();
    }

    /// <summary>Forgets what layers hold beyond so many tokens, in the middle of a call.</summary>
    internal void Truncate(int length)
    {
        foreach (LayerKvCache<T> layer in _layers) layer.Cut(Math.Min(length, layer.Length));
    }

    /// <summary>Frees the memory, after the call that is using it.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        foreach (LayerKvCache<T> layer in _layers) layer.Free();
    }

    /// <summary>Checks that a model's call fits: a cache for each of its blocks, of its shapes, all with the same tokens.</summary>
    internal void Check(TransformerModel<T> model, int batch, int tokens)
    {
        if (Layers != model.Blocks.Count)
        {
            throw new ShapeMismatchException("KV cache", $"{Amount.Of(model.Blocks.Count, "layer")}", $"{Layers}",
                "Make the cache with this model's configuration.");
        }

        for (int l = 0; l < _layers.Length; l++)
        {
            if (_layers[l].Length != Length)
            {
                throw new ShapeMismatchException("KV cache", $"{Amount.Of(Length, "token")} in every layer", $"{_layers[l].Length} in layer {l}",
                    "Let only the model append to its cache, or reset it.");
            }

            _layers[l].Check(model.Blocks[l], batch, model.Config.Heads, model.Config.HeadWidth, tokens);
        }
    }
}
