using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace RbeMl.Oracle.Tests.Support;

/// <summary>The float32 tensors of a safetensors file; written apart from the library's reader, which it helps to check.</summary>
internal sealed class Safetensors
{
    private readonly Dictionary<string, (long[] Shape, float[] Values)> _tensors = [];

    /// <summary>Reads the whole file.</summary>
    public Safetensors(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        int headerLength = checked((int)BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        using JsonDocument header = JsonDocument.Parse(bytes.AsMemory(8, headerLength));
        foreach (JsonProperty tensor in header.RootElement.EnumerateObject())
        {
            if (tensor.Name == "__metadata__") continue;
            Assert.Equal("F32", tensor.Value.GetProperty("dtype").GetString());
            long[] shape = [.. tensor.Value.GetProperty("shape").EnumerateArray().Select(n => n.GetInt64())];
            int[] range = [.. tensor.Value.GetProperty("data_offsets").EnumerateArray().Select(n => n.GetInt32())];
            float[] values = MemoryMarshal.Cast<byte, float>(bytes.AsSpan(8 + headerLength + range[0], range[1] - range[0])).ToArray();
            Assert.Equal(shape.Aggregate(1L, (a, b) => a * b), values.Length);
            _tensors.Add(tensor.Name, (shape, values));
        }
    }

    /// <summary>Names of all tensors.</summary>
    public IEnumerable<string> Names => _tensors.Keys;

    /// <summary>Values of a tensor.</summary>
    public float[] this[string name] => _tensors[name].Values;

    /// <summary>Shape of a tensor.</summary>
    public long[] ShapeOf(string name) => _tensors[name].Shape;

    /// <summary>A matrix stored [in, out] as [out, in]; of the columns (outputs) only <paramref name="count"/> from <paramref name="first"/>.</summary>
    public float[] Transposed(string name, int first, int count)
    {
        (long[] shape, float[] values) = _tensors[name];
        int rows = (int)shape[0], columns = (int)shape[1];
        float[] result = new float[rows * count];
        for (int o = 0; o < count; o++)
        {
            for (int i = 0; i < rows; i++) result[o * rows + i] = values[i * columns + first + o];
        }

        return result;
    }

    /// <summary>A matrix stored [in, out] as [out, in].</summary>
    public float[] Transposed(string name) => Transposed(name, 0, (int)_tensors[name].Shape[1]);
}
