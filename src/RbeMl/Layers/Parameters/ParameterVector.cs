using System.Numerics;
using RbeMl.Codec;
using RbeMl.Memory;
using RbeMl.Numerics;

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
/// <param name="RateScale">Factor of the dense learning rate: sqrt(B² / K) for coefficients, as they are that much larger than weights; a
/// B-th of that for alphas; otherwise 1.</param>
/// <param name="Gram">Gram matrix of the basis functions for alphas, else null.</param>
public sealed record ParameterSlice(string Name, ParameterKind Kind, long Offset, int Length, double RateScale = 1, double[]? Gram = null)
{
    /// <summary>The matrix that maps activations whose coefficients these are, else null; null for tables of tokens.</summary>
    internal RbeStructure? Matrix { get; init; }

    /// <summary>Its place among the slices of the layout.</summary>
    internal int Index { get; init; }
}

/// <summary>
/// All trainable values of a block or model as one flat, aligned vector. Gradients and optimiser moments are vectors of the same layout
/// (<see cref="CreateLike()"/>), which may hold a part of its slices alone: those of a training with frozen parameters hold what is trained.
/// Build it with <c>Add</c>, then <see cref="Freeze"/>. What layers hold in native memory beside their values is freed with the vector.
/// </summary>
/// <typeparam name="T">float at run time, double in gradient checks.</typeparam>
public sealed unsafe class ParameterVector<T> : IDisposable, ILeased
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Alignment = 16;
    private readonly List<ParameterSlice> _layout; // the same list in all vectors that are like each other
    private readonly List<ParameterSlice> _slices; // those that are held
    private readonly long[]? _starts; // by the slice's index, -1 of those that are not held; null where all are
    private readonly List<object> _owned = [];
    private List<(float[]? Values, StoredValues? Stored)>? _initial = [];
    private NativeBuffer<T>? _buffer;

    /// <summary>An empty vector that can be added to.</summary>
    public ParameterVector()
    {
        _slices = _layout = [];
        Slices = _slices.AsReadOnly();
        Lease = new Lease(this);
    }

    private ParameterVector(ParameterVector<T> like, Func<ParameterSlice, bool>? held)
    {
        (_initial, _layout) = (null, like._layout);
        _slices = held is null ? like._slices : _layout.TrueForAll(slice => held(slice)) ? _layout : _layout.FindAll(slice => held(slice));
        Length = _slices.Sum(slice => Aligned(slice.Length));
        if (_slices.Count < _layout.Count)
        {
            _starts = new long[_layout.Count];
            Array.Fill(_starts, -1);
            long start = 0;
            foreach (ParameterSlice slice in _slices)
            {
                _starts[slice.Index] = start;
                start += Aligned(slice.Length);
            }
        }

        Slices = _slices.AsReadOnly();
        Lease = new Lease(this);
        _buffer = new NativeBuffer<T>(Length);
    }

    /// <summary>The slices that the vector holds, in order.</summary>
    public IReadOnlyList<ParameterSlice> Slices { get; }

    /// <summary>Elements of the vector, alignment gaps included (gaps are always zero).</summary>
    public long Length { get; private set; }

    /// <summary>Number of trainable values.</summary>
    public long TrainableCount => _slices.Sum(s => (long)s.Length);

    /// <summary>Bytes of native memory held; 0 before <see cref="Freeze"/>.</summary>
    public long AllocatedBytes => _buffer?.AllocatedBytes ?? 0;

    /// <summary>Of the values and of what the layers hold beside them.</summary>
    internal Lease Lease { get; }

    /// <summary>First element.</summary>
    internal T* Pointer => _buffer is null
        ? throw (_initial is null ? new ObjectDisposedException("parameters") : new InvalidOperationException("The parameters are not frozen yet."))
        : _buffer.Pointer;

    /// <summary>Appends a slice with initial values, which are read when the vector is frozen: until then they must stay as they are.</summary>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public ParameterSlice Add(string name, ParameterKind kind, float[] initial, double rateScale = 1, double[]? gram = null) =>
        Add(name, kind, initial, rateScale, gram, null);

    internal ParameterSlice Add(string name, ParameterKind kind, float[] initial, double rateScale, double[]? gram, RbeStructure? matrix)
    {
        ArgumentNullException.ThrowIfNull(initial);
        int bad = FiniteSearch.IndexOfNonFinite(initial);
        if (bad >= 0) throw new NonFiniteException(name, $"value {initial[bad]} at element {bad}. Repair the weights before building a model from them.");
        return Add(new ParameterSlice(name, kind, Length, initial.Length, rateScale, gram) { Matrix = matrix }, (initial, null));
    }

    /// <summary>Appends a slice whose values are read, and checked, when the vector is frozen.</summary>
    internal ParameterSlice Add(string name, ParameterKind kind, StoredValues stored) =>
        Add(new ParameterSlice(name, kind, Length, stored.Length), (null, stored));

    private ParameterSlice Add(ParameterSlice slice, (float[]? Values, StoredValues? Stored) initial)
    {
        using Hold held = Lease.Claim();
        if (_initial is null) throw new InvalidOperationException("The parameters are frozen.");
        slice = slice with { Index = _slices.Count };
        _slices.Add(slice);
        _initial.Add(initial);
        Length += Aligned(slice.Length);
        return slice;
    }

    /// <summary>Allocates the vector and copies or reads the initial values; nothing can be added afterwards.</summary>
    public void Freeze()
    {
        using Hold held = Lease.Claim();
        if (_initial is null) return;
        _buffer = new NativeBuffer<T>(Length);
        for (int s = 0; s < _slices.Count; s++)
        {
            T* target = _buffer.Pointer + _slices[s].Offset;
            if (typeof(T) == typeof(float)) Fill(_initial[s], new Span<float>(target, _slices[s].Length));
            else
            {
                float[] values = new float[_slices[s].Length];
                Fill(_initial[s], values);
                for (int i = 0; i < values.Length; i++) target[i] = T.CreateTruncating(values[i]);
            }
        }

        _initial = null;

        static void Fill((float[]? Values, StoredValues? Stored) initial, Span<float> target)
        {
            if (initial.Stored is { } stored) stored.Read(target);
            else initial.Values.CopyTo(target);
        }
    }

    /// <summary>First element of a slice.</summary>
    internal T* At(ParameterSlice slice) => Pointer + StartOf(slice);

    /// <summary>The elements of a slice, valid while the vector is.</summary>
    internal Span<T> Of(ParameterSlice slice) => new(At(slice), slice.Length);

    /// <summary>Copies the elements of a slice.</summary>
    /// <param name="slice">One of <see cref="Slices"/>.</param>
    /// <param name="values">As many as the slice has, written.</param>
    /// <exception cref="ShapeMismatchException">The slice is not of this vector, or there are more or fewer values.</exception>
    public void Read(ParameterSlice slice, Span<T> values)
    {
        using Hold held = Lease.Share();
        Require(slice, values.Length);
        Of(slice).CopyTo(values);
    }

    /// <summary>Sets the elements of a slice.</summary>
    /// <param name="slice">One of <see cref="Slices"/>.</param>
    /// <param name="values">As many as the slice has.</param>
    /// <exception cref="ShapeMismatchException">The slice is not of this vector, or there are more or fewer values.</exception>
    public void Write(ParameterSlice slice, ReadOnlySpan<T> values)
    {
        using Hold held = Lease.Share();
        Require(slice, values.Length);
        values.CopyTo(Of(slice));
    }

    /// <summary>The elements of a slice as floats.</summary>
    /// <exception cref="ShapeMismatchException">The slice is not of this vector.</exception>
    public float[] ToFloats(ParameterSlice slice)
    {
        using Hold held = Lease.Share();
        ArgumentNullException.ThrowIfNull(slice);
        Require(slice, slice.Length);
        float[] values = GC.AllocateUninitializedArray<float>(slice.Length);
        T* source = At(slice);
        if (typeof(T) == typeof(float)) new Span<float>(source, values.Length).CopyTo(values);
        else for (int i = 0; i < values.Length; i++) values[i] = float.CreateTruncating(source[i]);
        return values;
    }

    /// <summary>The slice of that name.</summary>
    /// <exception cref="KeyNotFoundException">There is none.</exception>
    public ParameterSlice Find(string name) =>
        _slices.Find(s => s.Name == name)
            ?? throw new KeyNotFoundException($"There is no parameter '{name}'; there are {string.Join(", ", _slices.Select(s => s.Name))}.");

    /// <summary>A vector of zeros with the same layout, which holds the same slices.</summary>
    public ParameterVector<T> CreateLike() => CreateLike(null);

    /// <summary>A vector of zeros with the same layout that holds a part of its slices; no gradient is computed of the others.</summary>
    /// <param name="held">Whether it holds a slice; null for those that this one holds.</param>
    internal ParameterVector<T> CreateLike(Func<ParameterSlice, bool>? held)
    {
        using Hold shared = Lease.Share();
        if (_initial is not null) throw new InvalidOperationException("The parameters are not frozen yet.");
        return new ParameterVector<T>(this, held);
    }

    /// <summary>Elements of a vector that holds these slices, alignment gaps included.</summary>
    internal long LengthOf(Func<ParameterSlice, bool> held) => _layout.Where(held).Sum(slice => Aligned(slice.Length));

    /// <summary>The slices of the layout, whether they are held or not.</summary>
    internal IReadOnlyList<ParameterSlice> Layout => _layout;

    /// <summary>Whether it holds a slice of the layout.</summary>
    internal bool Holds(ParameterSlice slice) => _starts is null || _starts[slice.Index] >= 0;

    /// <summary>Sets everything to zero.</summary>
    public void Clear()
    {
        using Hold held = Lease.Share();
        (_buffer ?? throw new InvalidOperationException("The parameters are not frozen yet.")).Clear();
    }

    /// <summary>Checks that a vector was made by <see cref="CreateLike()"/> of this one or of one like it.</summary>
    /// <exception cref="ShapeMismatchException">It has another layout.</exception>
    /// <param name="what">What it is for: the name of the layer, model or optimiser.</param>
    /// <param name="other">The vector.</param>
    public void RequireLayout(string what, ParameterVector<T> other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (!ReferenceEquals(other._layout, _layout))
        {
            throw new ShapeMismatchException($"{what}: parameter vector", $"the layout of these {_layout.Count} parameters, {Length} values",
                $"another of {other._layout.Count}, {other.Length} values", "Make it with Parameters.CreateLike() of the same model.");
        }
    }

    /// <summary>Copies the values of a vector of the same layout, of the slices that both hold.</summary>
    public void CopyFrom(ParameterVector<T> other)
    {
        ArgumentNullException.ThrowIfNull(other);
        using Hold to = Lease.Share();
        using Hold from = other.Lease.Share();
        RequireLayout("copy", other);
        if (_buffer is null || other._buffer is null) throw new InvalidOperationException("The parameters are not frozen yet.");
        foreach (ParameterSlice slice in _slices)
        {
            if (other.Holds(slice)) other.Of(slice).CopyTo(Of(slice));
        }
    }

    /// <summary>Exchanges values with those of a vector of the same layout, of the slices that both hold.</summary>
    internal void Exchange(ParameterVector<T> other)
    {
        const int Part = 1024;
        using Hold own = Lease.Share(), theirs = other.Lease.Share();
        RequireLayout("exchange", other);
        Span<T> kept = stackalloc T[Part];
        foreach (ParameterSlice slice in _slices)
        {
            if (!other.Holds(slice)) continue;
            for (int start = 0; start < slice.Length; start += Part)
            {
                int count = Math.Min(Part, slice.Length - start);
                Span<T> a = Of(slice).Slice(start, count), b = other.Of(slice).Slice(start, count);
                a.CopyTo(kept);
                b.CopyTo(a);
                kept[..count].CopyTo(b);
            }
        }
    }

    /// <summary>Frees the memory, after the calls that are using it.</summary>
    public void Dispose() => Lease.Dispose();

    void ILeased.Free()
    {
        _buffer?.Dispose();
        foreach (object part in _owned) (part as IDisposable)?.Dispose();
    }

    /// <summary>Lets what a layer holds beside its values be freed with the vector, and live as long as a call holds it.</summary>
    internal void Own(object part) => _owned.Add(part);

    private static long Aligned(long length) => (length + Alignment - 1) / Alignment * Alignment;

    private long StartOf(ParameterSlice slice)
    {
        if (_starts is null) return slice.Offset;
        long start = _starts[slice.Index];
        return start >= 0 ? start : throw new InvalidOperationException($"'{slice.Name}' is not held.");
    }

    // Slices lie in the order of their offsets.
    private void Require(ParameterSlice slice, int values)
    {
        ArgumentNullException.ThrowIfNull(slice);
        int low = 0, high = _slices.Count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if (_slices[middle].Offset <= slice.Offset) low = middle;
            else high = middle - 1;
        }

        // An empty slice has the offset of the next one.
        while (low > 0 && !ReferenceEquals(_slices[low], slice) && _slices[low - 1].Offset == slice.Offset) low--;
        if (high < 0 || !ReferenceEquals(_slices[low], slice))
        {
            throw new ShapeMismatchException("parameter slice", $"one of the {_slices.Count} slices of this vector",
                $"'{slice.Name}' of another, or one that it does not hold", "Take it from the vector's Slices, or find it by its name.");
        }

        if (values != slice.Length)
        {
            throw new ShapeMismatchException($"values of {slice.Name}", $"{slice.Length}", $"{values}", "Pass as many as the slice has.");
        }
    }
}
