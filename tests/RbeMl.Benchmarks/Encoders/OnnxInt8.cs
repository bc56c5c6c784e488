using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using RbeMl.Files;
using RbeMl.Tests.Files;

namespace RbeMl.Benchmarks.Encoders;

/// <summary>
/// Writes the int8 twin of an encoder's ONNX file, as ONNX Runtime's dynamic quantisation does: products of int8 weights, one scale an
/// output, with activations that are rounded when they come; word embeddings in int8 with one scale.
/// </summary>
internal sealed class OnnxInt8
{
    private const int ModelGraph = 7, GraphNode = 1, GraphInitializer = 5, TensorName = 8, NodeInput = 1, NodeOutput = 2, NodeOperation = 4;
    private const int Float = 1, Int8 = 3, Largest = 127;

    private readonly OnnxModel _model;
    private readonly ProtoReader _reader;
    private readonly ProtoWriter _graph = new();
    private readonly List<ProtoWriter> _added = [];
    private readonly HashSet<string> _replaced = [], _rounded = [];

    private OnnxInt8(OnnxModel model, ProtoReader reader) => (_model, _reader) = (model, reader);

    /// <summary>Writes the file.</summary>
    public static void Write(string source, string target)
    {
        using OnnxModel model = OnnxModel.Open(source);
        using SafeFileHandle handle = File.OpenHandle(source);
        OnnxInt8 work = new(model, new ProtoReader(source, handle, RandomAccess.GetLength(handle), "ONNX file"));
        ProtoWriter file = new();
        foreach (ProtoField field in work._reader.Fields(0, work._reader.Length))
        {
            if (field.Number == ModelGraph) file.Message(ModelGraph, work.Graph(field));
            else work.Copy(field, file);
        }

        File.WriteAllBytes(target, file.ToArray());
    }

    private ProtoWriter Graph(ProtoField graph)
    {
        // Nodes first: they say which tensors are replaced.
        foreach (ProtoField field in _reader.Fields(graph.Start, graph.End))
        {
            if (field.Number == GraphNode) Node(field);
        }

        foreach (ProtoField field in _reader.Fields(graph.Start, graph.End))
        {
            if (field.Number != GraphNode && (field.Number != GraphInitializer || !_replaced.Contains(NameOf(field)))) Copy(field, _graph);
        }

        foreach (ProtoWriter tensor in _added) _graph.Message(GraphInitializer, tensor);
        return _graph;
    }

    private void Node(ProtoField message)
    {
        List<string> inputs = [];
        string operation = "", output = "";
        foreach (ProtoField field in _reader.Fields(message.Start, message.End))
        {
            if (field.Number == NodeInput) inputs.Add(_reader.Text(field));
            else if (field.Number == NodeOutput) output = _reader.Text(field);
            else if (field.Number == NodeOperation) operation = _reader.Text(field);
        }

        if (operation == "MatMul" && _model.Tensors.TryGetValue(inputs[1], out OnnxTensor? weights)) Product(inputs[0], weights, output);
        else if (operation == "Gather" && inputs[0].EndsWith(OnnxEncoder.Words, StringComparison.Ordinal)) Words(_model.Tensors[inputs[0]],
            inputs[1], output);
        else Copy(message, _graph);
    }

    private void Product(string x, OnnxTensor weights, string output)
    {
        string w = weights.Name;
        int rows = (int)weights.Shape[0], columns = (int)weights.Shape[1];
        float[] values = _model.Floats(weights), scales = new float[columns];
        for (int i = 0; i < values.Length; i++) scales[i % columns] = Math.Max(scales[i % columns], Math.Abs(values[i]) / Largest);
        Add(w + "_q", Int8, [rows, columns],
            [.. values.Select((value, i) => (sbyte)MathF.Round(value / Math.Max(scales[i % columns], 1e-20f)))]);
        Add(w + "_z", Int8, [columns], new sbyte[columns]);
        Add(w + "_s", Float, [columns], scales);
        _replaced.Add(w);
        if (_rounded.Add(x)) Add("DynamicQuantizeLinear", [x], [x + "_q", x + "_s", x + "_z"]);
        Add("MatMulInteger", [x + "_q", w + "_q", x + "_z", w + "_z"], [w + "_i"]);
        Add("Cast", [w + "_i"], [w + "_f"], new ProtoWriter().Text(1, "to").Number(3, Float).Number(20, 2));
        Add("Mul", [x + "_s", w + "_s"], [w + "_ss"]);
        Add("Mul", [w + "_f", w + "_ss"], [output]);
    }

    private void Words(OnnxTensor words, string ids, string output)
    {
        float[] values = _model.Floats(words);
        float scale = values.Max(Math.Abs) / Largest;
        Add("words_q", Int8, [.. words.Shape], [.. values.Select(value => (sbyte)MathF.Round(value / scale))]);
        Add("words_s", Float, [], [scale]);
        _replaced.Add(words.Name);
        Add("Gather", ["words_q", ids], ["words_g"]);
        Add("DequantizeLinear", ["words_g", "words_s"], [output]);
    }

    private void Add(string operation, string[] inputs, string[] outputs, params ProtoWriter[] attributes)
    {
        ProtoWriter node = new();
        foreach (string input in inputs) node.Text(NodeInput, input);
        foreach (string output in outputs) node.Text(NodeOutput, output);
        node.Text(NodeOperation, operation);
        foreach (ProtoWriter attribute in attributes) node.Message(5, attribute);
        _graph.Message(GraphNode, node);
    }

    private void Add<T>(string name, int type, long[] shape, T[] values)
        where T : unmanaged => _added.Add(OnnxWriter.Header(name, type, shape).Bytes(9, MemoryMarshal.AsBytes(values.AsSpan())));

    private string NameOf(ProtoField tensor) =>
        _reader.Text(_reader.Fields(tensor.Start, tensor.End).First(field => field.Number == TensorName));

    private void Copy(ProtoField field, ProtoWriter target)
    {
        if (field.Wire == ProtoField.Varint)
        {
            target.Number(field.Number, (long)field.Value);
            return;
        }

        byte[] bytes = new byte[(int)field.Length];
        _reader.Read(field.Start, bytes);
        target.Bytes(field.Number, bytes);
    }
}
