using System.Runtime.InteropServices;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>A tensor to be written to a safetensors file: name, type, shape and a way to get its bytes once, when it is its turn.</summary>
internal sealed class SafetensorsSource
{
    private const int PartElements = 1 << 20;
    private readonly long[] _shape;

    private SafetensorsSource(string name, SafetensorsElement element, long[] shape, Action<BytesSink> read)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(shape);
        _shape = [.. shape];
        foreach (long side in shape)
        {
            if (side < 0) throw new ShapeMismatchException(name, "sides of 0 or more", $"{side}", "Give the true shape.");
        }

        ByteLength = SafetensorsElements.ByteLength(element, shape)
            ?? throw new ShapeMismatchException(name, "less than 2^63 bytes", $"[{string.Join(", ", shape.Select(side => $"{side}"))}]",
            "Give the true shape.");
        Name = name;
        Element = element;
        Read = read;
    }

    /// <summary>Unique name.</summary>
    public string Name { get; }

    /// <summary>Element type.</summary>
    public SafetensorsElement Element { get; }

    /// <summary>Sides, outermost first.</summary>
    public IReadOnlyList<long> Shape => _shape;

    /// <summary>Bytes of the data.</summary>
    public long ByteLength { get; }

    internal Action<BytesSink> Read { get; }

    /// <summary>A tensor of an array.</summary>
    /// <param name="name">Unique name.</param>
    /// <param name="values">Elements, row-major; read when the file is written.</param>
    /// <param name="shape">Sides; their product is the array's length.</param>
    /// <param name="element">F32, or F16 and BF16, to which values are rounded to the nearest, ties to even.</param>
    /// <exception cref="ShapeMismatchException">Shape and values disagree.</exception>
    /// <exception cref="InvalidSettingException">The element type is none of the three.</exception>
    public static SafetensorsSource From(string name, float[] values, long[] shape, SafetensorsElement element = SafetensorsElement.F32)
    {
        ArgumentNullException.ThrowIfNull(values);
        SafetensorsSource source = From(name, () => values, shape, element);
        RequireCount(source, values.Length);
        return source;
    }

    /// <summary>A tensor whose values are made when it is written, and dropped then.</summary>
    /// <param name="name">Unique name.</param>
    /// <param name="make">Makes the elements, row-major.</param>
    /// <param name="shape">Sides; their product is the number of elements.</param>
    /// <param name="element">F32, or F16 and BF16, to which values are rounded to the nearest, ties to even.</param>
    /// <exception cref="InvalidSettingException">The element type is none of the three.</exception>
    public static SafetensorsSource From(string name, Func<float[]> make, long[] shape, SafetensorsElement element = SafetensorsElement.F32)
    {
        ArgumentNullException.ThrowIfNull(make);
        if (!SafetensorsElements.IsFloat(element)) throw new InvalidSettingException(nameof(element), element, "floats are written as F32, F16 or BF16.");
        SafetensorsSource? source = null;
        source = new SafetensorsSource(name, element, shape, sink =>
        {
            float[] values = make();
            RequireCount(source!, values.Length);
            Emit(name, element, values, sink);
        });
        return source;
    }

    /// <summary>A copy of another file's tensor, of any type, which must stay open until this is written.</summary>
    /// <param name="file">The file.</param>
    /// <param name="name">Name of the tensor there and here.</param>
    /// <exception cref="RbeFileException">The file has no such tensor.</exception>
    public static SafetensorsSource From(SafetensorsFile file, string name)
    {
        ArgumentNullException.ThrowIfNull(file);
        SafetensorsTensor tensor = file.Find(name);
        return new SafetensorsSource(name, tensor.Element, [.. tensor.Shape], sink => file.Stream(tensor, 1, (_, part) => sink(part)));
    }

    /// <summary>A tensor of any type whose bytes are given as they are to be written.</summary>
    internal static SafetensorsSource From(string name, SafetensorsElement element, long[] shape, Action<BytesSink> read) => new(name, element, shape, read);

    private static void RequireCount(SafetensorsSource source, long count)
    {
        long expected = (long)((Int128)source.ByteLength * 8 / SafetensorsElements.Bits(source.Element));
        if (expected != count)
        {
            throw new ShapeMismatchException(source.Name,
                $"[{string.Join(", ", source._shape)}] = {expected} elements", $"{count}", "Give the shape of the values.");
        }
    }

    private static void Emit(string name, SafetensorsElement element, float[] values, BytesSink sink)
    {
        int size = SafetensorsElements.Bits(element) / 8;
        byte[] narrow = new byte[size == 4 ? 0 : Math.Min(values.Length, PartElements) * size];
        for (int start = 0; start < values.Length; start += PartElements)
        {
            ReadOnlySpan<float> part = values.AsSpan(start, Math.Min(PartElements, values.Length - start));
            if (size == 4)
            {
                sink(MemoryMarshal.AsBytes(part));
                continue;
            }

            Span<byte> bytes = narrow.AsSpan(0, part.Length * size);
            int bad = HalfPrecision.Narrow(element, part, bytes);
            if (bad >= 0)
            {
                throw new NonFiniteException(name,
                    FormattableString.Invariant(
                    $"value {part[bad]} at element {start + bad} is beyond the range of {SafetensorsElements.Name(element)}. Write the tensor as F32."));
            }

            sink(bytes);
        }
    }
}
