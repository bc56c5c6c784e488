using System.Buffers;
using System.Runtime.InteropServices;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>Element type of a stored tensor; all are little-endian.</summary>
internal enum RbeElement
{
    /// <summary>32-bit float.</summary>
    F32,

    /// <summary>16-bit float.</summary>
    F16,

    /// <summary>Unsigned byte.</summary>
    U8,

    /// <summary>16-bit unsigned integer.</summary>
    U16,

    /// <summary>Signed byte.</summary>
    I8,

    /// <summary>32-bit signed integer.</summary>
    I32,
}

/// <summary>Names, sizes and .NET types of the element types.</summary>
internal static class RbeElements
{
    private static readonly (string Name, int Size, Type Type)[] Table =
    [
        ("f32", 4, typeof(float)), ("f16", 2, typeof(Half)), ("u8", 1, typeof(byte)), ("u16", 2, typeof(ushort)), ("i8", 1, typeof(sbyte)),
            ("i32", 4, typeof(int)),
    ];

    public static IEnumerable<string> Names => Table.Select(t => t.Name);

    public static string Name(RbeElement element) => Table[(int)element].Name;

    public static int Size(RbeElement element) => Table[(int)element].Size;

    public static bool TryParse(string? name, out RbeElement element)
    {
        int index = Array.FindIndex(Table, t => t.Name == name);
        element = (RbeElement)Math.Max(index, 0);
        return index >= 0;
    }

    /// <exception cref="ArgumentException">No element type is stored as <typeparamref name="T"/>.</exception>
    public static RbeElement Of<T>()
        where T : unmanaged
    {
        int index = Array.FindIndex(Table, t => t.Type == typeof(T));
        return index >= 0 ? (RbeElement)index
            : throw new ArgumentException($"{typeof(T).Name} is not a stored element type: use float, Half, byte, ushort, sbyte or int.");
    }
}

/// <summary>A tensor to be written: name, shape and a way to read its bytes.</summary>
internal sealed class RbeTensor
{
    private const int PartElements = 1 << 22;

    private RbeTensor(string name, RbeElement element, long[] shape, long count, Action<BytesSink> read)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        long expected = 1;
        foreach (long side in shape)
        {
            expected = side >= 0 ? checked(expected * side) : throw new ShapeMismatchException(name, "sides of 0 or more", $"{side}", "Give the true shape.");
        }

        if (expected != count)
        {
            throw new ShapeMismatchException(name,
                $"[{string.Join(", ", shape.Select(side => $"{side}"))}] = {expected} elements", $"{count}", "Give the shape of the data.");
        }

