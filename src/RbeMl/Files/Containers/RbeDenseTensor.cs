using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>
/// A tensor that a file carries as it is. Its element type is a name the container does not interpret (<c>BF16</c>, <c>F64</c>, <c>I64</c>, ... as in
/// safetensors), so that types of any kind pass through unchanged.
/// </summary>
public sealed class RbeDenseTensor
{
    private const int MostSides = 64;

    private RbeDenseTensor(string name, string type, long[] shape, long byteLength, Func<string, RbeTensor> payload)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentException.ThrowIfNullOrEmpty(type);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentOutOfRangeException.ThrowIfNegative(byteLength);
        if (shape.Length > MostSides || shape.Any(side => side < 0))
        {
            throw new ShapeMismatchException(name, $"at most {MostSides} sides of 0 or more",
                $"[{string.Join(", ", shape.Select(side => $"{side}"))}]", "Give the true shape.");
        }

        Info = new RbeDenseInfo(name, type, shape, byteLength);
        Payload = payload;
    }

    /// <summary>Name, type, shape and length.</summary>
    internal RbeDenseInfo Info { get; }

    internal Func<string, RbeTensor> Payload { get; }

    /// <summary>A tensor of bytes in memory or in a mapped file.</summary>
    /// <param name="name">Its name, unique among the dense tensors of a file.</param>
    /// <param name="type">Name of the element type.</param>
    /// <param name="shape">Sides, outermost first.</param>
    /// <param name="bytes">The elements; read when the file is written.</param>
    /// <exception cref="ShapeMismatchException">A side is negative.</exception>
    public static RbeDenseTensor From(string name, string type, long[] shape, ReadOnlyMemory<byte> bytes) =>
        new(name, type, shape, bytes.Length, stored => RbeTensor.From(stored, bytes, bytes.Length));

    /// <summary>A tensor read from a stream while the file is written: twice, from the start each time.</summary>
    /// <param name="name">Its name, unique among the dense tensors of a file.</param>
    /// <param name="type">Name of the element type.</param>
    /// <param name="shape">Sides, outermost first.</param>
    /// <param name="byteLength">Bytes.</param>
    /// <param name="open">Opens the stream at the tensor's first byte.</param>
    /// <exception cref="ShapeMismatchException">A side is negative.</exception>
    public static RbeDenseTensor From(string name, string type, long[] shape, long byteLength, Func<Stream> open) =>
        new(name, type, shape, byteLength, stored => RbeTensor.From(stored, byteLength, open, name));

    /// <summary>A copy of a safetensors file's tensor, which must stay open until this is written.</summary>
    /// <param name="file">The file.</param>
    /// <param name="name">Name of the tensor there and here.</param>
    /// <exception cref="RbeFileException">The file has no such tensor.</exception>
    internal static RbeDenseTensor From(SafetensorsFile file, string name)
    {
        ArgumentNullException.ThrowIfNull(file);
        SafetensorsTensor tensor = file.Find(name);
        return new(name, SafetensorsElements.Name(tensor.Element), [.. tensor.Shape], tensor.ByteLength,
            stored => RbeTensor.From(stored, tensor.ByteLength, sink => file.Stream(tensor, 1, (_, part) => sink(part))));
    }
}

/// <summary>A tensor that a file carries as it is.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Name of the element type, as given.</param>
/// <param name="Shape">Sides, outermost first, as given.</param>
/// <param name="ByteLength">Bytes.</param>
internal sealed record RbeDenseInfo(string Name, string Type, IReadOnlyList<long> Shape, long ByteLength)
{
    private const int MostSides = 64;

    // Where an entry's bytes lie, and the entry.
    internal static (RbeDenseInfo Info, string Tensor) Read(RbeContainer file, JsonFields fields)
    {
        RbeTensorInfo tensor = file.Find(fields.Text("tensor"));
        if (tensor.Element != RbeElement.U8)
        {
            throw new RbeFileException(file.Path, $"tensor \"{tensor.Name}\": expected u8, the file has {tensor.Describe()}. Write the file again.");
        }

        return (new RbeDenseInfo(fields.Text("name"), fields.Text("type"), fields.Sides("shape", MostSides), tensor.ByteLength), tensor.Name);
    }
}
