using System.Numerics;
using RbeMl.Kernels;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>What a slice of the parameters is.</summary>
public enum ParameterKind
{
    /// <summary>Weights of the eight basis functions, <c>[tile][8]</c>.</summary>
    Alpha,

    /// <summary>Kept coefficients, <c>[tile][K]</c>.</summary>
    Coefficient,

    /// <summary>Bias of a linear layer.</summary>
    Bias,

    /// <summary>Gamma or beta of a LayerNorm.</summary>
    LayerNorm,

    /// <summary>Token or position embedding, or a dense head.</summary>
    Embedding,
}

/// <summary>A named range of a flat parameter vector.</summary>
/// <param name="Name">Name, e.g. <c>blocks.3.attention.query.coefficients</c>.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Offset">First element; a multiple of 16, so that it is 64-byte aligned.</param>
/// <param name="Length">Number of elements.</param>
/// <param name="RateScale">Factor of the dense learning rate: sqrt(B² / K) for coefficients, as they are that much larger than weights; a B-th of that for alphas; otherwise 1.</param>
/// <param name="Gram">Gram matrix of the basis functions for alphas, else null.</param>
public sealed record ParameterSlice(string Name, ParameterKind Kind, long Offset, int Length, double RateScale = 1, double[]? Gram = null);

/// <summary>
/// All trainable values of a block or model as one flat, aligned vector. Gradients and optimiser moments are vectors of the same layout
/// (<see cref="CreateLike"/>). Build it with <c>Add</c>, then <see cref="Freeze"/>.
/// </summary>
/// <typeparam name="T">float at run time, double in gradient checks.</typeparam>
public sealed unsafe class ParameterVector<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Alignment = 16;
    private readonly List<ParameterSlice> _slices;
    private List<float[]>? _initial = [];
    private NativeBuffer<T>? _buffer;

    /// <summary>An empty vector that can be added to.</summary>
    public ParameterVector() => _slices = [];

    private ParameterVector(List<ParameterSlice> slices, long length)
    {
        _slices = slices;
        _initial = null;
        Length = length;
        _buffer = new NativeBuffer<T>(length);
    }

    /// <summary>The slices, in order.</summary>
    public IReadOnlyList<ParameterSlice> Slices => _slices;

    /// <summary>Elements of the vector, alignment gaps included (gaps are always zero).</summary>
    public long Length { get; private set; }

    /// <summary>Number of trainable values.</summary>
    public long TrainableCount => _slices.Sum(s => (long)s.Length);

    /// <summary>Bytes of native memory held; 0 before <see cref="Freeze"/>.</summary>
    public long AllocatedBytes => _buffer?.AllocatedBytes ?? 0;

    /// <summary>First element.</summary>
    public T* Pointer => _buffer is null
        ? throw (_initial is null ? new ObjectDisposedException("parameters") : new InvalidOperationException("The parameters are not frozen yet."))
        : _buffer.Pointer;

    /// <summary>Appends a slice with initial values, which are copied.</summary>
    public ParameterSlice Add(string name, ParameterKind kind, ReadOnlySpan<float> initial, double rateScale = 1, double[]? gram = null) => Add(name, kind, initial.ToArray(), rateScale, gram);

    /// <summary>Appends a slice with initial values, which are read when the vector is frozen: until then they must stay as they are.</summary>
    public ParameterSlice Add(string name, ParameterKind kind, float[] initial, double rateScale = 1, double[]? gram = null)
    {
        if (_initial is null) throw new InvalidOperationException("The parameters are frozen.");
        ArgumentNullException.ThrowIfNull(initial);
        int bad = FiniteSearch.IndexOfNonFinite(initial);
        if (bad >= 0) throw new NonFiniteException(name, $"value {initial[bad]} at element {bad}. Repair the weights before building a model from them.");
        ParameterSlice slice = new(name, kind, Length, initial.Length, rateScale, gram);
        _slices.Add(slice);
        _initial.Add(initial);
        Length += (initial.Length + Alignment - 1) / Alignment * Alignment;
        return slice;
    }

    /// <summary>Allocates the vector and copies the initial values; nothing can be added afterwards.</summary>
    public void Freeze()
    {
        if (_initial is null) return;
        _buffer = new NativeBuffer<T>(Length);
        for (int s = 0; s < _slices.Count; s++)
        {
            T* target = _buffer.Pointer + _slices[s].Offset;
            float[] values = _initial[s];
            for (int i = 0; i < values.Length; i++) target[i] = T.CreateTruncating(values[i]);
        }

        _initial = null;
    }

    /// <summary>First element of a slice.</summary>
    public T* At(ParameterSlice slice) => Pointer + slice.Offset;

    /// <summary>The elements of a slice.</summary>
    public Span<T> Of(ParameterSlice slice) => new(At(slice), slice.Length);

    /// <summary>The elements of a slice as floats.</summary>
    public float[] ToFloats(ParameterSlice slice)
    {
        float[] values = new float[slice.Length];
        T* source = At(slice);
        for (int i = 0; i < values.Length; i++) values[i] = float.CreateTruncating(source[i]);
        return values;
    }

    /// <summary>The slice of that name.</summary>
    /// <exception cref="KeyNotFoundException">There is none.</exception>
    public ParameterSlice Find(string name) =>
        _slices.Find(s => s.Name == name) ?? throw new KeyNotFoundException($"There is no parameter '{name}'; there are {string.Join(", ", _slices.Select(s => s.Name))}.");

    /// <summary>A vector of zeros with the same layout.</summary>
    public ParameterVector<T> CreateLike() => new(_slices, Length);

    /// <summary>Sets everything to zero.</summary>
    public void Clear() => (_buffer ?? throw new InvalidOperationException("The parameters are not frozen yet.")).Clear();

    /// <summary>Checks that a vector was made by <see cref="CreateLike"/> of this one or of one like it.</summary>
    /// <exception cref="ShapeMismatchException">It has another layout.</exception>
    /// <param name="what">What it is for: the name of the layer, model or optimiser.</param>
    /// <param name="other">The vector.</param>
    public void RequireLayout(string what, ParameterVector<T> other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (!ReferenceEquals(other._slices, _slices))
        {
            throw new ShapeMismatchException($"{what}: parameter vector", $"the layout of these {_slices.Count} parameters, {Length} values", $"another of {other._slices.Count}, {other.Length} values", "Make it with Parameters.CreateLike() of the same model.");
        }
    }

    /// <summary>Copies the values of a vector of the same layout.</summary>
    public void CopyFrom(ParameterVector<T> other)
    {
        ArgumentNullException.ThrowIfNull(other);
        RequireLayout("copy", other);
        _buffer!.CopyFrom(other._buffer!);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _buffer?.Dispose();
        _buffer = null;
    }
}
