using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>Receives consecutive bytes of a tensor, the first of which is byte <paramref name="start"/> of it.</summary>
internal delegate void TensorPart(long start, ReadOnlySpan<byte> part);

/// <summary>
/// An open safetensors file. Opening checks the whole header, so that no length or place is used unchecked; the data have no checksums. Tensors are
/// read through a memory map of one part at a time, at most 16 MB, so that the file's pages do not pile up in the process. The file must not be
/// shortened while it is open. Format: https://github.com/huggingface/safetensors.
/// </summary>
internal sealed class SafetensorsFile : IDisposable
{
    private const int PartBytes = 1 << 24;
    private readonly SafeFileHandle _handle;
    private readonly MemoryMappedFile _map;
    private readonly long _length;
    private readonly Dictionary<string, SafetensorsTensor> _byName;

    private SafetensorsFile(string path, SafeFileHandle handle, SafetensorsHeader header)
    {
        Path = path;
        Metadata = header.Metadata;
        Tensors = header.Tensors;
        _handle = handle;
        _length = RandomAccess.GetLength(handle);
        _byName = Tensors.ToDictionary(t => t.Name, StringComparer.Ordinal);
        _map = MemoryMappedFile.CreateFromFile(handle, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The free texts of <c>__metadata__</c>.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>All tensors in the order of their data.</summary>
    public IReadOnlyList<SafetensorsTensor> Tensors { get; }

    /// <summary>Opens a file and checks its header.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RbeFileException">The file is missing, unreadable, no safetensors file, cut, or its header is wrong.</exception>
    public static SafetensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle? handle = null;
        try
        {
            handle = FileReading.Open(path, "a safetensors file", ForeignFolder.MissingMend(path));
            SafetensorsFile file = new(path, handle, SafetensorsHeader.Read(path, handle));
            handle = null;
            return file;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw FileReading.Unreadable(path, error);
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
    public SafetensorsTensor Find(string name) =>
        _byName.TryGetValue(name, out SafetensorsTensor? tensor) ? tensor
            : throw new RbeFileException(Path, $"holds no tensor \"{name}\". Ask for one of its {Amount.Of(Tensors.Count, "tensor")}.");

    /// <summary>Reads an F32, F16 or BF16 tensor as floats, exactly. NaN and infinity come through as they are.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">Room for all its elements, row-major.</param>
    /// <exception cref="RbeFileException">Missing, of another type, or unreadable.</exception>
    /// <exception cref="ShapeMismatchException">The destination has another length.</exception>
    public unsafe void Read(string name, Span<float> destination)
    {
        SafetensorsTensor tensor = RequireFloats(Find(name));
        if (destination.Length != tensor.Count)
        {
            throw new ShapeMismatchException($"destination of tensor \"{name}\"", $"{tensor.Count} values", $"{destination.Length}",
                "Pass room for the whole tensor.");
        }

        int count = destination.Length, size = SafetensorsElements.Bits(tensor.Element) / 8;
        fixed (float* pinned = destination)
        {
            nint address = (nint)pinned;
            Stream(tensor, size,
                (start, part) =>
                HalfPrecision.Widen(tensor.Element, part, new Span<float>((float*)address, count).Slice((int)(start / size), part.Length / size)));
        }
    }

    /// <summary>Reads an F32, F16 or BF16 tensor as an array of floats, exactly. NaN and infinity come through as they are.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="RbeFileException">Missing, of another type, too long for an array, or unreadable.</exception>
    public float[] ReadFloats(string name)
    {
        SafetensorsTensor tensor = RequireFloats(Find(name));
        if (tensor.Count > Array.MaxLength)
        {
            throw new RbeFileException(Path,
                $"tensor \"{name}\" has {tensor.Count} elements, more than an array's {Array.MaxLength}. Stream its bytes with CopyTo.");
        }

        float[] values = GC.AllocateUninitializedArray<float>((int)tensor.Count);
        Read(name, values);
        return values;
    }

    /// <summary>Writes a tensor's bytes, of any type, without an array of them.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="destination">Takes the bytes.</param>
    /// <exception cref="RbeFileException">Missing or unreadable.</exception>
    public void CopyTo(string name, Stream destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        Stream(Find(name), 1, (_, part) => destination.Write(part));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _map.Dispose();
        _handle.Dispose();
    }

    internal SafetensorsTensor RequireFloats(SafetensorsTensor tensor) => SafetensorsElements.IsFloat(tensor.Element)
        ? tensor
        : throw new RbeFileException(Path,
            $"tensor \"{tensor.Name}\" is {tensor.Describe()}; F32, F16 and BF16 can be read as floats. Convert it to one of them.");

    /// <summary>Gives all bytes of a tensor in parts of whole units (elements, rows); a part is at most 16 MB, or one unit.</summary>
    internal void Stream(SafetensorsTensor tensor, int unit, TensorPart use)
    {
        long step = Math.Max(1, PartBytes / unit) * (long)unit;
        for (long start = 0; start < tensor.ByteLength; start += step)
        {
            using MappedBytes bytes = Map(tensor, start, (int)Math.Min(step, tensor.ByteLength - start));
            use(start, bytes.Span);
        }
    }

    /// <summary>Maps some bytes of a tensor.</summary>
    internal MappedBytes Map(SafetensorsTensor tensor, long start, int length)
    {
        // Touching a mapped page beyond the end of a file ends the process.
        if (RandomAccess.GetLength(_handle) < _length) throw SafetensorsHeader.Damaged(Path, "it was shortened while it was open");
        try
        {
            return new MappedBytes(_map.CreateViewAccessor(tensor.Offset + start, length, MemoryMappedFileAccess.Read), length);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw FileReading.Unreadable(Path, error);
        }
    }

    /// <summary>Bytes of the file, mapped until disposed.</summary>
    internal readonly unsafe ref struct MappedBytes : IDisposable
    {
        private readonly MemoryMappedViewAccessor _view;

        public MappedBytes(MemoryMappedViewAccessor view, int length)
        {
            _view = view;
            byte* address = null;
            view.SafeMemoryMappedViewHandle.AcquirePointer(ref address);
            Span = new ReadOnlySpan<byte>(address + view.PointerOffset, length);
        }

        public ReadOnlySpan<byte> Span { get; }

        public void Dispose()
        {
            _view.SafeMemoryMappedViewHandle.ReleasePointer();
            _view.Dispose();
        }
    }
}
