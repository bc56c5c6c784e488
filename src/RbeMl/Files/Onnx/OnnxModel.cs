using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using RbeMl.Numerics;
using RbeMl.Storage;

namespace RbeMl.Files;

/// <summary>A node of an ONNX graph: an operation, the names of what goes in and comes out, and its attributes of numbers.</summary>
internal sealed record OnnxNode(string Operation, IReadOnlyList<string> Inputs, IReadOnlyList<string> Outputs)
{
    /// <summary>Numbers of attributes: integers as they are, floats widened.</summary>
    public Dictionary<string, double> Numbers { get; } = new(StringComparer.Ordinal);

    /// <summary>Texts of attributes.</summary>
    public Dictionary<string, string> Texts { get; } = new(StringComparer.Ordinal);

    /// <summary>The tensor of a Constant, or null.</summary>
    public OnnxTensor? Value { get; set; }

    /// <summary>The first output, or nothing.</summary>
    public string Output => Outputs.Count > 0 ? Outputs[0] : "";
}

/// <summary>A tensor of an ONNX file: where its values stand.</summary>
/// <param name="Name">Its name; empty for the value of a constant.</param>
/// <param name="Type">ONNX's number of the element type.</param>
/// <param name="Shape">Sides, outermost first; none for a single value.</param>
/// <param name="Data">The values; null where they are not one range of this file.</param>
/// <param name="IsExternal">Whether the values stand in another file.</param>
internal sealed record OnnxTensor(string Name, int Type, IReadOnlyList<long> Shape, ProtoField? Data, bool IsExternal)
{
    public const int Float = 1, Int32 = 6, Int64 = 7, Half = 10, BFloat16 = 16;

    private static readonly string[] TypeNames =
    [
        "undefined", "float", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "double", "uint32",
            "uint64", "complex64",
        "complex128", "bfloat16",
    ];

    /// <summary>The type of floats; null for another.</summary>
    public SafetensorsElement? Element => Type switch
    {
        Float => SafetensorsElement.F32,
        Half => SafetensorsElement.F16,
        BFloat16 => SafetensorsElement.BF16,
        _ => null,
    };

    /// <summary>Type and shape, e.g. <c>float [2, 300]</c>.</summary>
    public string Describe() =>
        string.Create(CultureInfo.InvariantCulture, $"{TypeNames.ElementAtOrDefault(Type) ?? $"type {Type}"} [{string.Join(", ", Shape)}]");
}

/// <summary>
/// An open ONNX file: the nodes of its graph and where its initialisers stand; values are read when asked for. An ONNX file is one protobuf
/// message (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), of which only what is named here is read. Constants count as
/// initialisers.
/// </summary>
internal sealed class OnnxModel : IDisposable
{
    private const int ModelGraph = 7, GraphNode = 1, GraphInitializer = 5, GraphSparse = 15;
    private const int NodeInput = 1, NodeOutput = 2, NodeOperation = 4, NodeAttribute = 5;
    private const int AttributeName = 1, AttributeFloat = 2, AttributeInteger = 3, AttributeText = 4, AttributeTensor = 5,
        AttributeIntegers = 8;
    private const int TensorDims = 1, TensorType = 2, TensorFloats = 4, TensorLongs = 7, TensorName = 8, TensorRaw = 9,
        TensorExternal = 13, TensorPlace = 14;
    private const int MostSides = 16, ObjectBytes = 256, PartBytes = 1 << 20;
    private const long MostBytes = int.MaxValue; // of a protobuf message

    /// <summary>What to do with weights that are no floats.</summary>
    public const string NeedsFloats = "Give the file of floats that it was made from.";

    private readonly SafeFileHandle _handle;
    private readonly ProtoReader _reader;
    private readonly List<OnnxNode> _nodes = [];
    private readonly Dictionary<string, OnnxTensor> _tensors = new(StringComparer.Ordinal);

    private OnnxModel(string path, SafeFileHandle handle, long length)
    {
        (Path, _handle) = (path, handle);
        _reader = new ProtoReader(path, handle, length, "ONNX file");
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>The nodes in the order of the file.</summary>
    public IReadOnlyList<OnnxNode> Nodes => _nodes;

    /// <summary>Initialisers and constants by name.</summary>
    public IReadOnlyDictionary<string, OnnxTensor> Tensors => _tensors;

    /// <summary>Opens a file and reads its graph.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RbeFileException">It is missing, unreadable, no ONNX file, or damaged.</exception>
    public static OnnxModel Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle handle = FileReading.Open(path, "an ONNX file");
        try
        {
            ForeignFile.RequireNoPointer(path, handle);
            long length = RandomAccess.GetLength(handle);
            if (length > MostBytes) throw new RbeFileException(path,
                $"has {length} bytes; an ONNX file has at most {MostBytes}. Check that it is the right file.");
            OnnxModel model = new(path, handle, length);
            model.ReadModel();
            return model;
        }
        catch (Exception error)
        {
            handle.Dispose();
            if (error is IOException or UnauthorizedAccessException or NotSupportedException) throw FileReading.Unreadable(path, error);
            throw;
        }
    }

