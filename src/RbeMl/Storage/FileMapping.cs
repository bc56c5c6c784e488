using System.Buffers;
using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace RbeMl.Storage;

/// <summary>
/// A whole file mapped read-only. It has no Dispose: the view's handle releases the mapping when neither this object nor a memory made of it can be
/// reached any more, so that no holder of a memory ever sees it unmapped.
/// </summary>
internal sealed unsafe class FileMapping
{
    private readonly SafeMemoryMappedViewHandle _view;
    private readonly byte* _start;

    private FileMapping(SafeMemoryMappedViewHandle view)
    {
        _view = view;
        view.AcquirePointer(ref _start);
        view.ReleasePointer(); // a reference kept here would keep the finaliser of the handle from unmapping
    }

    /// <summary>Maps a file; its handle may be closed afterwards.</summary>
    /// <exception cref="RbeFileException">It cannot be mapped.</exception>
    public static FileMapping Open(string path, SafeFileHandle handle, long length)
    {
        try
        {
            using MemoryMappedFile file =
                MemoryMappedFile.CreateFromFile(handle, null, length, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
            return new FileMapping(file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read).SafeMemoryMappedViewHandle);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new RbeFileException(path, $"cannot be mapped into memory ({IoReason.Of(error)}). Load it with Map = false.", error);
        }
    }

    /// <summary>A part of the file.</summary>
    public ReadOnlyMemory<byte> Part(long offset, int length) => new Region(_view, _start + offset, length).Memory;

    /// <summary>A part of the file as memory. Code that works on a span of it keeps the memory's holder alive, or pins the memory.</summary>
    private sealed class Region(SafeMemoryMappedViewHandle view, byte* start, int length) : MemoryManager<byte>
    {
        public override Span<byte> GetSpan() => new(start, length);

        public override MemoryHandle Pin(int elementIndex = 0)
        {
            ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)length);
            bool added = false;
            view.DangerousAddRef(ref added);
            return new MemoryHandle(start + elementIndex, default, this);
        }

        public override void Unpin() => view.DangerousRelease();

        protected override void Dispose(bool disposing)
        {
            // The view belongs to all parts together.
        }
    }
}