        Name = name;
        Element = element;
        Shape = shape;
        Count = count;
        Read = read;
    }

    /// <summary>Unique name in its file.</summary>
    public string Name { get; }

    /// <summary>Element type.</summary>
    public RbeElement Element { get; }

    /// <summary>Sides, outermost first.</summary>
    public IReadOnlyList<long> Shape { get; }

    /// <summary>Elements.</summary>
    public long Count { get; }

    /// <summary>Bytes of the payload.</summary>
    public long ByteLength => Count * RbeElements.Size(Element);

    internal Action<BytesSink> Read { get; }

    /// <summary>A tensor of an array.</summary>
    /// <param name="name">Unique name.</param>
    /// <param name="data">Elements, row-major; read when the file is written.</param>
    /// <param name="shape">Sides; their product is the array's length. None means a vector.</param>
    /// <exception cref="ShapeMismatchException">Shape and data disagree.</exception>
    public static RbeTensor From<T>(string name, T[] data, params long[] shape)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(data);
        if (shape.Length == 0) shape = [data.Length];
        return new RbeTensor(name, RbeElements.Of<T>(), shape, data.Length, sink =>
        {
            for (int start = 0; start < data.Length; start += PartElements)
            {
                sink(MemoryMarshal.AsBytes(data.AsSpan(start, Math.Min(PartElements, data.Length - start))));
            }
        });
    }

    /// <summary>A tensor of bytes that may lie in a mapped file.</summary>
    /// <param name="name">Unique name.</param>
    /// <param name="data">The bytes; read when the file is written.</param>
    /// <param name="shape">Sides; their product is the number of bytes.</param>
    /// <exception cref="ShapeMismatchException">Shape and data disagree.</exception>
    public static RbeTensor From(string name, ReadOnlyMemory<byte> data, params long[] shape) =>
        new(name, RbeElement.U8, shape, data.Length, sink =>
        {
            using MemoryHandle pin = data.Pin(); // keeps a mapped file mapped
            sink(data.Span);
        });

    /// <summary>A tensor of bytes that are read from a stream while the file is written: twice, from the start each time.</summary>
    /// <param name="name">Unique name.</param>
    /// <param name="byteLength">Bytes; what the stream has beyond is not read.</param>
    /// <param name="open">Opens the stream.</param>
    /// <exception cref="ShapeMismatchException">While writing: a stream ends early.</exception>
    public static RbeTensor From(string name, long byteLength, Func<Stream> open) => From(name, byteLength, open, name);

    /// <summary>The same with another name in errors.</summary>
    internal static RbeTensor From(string name, long byteLength, Func<Stream> open, string label)
    {
        ArgumentNullException.ThrowIfNull(open);
        return new RbeTensor(name, RbeElement.U8, [byteLength], byteLength, sink =>
        {
            using Stream stream = open();
            byte[] part = new byte[Math.Min(byteLength, 1 << 18)];
            for (long done = 0; done < byteLength;)
            {
                int read = stream.ReadAtLeast(part.AsSpan(0, (int)Math.Min(part.Length, byteLength - done)), 1, throwOnEndOfStream: false);
                if (read == 0)
                {
                    throw new ShapeMismatchException($"tensor \"{label}\"", $"{Amount.Of(byteLength, "byte")}", $"{done}, where its stream ends",
                        "Give the true length.");
                }

                sink(part.AsSpan(0, read));
                done += read;
            }
        });
    }

    /// <summary>A tensor of bytes that are handed over while the file is written: twice, from the start each time.</summary>
    internal static RbeTensor From(string name, long byteLength, Action<BytesSink> read) => new(name, RbeElement.U8, [byteLength], byteLength, read);

    /// <summary>A tensor of floats that are handed over while the file is written: twice, from the start each time.</summary>
    internal static RbeTensor FromFloats(string name, long count, Action<BytesSink> read) => new(name, RbeElement.F32, [count], count, read);

    /// <summary>A tensor of the values of slices one after the other, without the gaps between them; read when the file is written.</summary>
    internal static RbeTensor From(string name, ParameterVector<float> parameters, IReadOnlyList<ParameterSlice> slices)
    {
        long count = slices.Sum(slice => (long)slice.Length);
        return new(name, RbeElement.F32, [count], count, sink =>
        {
            foreach (ParameterSlice slice in slices) From(parameters, slice).Read(sink);
        });
    }

    /// <summary>A tensor of a slice of parameters, read when the file is written.</summary>
    internal static RbeTensor From(ParameterVector<float> parameters, ParameterSlice slice) =>
        new(slice.Name, RbeElement.F32, [slice.Length], slice.Length, sink =>
    {
        using Hold held = parameters.Lease.Share();
        ReadOnlySpan<float> values = parameters.Of(slice);
        for (int start = 0; start < values.Length; start += PartElements)
        {
            sink(MemoryMarshal.AsBytes(values.Slice(start, Math.Min(PartElements, values.Length - start))));
        }
    });
}

/// <summary>A tensor found in a file.</summary>
/// <param name="Name">Unique name.</param>
/// <param name="Element">Element type.</param>
/// <param name="Shape">Sides, outermost first.</param>
/// <param name="Offset">First byte, from the start of the file; a multiple of 64.</param>
/// <param name="ByteLength">Bytes.</param>
/// <param name="Hash">XxHash3 of the bytes.</param>
internal sealed record RbeTensorInfo(string Name, RbeElement Element, IReadOnlyList<long> Shape, long Offset, long ByteLength, ulong Hash)
{
    /// <summary>Elements.</summary>
    public long Count => ByteLength / RbeElements.Size(Element);

    /// <summary>Type and shape, e.g. <c>f32 [2, 300]</c>.</summary>
    public string Describe() => $"{RbeElements.Name(Element)} [{string.Join(", ", Shape)}]";
}
