namespace RbeMl.Memory;

/// <summary>A native array that grows to the largest length asked for and is then reused.</summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class GrowableBuffer<T> : IDisposable
    where T : unmanaged
{
    private NativeBuffer<T>? _buffer;

    /// <summary>First element; null before <see cref="Ensure"/>.</summary>
    public T* Pointer => _buffer is null ? null : _buffer.Pointer;

    /// <summary>Bytes of native memory held.</summary>
    public long AllocatedBytes => _buffer?.AllocatedBytes ?? 0;

    /// <summary>Makes room for at least <paramref name="length"/> elements; contents are undefined.</summary>
    public T* Ensure(long length)
    {
        if (_buffer is null || _buffer.Length < length)
        {
            _buffer?.Dispose();
            _buffer = new NativeBuffer<T>(length);
        }

        return _buffer.Pointer;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _buffer?.Dispose();
        _buffer = null;
    }
}
