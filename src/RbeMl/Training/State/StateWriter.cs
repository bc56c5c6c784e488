using System.Text.Json.Nodes;
using RbeMl.Files;
using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>Takes what a part of a training keeps.</summary>
/// <param name="name">The part: its object in the metadata, and the beginning of its tensors' names.</param>
internal sealed class StateWriter(string name)
{
    /// <summary>Its numbers.</summary>
    public JsonObject Fields { get; } = [];

    /// <summary>Its tensors.</summary>
    public List<RbeTensor> Tensors { get; } = [];

    /// <summary>Keeps a number or text; a double is read back bit for bit.</summary>
    public void Add(string key, JsonNode? value) => Fields[key] = value;

    /// <summary>Keeps a vector.</summary>
    /// <param name="key">Its name in the part.</param>
    /// <param name="vector">The vector.</param>
    /// <param name="kept">Whether a slice that it holds is kept; null keeps all.</param>
    /// <exception cref="NonFiniteException">A value is NaN or infinite: nobody goes on from there.</exception>
    public void Add<T>(string key, ParameterVector<T> vector, Func<ParameterSlice, bool>? kept = null)
        where T : unmanaged, System.Numerics.IFloatingPointIeee754<T>
    {
        ParameterVector<float> values = vector as ParameterVector<float> ?? throw new NotSupportedException("Training states hold floats.");
        FiniteWeights.Check(values);
        Tensors.Add(RbeTensor.From($"{name}.{key}", values, [.. values.Slices.Where(slice => kept?.Invoke(slice) ?? true)]));
    }

    /// <summary>Keeps floats, which are handed over when the file is written.</summary>
    public void AddFloats(string key, long count, Action<Storage.BytesSink> read) => Tensors.Add(RbeTensor.FromFloats($"{name}.{key}", count, read));

    /// <summary>Keeps bytes, which are handed over when the file is written.</summary>
    public void Add(string key, long byteLength, Action<Storage.BytesSink> read) => Tensors.Add(RbeTensor.From($"{name}.{key}", byteLength, read));
}
