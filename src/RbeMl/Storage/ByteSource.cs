using Microsoft.Win32.SafeHandles;

namespace RbeMl.Storage;

/// <summary>Where the bytes of a container come from.</summary>
internal abstract class ByteSource : IDisposable
{
    /// <summary>Number of bytes; null where only reading can tell.</summary>
    public abstract long? Length { get; }

    /// <summary>The number of bytes where it is known or less than <paramref name="wanted"/>, else at least that.</summary>
    public abstract long LengthUpTo(long wanted);

    /// <summary>Reads some bytes; 0 at the end.</summary>
    public abstract int Read(Span<byte> destination, long offset);

    /// <inheritdoc/>
    public virtual void Dispose()
    {
    }
}

/// <summary>A file.</summary>
internal sealed class FileSource(SafeFileHandle handle) : ByteSource
{
    public SafeFileHandle Handle => handle;

    public override long? Length => RandomAccess.GetLength(handle);

    public override long LengthUpTo(long wanted) => RandomAccess.GetLength(handle);

    public override int Read(Span<byte> destination, long offset) => RandomAccess.Read(handle, destination, offset);

    public override void Dispose() => handle.Dispose();
}

/// <summary>
/// A stream from where it stands, read forwards only as far as asked for and kept in pieces, so that memory is taken for bytes that came, never for a length
/// that was claimed. The stream stays its owner's.
/// </summary>
internal sealed class StreamSource(Stream stream) : ByteSource
{
    private const int Piece = 1 << 20;
    private readonly List<byte[]> _pieces = [];
    private long _loaded;
    private bool _ended;

    public override long? Length => null;

    public override long LengthUpTo(long wanted)
    {
        while (_loaded < wanted && !_ended)
        {
            int at = (int)(_loaded % Piece);
            if (at == 0) _pieces.Add(new byte[Piece]);
            int read = stream.Read(_pieces[^1], at, (int)Math.Min(Piece - at, wanted - _loaded));
            _ended = read == 0;
            if (_ended && at == 0) _pieces.RemoveAt(_pieces.Count - 1);
            _loaded += read;
        }

        return _loaded;
    }

    public override int Read(Span<byte> destination, long offset)
    {
        long end = Math.Min(offset + destination.Length, LengthUpTo(offset + destination.Length));
        if (end <= offset) return 0;
        int at = (int)(offset % Piece), count = (int)Math.Min(Piece - at, end - offset);
        _pieces[(int)(offset / Piece)].AsSpan(at, count).CopyTo(destination);
        return count;
    }
}
