using System.Buffers;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// An open <c>.rbe</c> container (layout: <see cref="RbeContainerWriter"/>). Opening checks everything but the payloads, and each payload is
/// checked when it is read: no flipped bit and no cut goes unnoticed. Nothing is allocated by a length that has not been checked.
/// </summary>
internal sealed partial class RbeContainer : IDisposable
{
    private const int PartBytes = 1 << 18;
    private readonly ByteSource _source;
    private readonly Dictionary<string, RbeTensorInfo> _byName;
    private readonly Lock _mappingLock = new();
    private FileMapping? _mapping;

    private RbeContainer(string path, ByteSource source, RbeHeader header)
    {
        Path = path;
        Length = header.End;
        _source = source;
        Metadata = header.Metadata;
        Tensors = header.Tensors;
        _byName = Tensors.ToDictionary(t => t.Name);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Bytes of the file.</summary>
    public long Length { get; }

    /// <summary>The metadata object.</summary>
    public JsonElement Metadata { get; }

    /// <summary>All tensors in the order of the file.</summary>
    public IReadOnlyList<RbeTensorInfo> Tensors { get; }

    /// <summary>Opens a container.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RbeFileException">The file is missing, unreadable, not a container, of a newer version, damaged or cut.</exception>
    public static RbeContainer Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle? handle = null;
        try
        {
            handle = FileReading.Open(path, "a .rbe file", ForeignFolder.MissingMend(path));
            FileSource source = new(handle);
            RbeContainer container = new(path, source, ReadHeader(path, source));
            handle = null;
            return container;
        }
        catch (Exception error) when (IoReason.Is(error))
        {
            throw FileReading.Unreadable(path, error);
        }
        finally
        {
            handle?.Dispose();
        }
    }

