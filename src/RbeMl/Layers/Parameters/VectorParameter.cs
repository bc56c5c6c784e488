using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// A vector of D features kept as D values (dense), as a cosine series of D/8 terms (compressed), or as one value for all (scalar).
/// v[i] = sum_k c_k cos(π k (i + ½) / D).
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
internal sealed unsafe class VectorParameter<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly ParameterVector<T> _parameters;
    private readonly NativeBuffer<T>? _cosines; // cos(π m / (2 D)), m = 0 .. 4 D - 1

    /// <summary>Adds the vector to the parameters, given as what is kept of it (<see cref="NormTerms"/>).</summary>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    internal VectorParameter(ParameterVector<T> parameters, string name, LayerNormStorage storage, float[] terms, int features)
    {
        _parameters = parameters;
        Storage = storage;
        Features = features;
        if (storage != LayerNormStorage.Dense)
        {
            _cosines = new NativeBuffer<T>(4L * features);
            parameters.Own(_cosines);
            for (long m = 0; m < 4L * features; m++) _cosines.Pointer[m] = T.CreateTruncating(Math.Cos(Math.PI * m / (2.0 * features)));
        }

        Slice = parameters.Add(name, ParameterKind.LayerNorm, terms);
    }

    /// <summary>How it is kept.</summary>
    public LayerNormStorage Storage { get; }

    /// <summary>D.</summary>
    public int Features { get; }

    /// <summary>Bytes of native memory beside the values: the table of cosines.</summary>
    internal long NativeBytes => _cosines?.AllocatedBytes ?? 0;

    /// <summary>Its trainable values.</summary>
    public ParameterSlice Slice { get; }

    /// <summary>Writes the D values.</summary>
    internal void Decode(T* values)
    {
        T* c = _parameters.At(Slice);
        if (_cosines is null)
        {
            new Span<T>(c, Features).CopyTo(new Span<T>(values, Features));
            return;
        }

        new Span<T>(values, Features).Clear();
        for (int k = 0; k < Slice.Length; k++)
        {
            for (int i = 0; i < Features; i++) values[i] += c[k] * Cosine(k, i);
        }
    }

    /// <summary>The D values as floats.</summary>
    public float[] ToFloats()
    {
        using Hold held = _parameters.Lease.Share();
        T[] values = new T[Features];
        fixed (T* p = values) Decode(p);
        return [.. values.Select(float.CreateTruncating)];
    }

    /// <summary>Adds the gradient of the trainable values, given that of the D values.</summary>
    internal void PullBack(T* valueGradient, ParameterVector<T> gradients)
    {
        if (!gradients.Holds(Slice)) return;
        T* g = gradients.At(Slice);
        for (int k = 0; k < Slice.Length; k++)
        {
            if (_cosines is null)
            {
                g[k] += valueGradient[k];
                continue;
            }

            T sum = T.Zero;
            for (int i = 0; i < Features; i++) sum += valueGradient[i] * Cosine(k, i);
            g[k] += sum;
        }
    }

    private T Cosine(int k, int i) => _cosines!.Pointer[(long)k * (2 * i + 1) % (4L * Features)];
}