    /// <summary>Up to <paramref name="most"/> integers of a tensor of int64 or int32; null for one of another type or of more.</summary>
    public long[]? Integers(OnnxTensor tensor, int most)
    {
        if (tensor.Data is not { } data || tensor.Shape.Count > 1 || Count(tensor) > most) return null;
        if (data.Number == TensorLongs)
        {
            List<long> values = [];
            _reader.Varints(data, values, most);
            return values.Count == Count(tensor) ? [.. values] : null;
        }

        int size = tensor.Type == OnnxTensor.Int64 ? sizeof(long) : sizeof(int);
        if (data.Number != TensorRaw || tensor.Type is not (OnnxTensor.Int64 or OnnxTensor.Int32)
            || data.Length != Count(tensor) * size) return null;
        byte[] bytes = new byte[(int)data.Length];
        _reader.Read(data.Start, bytes);
        long[] integers = new long[bytes.Length / size];
        for (int i = 0; i < integers.Length; i++)
        {
            ReadOnlySpan<byte> place = bytes.AsSpan(i * size, size);
            integers[i] = size == sizeof(long) ? BinaryPrimitives.ReadInt64LittleEndian(place)
                : BinaryPrimitives.ReadInt32LittleEndian(place);
        }

        return integers;
    }

    /// <summary>The value of a tensor of one float; null for any other.</summary>
    public float? Scalar(OnnxTensor tensor)
    {
        if (tensor.Data is not { } data || tensor.Element is not { } element || Count(tensor) != 1) return null;
        byte[] bytes = new byte[SafetensorsElements.Bits(element) / 8];
        if (data.Length != bytes.Length) return null;
        _reader.Read(data.Start, bytes);
        float[] value = new float[1];
        HalfPrecision.Widen(element, bytes, value);
        return value[0];
    }

