using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;

namespace RbeMl.Tests.Files;

/// <summary>Writes a protobuf message, field by field.</summary>
internal sealed class ProtoWriter
{
    private readonly MemoryStream _bytes = new();

    /// <summary>What was written.</summary>
    public byte[] ToArray() => _bytes.ToArray();

    /// <summary>A number.</summary>
    public ProtoWriter Number(int field, long value)
    {
        Varint((ulong)field << 3);
        Varint((ulong)value);
        return this;
    }

    /// <summary>A float.</summary>
    public ProtoWriter Float(int field, float value)
    {
        Varint(((ulong)field << 3) | 5);
        Span<byte> bytes = stackalloc byte[sizeof(float)];
        BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
        _bytes.Write(bytes);
        return this;
    }

    /// <summary>Bytes, or a message in bytes.</summary>
    public ProtoWriter Bytes(int field, ReadOnlySpan<byte> value)
    {
        Varint(((ulong)field << 3) | 2);
        Varint((ulong)value.Length);
        _bytes.Write(value);
        return this;
    }

    /// <summary>A text.</summary>
    public ProtoWriter Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    /// <summary>A message.</summary>
    public ProtoWriter Message(int field, ProtoWriter message) =>
        Bytes(field, message._bytes.GetBuffer().AsSpan(0, (int)message._bytes.Length));

    private void Varint(ulong value)
    {
        for (; value >= 0x80; value >>= 7) _bytes.WriteByte((byte)(value | 0x80));
        _bytes.WriteByte((byte)value);
    }
}

/// <summary>Writes an ONNX model: initialisers and nodes.</summary>
internal sealed class OnnxWriter
{
    private const int FloatType = 1, Int8Type = 3, LongType = 7, HalfType = 10;
    private readonly ProtoWriter _graph = new ProtoWriter().Text(2, "main_graph");

    /// <summary>How floats are stored.</summary>
    public enum Storage
    {
        /// <summary>As raw bytes.</summary>
        Raw,

        /// <summary>As packed floats.</summary>
        Packed,

        /// <summary>As raw halves.</summary>
        Half,
    }

    /// <summary>The whole file.</summary>
    public byte[] ToArray(int opset = 17) => new ProtoWriter().Number(1, 8).Text(2, "test").Message(7, _graph)
        .Message(8, new ProtoWriter().Number(2, opset)).ToArray();

    /// <summary>An initialiser of floats.</summary>
    public void Add(string name, float[] values, long[] shape, Storage storage = Storage.Raw) =>
        Add(Header(name, storage == Storage.Half ? HalfType : FloatType, shape).Bytes(storage == Storage.Packed ? 4 : 9,
            storage == Storage.Half
            ? MemoryMarshal.AsBytes(values.Select(value => (Half)value).ToArray().AsSpan()) : MemoryMarshal.AsBytes(values.AsSpan())));

    /// <summary>An initialiser of bytes.</summary>
    public void Add(string name, sbyte[] values, long[] shape) =>
        Add(Header(name, Int8Type, shape).Bytes(9, MemoryMarshal.AsBytes(values.AsSpan())));

    /// <summary>An initialiser of integers.</summary>
    public void Add(string name, params long[] values) => Add(Longs(name, values));

    /// <summary>Any initialiser.</summary>
    public void Add(ProtoWriter tensor) => _graph.Message(5, tensor);

    /// <summary>The beginning of a tensor.</summary>
    public static ProtoWriter Header(string name, int type, long[] shape)
    {
        ProtoWriter tensor = new();
        foreach (long side in shape) tensor.Number(1, side);
        return tensor.Number(2, type).Text(8, name);
    }

    /// <summary>A node.</summary>
    /// <returns>Its output.</returns>
    public string Node(string operation, string[] inputs, string output, params ProtoWriter[] attributes)
    {
        ProtoWriter node = new();
        foreach (string input in inputs) node.Text(1, input);
        node.Text(2, output).Text(4, operation);
        foreach (ProtoWriter attribute in attributes) node.Message(5, attribute);
        _graph.Message(1, node);
        return output;
    }

    /// <summary>A constant of one float.</summary>
    public string Constant(string output, float value) =>
        Node("Constant", [], output, Attribute("value", 4).Message(5, Header("", FloatType, []).Bytes(9, BitConverter.GetBytes(value))));

    /// <summary>A constant of integers.</summary>
    public string Constant(string output, params long[] values) =>
        Node("Constant", [], output, Attribute("value", 4).Message(5, Longs("", values)));

    /// <summary>An attribute of a float.</summary>
    public static ProtoWriter Attribute(string name, float value) => Attribute(name, 1).Float(2, value);

    /// <summary>An attribute of an integer.</summary>
    public static ProtoWriter Attribute(string name, long value) => Attribute(name, 2).Number(3, value);

    /// <summary>An attribute of a text.</summary>
    public static ProtoWriter Attribute(string name, string value) => Attribute(name, 3).Text(4, value);

    private static ProtoWriter Attribute(string name, int type) => new ProtoWriter().Text(1, name).Number(20, type);

    private static ProtoWriter Longs(string name, long[] values) =>
        Header(name, LongType, [values.Length]).Bytes(9, MemoryMarshal.AsBytes(values.AsSpan()));
}