    /// <summary>
    /// Reads a container from a stream, which need not be able to seek, from where it stands to the container's last byte; what follows is left in the
    /// stream. All of it is kept in memory until <see cref="Dispose"/>, and memory is taken only for bytes that came.
    /// </summary>
    /// <param name="stream">The stream; it stays open.</param>
    /// <param name="name">What messages call it.</param>
    /// <exception cref="RbeFileException">It is not a container, of a newer version, damaged or cut, or it cannot be read.</exception>
    public static RbeContainer Open(Stream stream, string name = "stream")
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentException.ThrowIfNullOrEmpty(name);
        if (!stream.CanRead) throw new RbeFileException(name, "cannot be read. Give a stream that is open for reading.");
        try
        {
            StreamSource source = new(stream);
            return new RbeContainer(name, source, ReadHeader(name, source));
        }
        catch (Exception error) when (error is IOException or NotSupportedException)
        {
            throw new RbeFileException(name, $"cannot be read ({IoReason.Of(error)}). Check where the stream comes from.", error);
        }
    }

    /// <summary>Whether several threads may read at once: a file's parts, not those of a stream, which come one after the other.</summary>
    public bool ReadsAnywhere => _source is FileSource;

    /// <summary>Whether there is a tensor of that name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>The entry of a tensor.</summary>
    /// <exception cref="RbeFileException">There is none of that name.</exception>
    public RbeTensorInfo Find(string name) =>
        _byName.TryGetValue(name, out RbeTensorInfo? info) ? info
            : throw new RbeFileException(Path, $"tensor \"{name}\" is missing. The file is not a complete model; write it again.");

    /// <summary>Reads and checks a tensor.</summary>
    /// <typeparam name="T">float, Half, byte, ushort, sbyte or int, as stored.</typeparam>
    /// <param name="name">Its name.</param>
    /// <param name="shape">The shape required; none accepts any.</param>
    /// <exception cref="RbeFileException">Missing, of another type or shape, too long for an array, or damaged.</exception>
    public T[] Read<T>(string name, params long[] shape)
        where T : unmanaged
    {
        RbeTensorInfo info = Find(name);
        Require<T>(info, shape.Length == 0 ? null : shape);
        if (info.Count > Array.MaxLength)
        {
            throw new RbeFileException(Path, $"tensor \"{name}\" has {info.Count} elements, more than an array's {Array.MaxLength}. Split it.");
        }

        T[] data = GC.AllocateUninitializedArray<T>((int)info.Count);
        using MemoryHandleOf<T> pin = new(data);
        Load(info, pin.Address);
        return data;
    }

    /// <summary>Reads and checks a tensor to where it will be used.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="values">As many as the tensor has, written.</param>
    /// <exception cref="RbeFileException">Missing, of another type or length, or damaged.</exception>
    public unsafe void ReadTo(string name, Span<float> values)
    {
        RbeTensorInfo info = Find(name);
        Require<float>(info, [values.Length]);
        fixed (float* target = values) Load(info, (nint)target);
    }

    /// <summary>
    /// A tensor of bytes where it lies in the file, mapped read-only: nothing is read, and nothing checked, before it is used
    /// (<see cref="Verify(string)"/> checks). The memory stays valid after <see cref="Dispose"/>, for as long as anyone holds it.
    /// </summary>
    /// <param name="name">Its name; the type must be u8.</param>
    /// <param name="shape">The shape required; none accepts any.</param>
    /// <exception cref="RbeFileException">Missing, of another type or shape, more than 2^31 - 1 bytes, or the file cannot be mapped.</exception>
    public ReadOnlyMemory<byte> Map(string name, params long[] shape)
    {
        if (_source is not FileSource file)
        {
            throw new RbeFileException(Path, "was read from a stream, which cannot be mapped into memory. Load it with Map = false.");
        }

        ObjectDisposedException.ThrowIf(file.Handle.IsClosed, this);
        RbeTensorInfo info = Find(name);
        Require<byte>(info, shape.Length == 0 ? null : shape);
        if (info.ByteLength > int.MaxValue)
        {
            throw new RbeFileException(Path,
                $"tensor \"{name}\" has {Amount.Of(info.ByteLength, "byte")}, at most {int.MaxValue} can be mapped as one. Split it.");
        }

        if (info.ByteLength == 0) return default;
        lock (_mappingLock) _mapping ??= FileMapping.Open(Path, file.Handle, Length);
        return _mapping.Part(info.Offset, (int)info.ByteLength);
    }

    /// <summary>Copies the bytes of a tensor to a stream, part by part, and checks them; damage shows after the last part.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">The stream.</param>
    /// <exception cref="RbeFileException">Missing or damaged.</exception>
    public void CopyTo(string name, Stream destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        Scan(Find(name), destination.Write);
    }

    /// <summary>Requires a tensor of a type and shape.</summary>
    /// <exception cref="RbeFileException">It is missing, or of another type or shape.</exception>
    internal void Require<T>(string name, params long[] shape)
        where T : unmanaged => Require<T>(Find(name), shape);

    /// <summary>Gives the bytes of a tensor part by part and checks them; damage shows after the last part.</summary>
    internal void Read(string name, BytesSink sink) => Scan(Find(name), sink);

    /// <summary>Reads every payload and checks its checksum.</summary>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="RbeFileException">A payload is damaged.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public void Verify(CancellationToken cancel = default)
    {
        byte[] part = new byte[PartBytes];
        foreach (RbeTensorInfo info in Tensors) Scan(info, part, _ => cancel.ThrowIfCancellationRequested());
    }

    /// <summary>Reads one payload and checks its checksum.</summary>
    /// <param name="name">The tensor.</param>
    /// <exception cref="RbeFileException">It is missing or damaged.</exception>
    public void Verify(string name) => Scan(Find(name), null);

    /// <summary>Closes the file; memory that <see cref="Map"/> gave stays valid.</summary>
    public void Dispose()
    {
        _source.Dispose();
        _mapping = null;
    }

    private void Require<T>(RbeTensorInfo info, long[]? shape)
        where T : unmanaged
    {
        RbeElement element = RbeElements.Of<T>();
        if (info.Element == element && (shape is null || info.Shape.SequenceEqual(shape))) return;
        string expected = shape is null ? RbeElements.Name(element) : (info with { Element = element, Shape = shape }).Describe();
        throw new RbeFileException(Path,
            $"tensor \"{info.Name}\": expected {expected}, the file has {info.Describe()}. It belongs to another model; write it again.");
    }

    private unsafe void Load(RbeTensorInfo info, nint destination)
    {
        const int Part = 1 << 26;
        XxHash3 hash = new();
        for (long done = 0; done < info.ByteLength; done += Part)
        {
            Span<byte> piece = new((byte*)destination + done, (int)Math.Min(Part, info.ByteLength - done));
            Fill(Path, _source, piece, info.Offset + done);
            hash.Append(piece);
        }

        CheckHash(info, hash);
    }

    // A buffer for each tensor would be garbage of the kind that makes the collector look at everything.
    private void Scan(RbeTensorInfo info, BytesSink? sink)
    {
        byte[] part = ArrayPool<byte>.Shared.Rent((int)Math.Min(PartBytes, info.ByteLength));
        try
        {
            Scan(info, part, sink);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(part);
        }
    }

    private void Scan(RbeTensorInfo info, byte[] part, BytesSink? sink)
    {
        XxHash3 hash = new();
        for (long done = 0; done < info.ByteLength; done += part.Length)
        {
            Span<byte> piece = part.AsSpan(0, (int)Math.Min(part.Length, info.ByteLength - done));
            Fill(Path, _source, piece, info.Offset + done);
            hash.Append(piece);
            sink?.Invoke(piece);
        }

        CheckHash(info, hash);
    }

    private void CheckHash(RbeTensorInfo info, XxHash3 hash)
    {
        if (hash.GetCurrentHashAsUInt64() != info.Hash) throw Damaged(Path, $"the checksum of tensor \"{info.Name}\" is wrong");
    }

    private readonly struct MemoryHandleOf<T>(T[] data) : IDisposable
        where T : unmanaged
    {
        private readonly GCHandle _handle = GCHandle.Alloc(data, GCHandleType.Pinned);

        public nint Address => _handle.AddrOfPinnedObject();

        public void Dispose() => _handle.Free();
    }
}
