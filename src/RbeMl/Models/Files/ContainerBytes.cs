using Microsoft.Win32.SafeHandles;

namespace RbeMl.Models.Files;

/// <summary>Where a container's bytes are: in a file, or in memory.</summary>
internal abstract class ContainerBytes : IDisposable
{
    /// <summary>Number of bytes.</summary>
    public abstract long Length { get; }

    /// <summary>Whether <see cref="Dispose"/> was called.</summary>
    public abstract bool IsClosed { get; }

    /// <summary>Reads some bytes from a place on; 0 at the end.</summary>
    public abstract int Read(Span<byte> destination, long offset);

    /// <summary>Bytes where they are; they stay valid for as long as anyone holds them.</summary>
    /// <param name="name">The container, for messages.</param>
    /// <param name="offset">The first.</param>
    /// <param name="length">How many.</param>
    public abstract ReadOnlyMemory<byte> Map(string name, long offset, int length);

    /// <inheritdoc/>
    public abstract void Dispose();

    /// <summary>The bytes of a file.</summary>
    public sealed class OfFile(SafeFileHandle handle) : ContainerBytes
    {
        private readonly Lock _lock = new();
        private FileMapping? _mapping;

        public override long Length { get; } = RandomAccess.GetLength(handle);

        public override bool IsClosed => handle.IsClosed;

        public override int Read(Span<byte> destination, long offset) => RandomAccess.Read(handle, destination, offset);

        public override ReadOnlyMemory<byte> Map(string name, long offset, int length)
        {
            lock (_lock) _mapping ??= FileMapping.Open(name, handle, Length);
            return _mapping.Part(offset, length);
        }

        public override void Dispose()
        {
            handle.Dispose();
            _mapping = null;
        }
    }

    /// <summary>Bytes in memory.</summary>
    public sealed class OfMemory(ReadOnlyMemory<byte> bytes) : ContainerBytes
    {
        private bool _closed;

        public override long Length => bytes.Length;

        public override bool IsClosed => _closed;

        public override int Read(Span<byte> destination, long offset)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            ReadOnlySpan<byte> rest = bytes.Span[(int)Math.Min(offset, bytes.Length)..];
            int count = Math.Min(rest.Length, destination.Length);
            rest[..count].CopyTo(destination);
            return count;
        }

        public override ReadOnlyMemory<byte> Map(string name, long offset, int length) => bytes.Slice(checked((int)offset), length);

        public override void Dispose() => _closed = true;
    }
}
