using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// Keys and values that one attention layer has already computed: <c>[sequence][head][feature][position]</c> in a <see cref="KvFormat"/>. Memory grows with the
/// tokens, doubling up to <see cref="Capacity"/>, so that a token is appended in constant time on average. The next token's position is
/// <see cref="Length"/>. Attention reads the stored numbers, its own call's included, so what a token sees does not depend on how the
/// tokens were divided into calls. The tokens are those of one block, until a <see cref="Reset"/>. A backward treats the past as constant
/// and passes gradients of the call's own keys and values on as if they had not been rounded.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class LayerKvCache<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly NativeBuffer<byte> _keys;
    private readonly NativeBuffer<byte> _values;
    private readonly NativeBuffer<float> _scales; // of all keys, then of all values
    private readonly int _size;
    private readonly bool _ownsLease;
    private ICacheOwner? _owner; // whose tokens are held

    /// <summary>Makes an empty cache for <paramref name="batch"/> sequences of up to <paramref name="capacity"/> tokens.</summary>
    /// <exception cref="InvalidSettingException">A number is out of range, or a model of doubles is to be cached in less than its own precision.</exception>
    public LayerKvCache(int batch, int heads, int headWidth, int capacity, KvFormat format = KvFormat.F32)
        : this(batch, heads, headWidth, capacity, format, null)
    {
    }

    /// <summary>A layer of a model's cache, which is used and freed as a whole.</summary>
    internal LayerKvCache(int batch, int heads, int headWidth, int capacity, KvFormat format, Lease? lease)
    {
        if (batch < 1) throw new InvalidSettingException(nameof(batch), batch, "use at least one sequence.");
        if (heads < 1 || headWidth < 1) throw new InvalidSettingException("heads x head width", $"{heads} x {headWidth}", "use positive numbers.");
        if (capacity > Array.MaxLength - 16) throw new InvalidSettingException(nameof(capacity), capacity, $"use at most {Array.MaxLength - 16} positions.");
        if (capacity < 1) throw new InvalidSettingException(nameof(capacity), capacity, "use at least one position.");
        if (!Enum.IsDefined(format)) throw new InvalidSettingException(nameof(format), format, $"use one of {string.Join(", ", Enum.GetNames<KvFormat>())}.");
        if (format != KvFormat.F32 && typeof(T) != typeof(float))
        {
            throw new InvalidSettingException(nameof(format), format,
                $"a model of {typeof(T).Name} numbers takes {KvFormat.F32}, which keeps them as they are.");
        }

        Batch = batch;
        Heads = heads;
        HeadWidth = headWidth;
        Capacity = capacity;
        Format = format;
        _size = format == KvFormat.F32 ? sizeof(T) : KvRows.SizeOf(format);

        // No larger number comes up later.
        if (Shape.Count(batch, heads, headWidth, MostRoom) * _size > long.MaxValue)
        {
            throw new InvalidSettingException("batch x heads x head width x capacity", Shape.Count(batch, heads, headWidth, MostRoom),
                "no memory holds so many numbers.");
        }

        _keys = new NativeBuffer<byte>(0);
        _values = new NativeBuffer<byte>(0);
        _scales = new NativeBuffer<float>(0);
        Lease = lease ?? new Lease(this);
        _ownsLease = lease is null;
    }

    /// <summary>Sequences.</summary>
    public int Batch { get; }

    /// <summary>Heads.</summary>
    public int Heads { get; }

    /// <summary>Width of a head.</summary>
    public int HeadWidth { get; }

    /// <summary>Most tokens it can hold.</summary>
    public int Capacity { get; }

    /// <summary>How numbers are stored.</summary>
    public KvFormat Format { get; }

    /// <summary>Tokens held.</summary>
    public int Length { get; private set; }

    /// <summary>Number of resets so far: what was read from the cache before one is gone after it.</summary>
    public int Generation { get; private set; }

    /// <summary>Bytes of native memory held: 0 before the first token.</summary>
    public long AllocatedBytes => _keys.Length + _values.Length + (_scales.Length * sizeof(float));

    internal Lease Lease { get; }

    /// <summary>Positions there is room for; elements from a feature to the next.</summary>
    internal int Stride { get; private set; }

    private int MostRoom => Panel<T>.RoundUp(Capacity, 16);

    /// <summary>Forgets everything.</summary>
    /// <exception cref="ConcurrentUseException">A call is using it.</exception>
    public void Reset()
    {
        using Hold held = Lease.Claim();
        Clear();
    }

    /// <summary>Forgets the last tokens, so that <paramref name="length"/> remain.</summary>
    /// <exception cref="InvalidSettingException">It holds fewer.</exception>
    /// <exception cref="ConcurrentUseException">A call is using it.</exception>
    public void Truncate(int length)
    {
        using Hold held = Lease.Claim();
        Cut(length);
    }

    /// <summary>Frees the memory, after the call that is using it; that of a layer of a model's cache is freed with that.</summary>
    public void Dispose()
    {
        if (_ownsLease) Lease.Dispose();
    }

    void ILeased.Free() => Free();

    /// <summary>Forgets the last tokens, in the middle of a call that has claimed the cache.</summary>
    internal void Cut(int length)
    {
        if ((uint)length > (uint)Length) throw new InvalidSettingException(nameof(length), length, $"use 0 .. {Length}, the number of tokens held.");
        if (length == Length) return;
        Length = length;
        Generation++;
    }

    internal void Free()
    {
        _keys.Dispose();
        _values.Dispose();
        _scales.Dispose();
    }

    /// <summary>Forgets everything.</summary>
    internal void Clear()
    {
        _keys.Clear();
        _values.Clear();
        _scales.Clear();
        Length = 0;
        Generation++;
    }

    /// <summary>Makes room for so many more tokens, twice what there was at least; they fit (<see cref="Check"/>). No managed object is made.</summary>
    internal void Reserve(int tokens)
    {
        int needed = Length + tokens;
        if (needed <= Stride) return;
        int room = (int)Math.Min(MostRoom, Math.Max(Panel<T>.RoundUp(needed, Panel<T>.WideLanes), 2L * Stride));
        long rows = (long)Batch * Heads;
        _keys.Widen(rows * HeadWidth, (long)Stride * _size, (long)room * _size, (long)Length * _size);
        _values.Widen(rows * HeadWidth, (long)Stride * _size, (long)room * _size, (long)Length * _size);
        if (Format == KvFormat.Int8) _scales.Widen(2 * rows, Stride, room, Length);
        Stride = room;
    }

    /// <summary>Keys of a head.</summary>
    internal KvRows Keys(int sequence, int head) => Rows(_keys, 0, sequence, head);

    /// <summary>Values of a head.</summary>
    internal KvRows Values(int sequence, int head) => Rows(_values, (long)Batch * Heads * Stride, sequence, head);

    /// <summary>
    /// Writes keys and values of one head of one sequence at <paramref name="position"/>: panel rows from the two features on, tokens from
    /// <paramref name="first"/>. Writing the same again changes nothing.
    /// </summary>
    internal void Write(int sequence, int head, int position, Panel<T> panel, int keyFeature, int valueFeature, int first, int tokens, int layer)
    {
        Write(Keys(sequence, head), "key", position, panel, keyFeature, first, tokens, layer, head);
        Write(Values(sequence, head), "value", position, panel, valueFeature, first, tokens, layer, head);
    }

    /// <summary>The same for the one token whose keys and values are vectors <c>[headWidth]</c>; 15 more elements behind each are read.</summary>
    internal void Write(int sequence, int head, int position, T* key, T* value, int layer)
    {
        Write(Keys(sequence, head), "key", position, key, layer, head);
        Write(Values(sequence, head), "value", position, value, layer, head);
    }

    /// <summary>
    /// target <c>[headWidth][stride]</c> = the first <paramref name="tokens"/> positions, zero beyond; stride is at least their number
    /// rounded up to 16.
    /// </summary>
    internal void Read(in KvRows rows, int tokens, T* target, int stride)
    {
        if (Format != KvFormat.F32) KvKernel.Load(rows, HeadWidth, tokens, (float*)target, stride);
        for (int f = 0; f < HeadWidth; f++)
        {
            Span<T> row = new(target + ((long)f * stride), stride);
            if (Format == KvFormat.F32) new Span<T>((T*)rows.Codes + ((long)f * Stride), tokens).CopyTo(row);
            row[tokens..].Clear();
        }
    }

    /// <summary>Checks that a block's call fits: same batch and heads, room for its tokens, and no tokens of another block.</summary>
    internal void Check(ICacheOwner block, int batch, int heads, int headWidth, int tokens)
    {
        string layer = block.Name;
        if (batch != Batch || heads != Heads || headWidth != HeadWidth)
        {
            throw new ShapeMismatchException(
                $"{layer}: KV cache", $"{Amount.Of(batch, "sequence")} x {heads} heads x {headWidth}", $"{Batch} x {Heads} x {HeadWidth}",
                "Make the cache for this model and batch.");
        }

        if (Length > 0 && _owner is not null && !ReferenceEquals(_owner, block))
        {
            throw new ShapeMismatchException($"{layer}: KV cache", "tokens of this block",
                $"{Amount.Of(Length, "token")} of another block or model, {_owner.Name}", "Make a cache for each block and model, or reset it.");
        }

        if ((long)Length + tokens > Capacity)
        {
            throw new TokenException(
                $"{layer}: the KV cache holds {Length} of at most {Amount.Of(Capacity, "token")}, {tokens} more do not fit. Make a larger cache or reset it.");
        }
    }

    internal void Advance(ICacheOwner block, int tokens)
    {
        _owner = block;
        Length += tokens;
    }

    private KvRows Rows(NativeBuffer<byte> codes, long firstScale, int sequence, int head)
    {
        long row = ((long)sequence * Heads + head) * Stride;
        nint scales = Format == KvFormat.Int8 ? (nint)(_scales.Pointer + firstScale + row) : 0;
        return new KvRows(Format, (nint)(codes.Pointer + (row * HeadWidth * _size)), scales, Stride);
    }

    private void Write(in KvRows rows, string what, int position, Panel<T> panel, int feature, int first, int tokens, int layer, int head)
    {
        if (Format == KvFormat.F32)
        {
            PanelRows.Gather(panel, feature, HeadWidth, first, tokens, (T*)rows.Codes + position, Stride);
            return;
        }

        for (int done = 0; done < tokens;)
        {
            (int chunk, int lane) = Math.DivRem(first + done, panel.Lanes);
            int count = Math.Min(panel.Lanes - lane, tokens - done);
            float* source = (float*)(panel.Chunk(chunk) + ((long)feature * panel.Lanes));
            if (!KvKernel.Store(rows, position + done, source, HeadWidth, panel.Lanes, lane, count)) throw NotFinite(what, position + done, count, layer, head);
            done += count;
        }
    }

    private void Write(in KvRows rows, string what, int position, T* vector, int layer, int head)
    {
        if (Format == KvFormat.F32)
        {
            for (int f = 0; f < HeadWidth; f++) ((T*)rows.Codes)[((long)f * Stride) + position] = vector[f];
            return;
        }

        if (!KvKernel.Store(rows, position, (float*)vector, HeadWidth, 1, 0, 1)) throw NotFinite(what, position, 1, layer, head);
    }

    private NonFiniteException NotFinite(string what, int position, int count, int layer, int head)
    {
        string limit = Format == KvFormat.F16 ? ", or beyond 65504, the largest half" : "";
        return new NonFiniteException(
            $"layer {layer}, KV cache",
            $"a {what} of head {head} at positions {position} to {position + count - 1} is NaN or infinite{limit}. Look for damaged weights, or use "
                + $"{KvFormat.F32}.");
    }
}

/// <summary>A block, whose tokens a cache holds.</summary>
internal interface ICacheOwner
{
    /// <summary>What messages call it.</summary>
    string Name { get; }
}
