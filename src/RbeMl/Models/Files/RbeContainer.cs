using System.Buffers.Binary;
using System.IO.Hashing;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace RbeMl.Models.Files;

/// <summary>
/// An open <c>.rbe</c> container (layout: <see cref="RbeContainerWriter"/>). Opening checks everything but the payloads, and each payload is
/// checked when it is read: no flipped bit and no cut goes unnoticed. Nothing is allocated by a length that has not been checked.
/// </summary>
public sealed class RbeContainer : IDisposable
{
    private readonly SafeFileHandle _handle;
    private readonly Dictionary<string, RbeTensorInfo> _byName;

    private RbeContainer(string path, SafeFileHandle handle, RbeHeader header)
    {
        Path = path;
        _handle = handle;
        Metadata = header.Metadata;
        Tensors = header.Tensors;
        _byName = Tensors.ToDictionary(t => t.Name);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

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
            handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            RbeContainer container = new(path, handle, ReadHeader(path, handle));
            handle = null;
            return container;
        }
        catch (FileNotFoundException error)
        {
            throw new RbeFileException(path, "no such file. Check the name.", error);
        }
        catch (DirectoryNotFoundException error)
        {
            throw new RbeFileException(path, "no such folder. Check the name.", error);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            string problem = Directory.Exists(path) ? "is a folder, a .rbe file is needed." : $"cannot be read ({error.Message.TrimEnd('.')}).";
            throw new RbeFileException(path, problem, error);
        }
        finally
        {
            handle?.Dispose();
        }
    }

    /// <summary>Whether there is a tensor of that name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>The entry of a tensor.</summary>
    /// <exception cref="RbeFileException">There is none of that name.</exception>
    public RbeTensorInfo Find(string name) =>
        _byName.TryGetValue(name, out RbeTensorInfo? info) ? info : throw new RbeFileException(Path, $"tensor \"{name}\" is missing. The file is not a complete model; write it again.");

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
        if (info.Count > Array.MaxLength) throw new RbeFileException(Path, $"tensor \"{name}\" has {info.Count} elements, more than an array's {Array.MaxLength}. Read it into native memory.");
        T[] data = GC.AllocateUninitializedArray<T>((int)info.Count);
        using MemoryHandleOf<T> pin = new(data);
        Load(info, pin.Address);
        return data;
    }

    /// <summary>Reads and checks a tensor into native memory.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">Room for the product of <paramref name="shape"/>.</param>
    /// <param name="shape">The shape required.</param>
    /// <exception cref="RbeFileException">Missing, of another type or shape, or damaged.</exception>
    public unsafe void Read<T>(string name, T* destination, params long[] shape)
        where T : unmanaged
    {
        RbeTensorInfo info = Find(name);
        Require<T>(info, shape);
        Load(info, (nint)destination);
    }

    /// <summary>Reads every payload and checks its checksum.</summary>
    /// <exception cref="RbeFileException">A payload is damaged.</exception>
    public void Verify()
    {
        byte[] part = new byte[1 << 20];
        foreach (RbeTensorInfo info in Tensors)
        {
            XxHash3 hash = new();
            for (long done = 0; done < info.ByteLength; done += part.Length)
            {
                Span<byte> piece = part.AsSpan(0, (int)Math.Min(part.Length, info.ByteLength - done));
                Fill(Path, _handle, piece, info.Offset + done);
                hash.Append(piece);
            }

            CheckHash(info, hash);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private void Require<T>(RbeTensorInfo info, long[]? shape)
        where T : unmanaged
    {
        RbeElement element = RbeElements.Of<T>();
        if (info.Element == element && (shape is null || info.Shape.SequenceEqual(shape))) return;
        string expected = shape is null ? RbeElements.Name(element) : (info with { Element = element, Shape = shape }).Describe();
        throw new RbeFileException(Path, $"tensor \"{info.Name}\": expected {expected}, the file has {info.Describe()}. It belongs to another model; write it again.");
    }

    private unsafe void Load(RbeTensorInfo info, nint destination)
    {
        const int Part = 1 << 26;
        XxHash3 hash = new();
        for (long done = 0; done < info.ByteLength; done += Part)
        {
            Span<byte> piece = new((byte*)destination + done, (int)Math.Min(Part, info.ByteLength - done));
            Fill(Path, _handle, piece, info.Offset + done);
            hash.Append(piece);
        }

        CheckHash(info, hash);
    }

    private void CheckHash(RbeTensorInfo info, XxHash3 hash)
    {
        if (hash.GetCurrentHashAsUInt64() != info.Hash) throw Damaged(Path, $"the checksum of tensor \"{info.Name}\" is wrong");
    }

    private static RbeHeader ReadHeader(string path, SafeFileHandle handle)
    {
        long length = RandomAccess.GetLength(handle);
        Span<byte> preface = stackalloc byte[RbeContainerWriter.PrefaceLength];
        int read = ReadUpTo(handle, preface);
        if (read < 8 || !preface[..8].SequenceEqual(RbeContainerWriter.Magic)) throw new RbeFileException(path, ForeignFile.Describe(preface[..read]));
        if (read < preface.Length) throw Damaged(path, $"it ends after {length} bytes, within the preface");
        uint version = BinaryPrimitives.ReadUInt32LittleEndian(preface[8..]);
        if (version > RbeContainerWriter.Version)
        {
            throw new RbeFileException(path, $"has format version {version}, written by a newer version of RbeMl (this one reads up to {RbeContainerWriter.Version}), or is damaged. Update RbeMl.");
        }

        ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(preface[16..]);
        if (headerLength > RbeContainerWriter.HeaderLimit) throw Damaged(path, $"its header claims {headerLength} bytes, more than the limit of {RbeContainerWriter.HeaderLimit}");
        if ((long)headerLength > length - preface.Length) throw Damaged(path, $"its header claims {headerLength} bytes, but only {length - preface.Length} follow");
        byte[] header = new byte[(int)headerLength];
        Fill(path, handle, header, preface.Length);
        if (BinaryPrimitives.ReadUInt64LittleEndian(preface[24..]) != RbeContainerWriter.HeaderHash(preface[..RbeContainerWriter.HashedPreface], header))
        {
            throw Damaged(path, "the checksum of its header is wrong");
        }

        if (version == 0 || BinaryPrimitives.ReadUInt32LittleEndian(preface[12..]) != 0) throw Damaged(path, "its preface is wrong");
        long end = preface.Length + header.Length;
        RbeHeader parsed = RbeHeader.Parse(path, header, end, length);
        Span<byte> zeros = stackalloc byte[RbeContainerWriter.Alignment];
        foreach (RbeTensorInfo tensor in parsed.Tensors)
        {
            Span<byte> gap = zeros[..(int)(tensor.Offset - end)];
            Fill(path, handle, gap, end);
            if (gap.ContainsAnyExcept((byte)0)) throw Damaged(path, $"the gap before tensor \"{tensor.Name}\" is not zero");
            end = tensor.Offset + tensor.ByteLength;
        }

        return parsed;
    }

    internal static RbeFileException Damaged(string path, string what) => new(path, $"is damaged: {what}. Copy it again or write it anew.");

    private static int ReadUpTo(SafeFileHandle handle, Span<byte> destination)
    {
        int read = 0;
        while (read < destination.Length && RandomAccess.Read(handle, destination[read..], read) is > 0 and int more) read += more;
        return read;
    }

    private static void Fill(string path, SafeFileHandle handle, Span<byte> destination, long offset)
    {
        try
        {
            for (int read = 0; read < destination.Length;)
            {
                int more = RandomAccess.Read(handle, destination[read..], offset + read);
                if (more == 0) throw Damaged(path, $"it ends at byte {offset + read}, inside its data");
                read += more;
            }
        }
        catch (IOException error)
        {
            throw new RbeFileException(path, $"cannot be read ({error.Message.TrimEnd('.')}).", error);
        }
    }

    private readonly struct MemoryHandleOf<T>(T[] data) : IDisposable
        where T : unmanaged
    {
        private readonly GCHandle _handle = GCHandle.Alloc(data, GCHandleType.Pinned);

        public nint Address => _handle.AddrOfPinnedObject();

        public void Dispose() => _handle.Free();
    }
}