    /// <summary>All values of a tensor of floats, row-major; it costs no more than what it returns and a megabyte.</summary>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    /// <exception cref="RbeFileException">They stand elsewhere, are no floats, or cannot be read.</exception>
    public float[] Floats(OnnxTensor tensor)
    {
        if (tensor.IsExternal)
        {
            throw new RbeFileException(Path,
                $"keeps the values of \"{tensor.Name}\" in another file, which is not read. Save the model as one file.");
        }

        if (tensor.Element is not { } element) throw new RbeFileException(Path,
            $"holds \"{tensor.Name}\" as {tensor.Describe()}. {NeedsFloats}");
        if (tensor.Data is not { } data)
        {
            throw new RbeFileException(Path,
                $"does not hold the values of \"{tensor.Name}\", {tensor.Describe()}, as one range of bytes. Save it with raw data.");
        }

        int size = SafetensorsElements.Bits(element) / 8;
        float[] values = GC.AllocateUninitializedArray<float>((int)(data.Length / size));
        if (element == SafetensorsElement.F32) _reader.Read(data.Start, MemoryMarshal.AsBytes(values.AsSpan()));
        byte[] part = element == SafetensorsElement.F32 ? [] : new byte[(int)Math.Min(PartBytes, data.Length)];
        for (int at = 0; part.Length > 0 && at < values.Length; at += part.Length / size)
        {
            Span<float> place = values.AsSpan(at, Math.Min(part.Length / size, values.Length - at));
            _reader.Read(data.Start + ((long)at * size), part.AsSpan(0, place.Length * size));
            HalfPrecision.Widen(element, part.AsSpan(0, place.Length * size), place);
        }

        int bad = FiniteSearch.IndexOfNonFinite(values);
        if (bad < 0) return values;
        throw new NonFiniteException($"{Path}: {tensor.Name}",
            FormattableString.Invariant($"value {values[bad]} at element {bad}. Take the model from a sound source."));
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    private static Int128 Count(OnnxTensor tensor)
    {
        Int128 count = 1;
        foreach (long side in tensor.Shape) count = Int128.Min(count * side, long.MaxValue);
        return count;
    }

    private void ReadModel()
    {
        ProtoField? graph = null;
        foreach (ProtoField field in _reader.Fields(0, _reader.Length))
        {
            if (field is { Number: ModelGraph, Wire: ProtoField.Range }) graph = field;
        }

        if (graph is not { } found) throw _reader.Damaged("it has no graph");
        foreach (ProtoField field in _reader.Fields(found.Start, found.End))
        {
            if (field.Wire != ProtoField.Range) continue;
            if (field.Number == GraphNode) ReadNode(field);
            else if (field.Number == GraphInitializer) Add(ReadTensor(field));
            else if (field.Number == GraphSparse) throw new RbeFileException(Path,
                "holds sparse initialisers, which are not read. Save it with dense ones.");
        }
    }

    private void Add(OnnxTensor tensor)
    {
        if (!_tensors.TryAdd(tensor.Name, tensor)) throw _reader.Damaged($"it holds the tensor \"{tensor.Name}\" twice");
    }

    private void ReadNode(ProtoField message)
    {
        _reader.Keep(ObjectBytes);
        List<string> inputs = [], outputs = [];
        List<ProtoField> attributes = [];
        string operation = "";
        foreach (ProtoField field in _reader.Fields(message.Start, message.End))
        {
            if (field.Number == NodeInput) inputs.Add(_reader.Text(field));
            else if (field.Number == NodeOutput) outputs.Add(_reader.Text(field));
            else if (field.Number == NodeOperation) operation = _reader.Text(field);
            else if (field is { Number: NodeAttribute, Wire: ProtoField.Range })
            {
                _reader.Keep(0);
                attributes.Add(field);
            }
        }

        OnnxNode node = new(operation, inputs, outputs);
        foreach (ProtoField attribute in attributes) ReadAttribute(node, attribute);
        _nodes.Add(node);
        if (operation == "Constant" && node.Value is { } value && node.Output.Length > 0) Add(value with { Name = node.Output });
    }

    private void ReadAttribute(OnnxNode node, ProtoField message)
    {
        string name = "";
        double? number = null;
        string? text = null;
        foreach (ProtoField field in _reader.Fields(message.Start, message.End))
        {
            switch (field.Number)
            {
                case AttributeName:
                    name = _reader.Text(field);
                    break;
                case AttributeFloat when field.Wire == ProtoField.Fixed32:
                    number = BitConverter.UInt32BitsToSingle((uint)field.Value);
                    break;
                case AttributeInteger when field.Wire == ProtoField.Varint:
                    number = (long)field.Value;
                    break;
                case AttributeText when field is { Wire: ProtoField.Range, Length: <= 64 }:
                    text = _reader.Text(field);
                    break;
                case AttributeTensor when field.Wire == ProtoField.Range:
                    node.Value = ReadTensor(field);
                    break;
                case AttributeIntegers when field.Wire is ProtoField.Varint or ProtoField.Range:
                    List<long> numbers = [];
                    _reader.Varints(field, numbers, MostSides);
                    if (numbers.Count > 0) number ??= numbers[0];
                    break;
            }
        }

        _reader.Keep(ObjectBytes / 2);
        if (number is { } known) node.Numbers[name] = known;
        if (text is not null) node.Texts[name] = text;
    }

    private OnnxTensor ReadTensor(ProtoField message)
    {
        _reader.Keep(ObjectBytes);
        List<long> shape = [];
        int type = 0, parts = 0;
        string name = "";
        ProtoField? data = null;
        bool external = false;
        foreach (ProtoField field in _reader.Fields(message.Start, message.End))
        {
            switch (field.Number)
            {
                case TensorDims:
                    _reader.Varints(field, shape, MostSides + 1);
                    break;
                case TensorType when field.Wire == ProtoField.Varint:
                    type = (int)Math.Min(field.Value, int.MaxValue);
                    break;
                case TensorName:
                    name = _reader.Text(field);
                    break;
                case TensorFloats or TensorLongs or TensorRaw when field.Wire == ProtoField.Range && (field.Length > 0 || data is null):
                    data = field;
                    parts++;
                    break;
                case TensorExternal:
                case TensorPlace when field is { Wire: ProtoField.Varint, Value: 1 }:
                    external = true;
                    break;
            }
        }

        if (shape.Count > MostSides || shape.Exists(side => side < 0)) throw _reader.Damaged($"the tensor \"{name}\" has no sound shape");
        OnnxTensor tensor = new(name, type, shape, parts == 1 ? data : null, external);
        if (tensor is { Data: { } place, Element: { } element } && SafetensorsElements.ByteLength(element, [.. shape]) != place.Length)
        {
            throw _reader.Damaged($"the tensor \"{name}\", {tensor.Describe()}, has {place.Length} bytes");
        }

        return tensor;
    }
}
