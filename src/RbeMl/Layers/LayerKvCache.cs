using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// Keys and values that one attention layer has already computed, preallocated: <c>[sequence][head][feature][position]</c>, fp32 (or T), appended to in
/// constant time a token. The next token's position is <see cref="Length"/>.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class LayerKvCache<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly NativeBuffer<T> _keys;
    private readonly NativeBuffer<T> _values;

    /// <summary>Allocates a cache for <paramref name="batch"/> sequences of up to <paramref name="capacity"/> tokens.</summary>
    public LayerKvCache(int batch, int heads, int headWidth, int capacity)
    {
        if (batch < 1) throw new InvalidSettingException(nameof(batch), batch, "use at least one sequence.");
        if (heads < 1 || headWidth < 1) throw new InvalidSettingException("heads x head width", $"{heads} x {headWidth}", "use positive numbers.");
        if (capacity > Array.MaxLength - 16) throw new InvalidSettingException(nameof(capacity), capacity, $"use at most {Array.MaxLength - 16} positions.");
        if (capacity < 1) throw new InvalidSettingException(nameof(capacity), capacity, "use at least one position.");
        Batch = batch;
        Heads = heads;
        HeadWidth = headWidth;
        Capacity = capacity;
        Stride = Panel<T>.RoundUp(capacity, 16);
        _keys = new NativeBuffer<T>((long)batch * heads * headWidth * Stride);
        _values = new NativeBuffer<T>((long)batch * heads * headWidth * Stride);
    }

    /// <summary>Sequences.</summary>
    public int Batch { get; }

    /// <summary>Heads.</summary>
    public int Heads { get; }

    /// <summary>Width of a head.</summary>
    public int HeadWidth { get; }

    /// <summary>Most tokens it can hold.</summary>
    public int Capacity { get; }

    /// <summary>Tokens held.</summary>
    public int Length { get; private set; }

    /// <summary>Number of resets so far: what was read from the cache before one is gone after it.</summary>
    public int Generation { get; private set; }

    /// <summary>Elements from a feature to the next.</summary>
    public int Stride { get; }

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes => (_keys.Length + _values.Length) * sizeof(T);

    /// <summary>Keys of a head, <c>[headWidth][stride]</c>.</summary>
    public T* Keys(int sequence, int head) => _keys.Pointer + ((long)sequence * Heads + head) * HeadWidth * Stride;

    /// <summary>Values of a head, <c>[headWidth][stride]</c>.</summary>
    public T* Values(int sequence, int head) => _values.Pointer + ((long)sequence * Heads + head) * HeadWidth * Stride;

    /// <summary>Forgets everything.</summary>
    public void Reset()
    {
        _keys.Clear();
        _values.Clear();
        Length = 0;
        Generation++;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _keys.Dispose();
        _values.Dispose();
    }

    /// <summary>Checks that a call fits: same batch and heads, room for its tokens.</summary>
    internal void Check(string layer, int batch, int heads, int headWidth, int tokens)
    {
        if (batch != Batch || heads != Heads || headWidth != HeadWidth)
        {
            throw new ShapeMismatchException(
                $"{layer}: KV cache", $"{batch} sequences x {heads} heads x {headWidth}", $"{Batch} x {Heads} x {HeadWidth}", "Make the cache for this model and batch.");
        }

        if (Length + tokens > Capacity)
        {
            throw new TokenException($"{layer}: the KV cache holds {Length} of at most {Capacity} tokens, {tokens} more do not fit. Make a larger cache or reset it.");
        }
    }

    internal void Advance(int tokens) => Length += tokens;
}
