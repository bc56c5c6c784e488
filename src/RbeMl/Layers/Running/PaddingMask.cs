using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// Hides what sequences of different lengths are padded with from models whose tokens see what comes after them. A causal model needs none: no token before
/// the padding sees it. Memory is kept from call to call; the options are valid until the next.
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class PaddingMask<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly GrowableBuffer<byte> _bytes = new();
    private readonly ForwardOptions<T> _options = new();

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes => _bytes.AllocatedBytes;

    /// <summary>[B, T] bytes, 0 for padding.</summary>
    /// <param name="lengths">[B] tokens without padding.</param>
    /// <param name="length">T.</param>
    public byte* Fill(ReadOnlySpan<int> lengths, int length)
    {
        byte* bytes = _bytes.Ensure((long)lengths.Length * length);
        for (int b = 0; b < lengths.Length; b++)
        {
            Span<byte> row = new(bytes + ((long)b * length), length);
            row[..lengths[b]].Fill(1);
            row[lengths[b]..].Clear();
        }

        return bytes;
    }

    /// <summary>The same as options of a forward.</summary>
    /// <inheritdoc cref="Fill"/>
    public ForwardOptions<T> Options(ReadOnlySpan<int> lengths, int length)
    {
        _options.Padding = Fill(lengths, length);
        return _options;
    }

    /// <inheritdoc/>
    public void Dispose() => _bytes.Dispose();
}
