using System.Numerics;
using RbeMl.Memory;

namespace RbeMl.Layers;

/// <summary>
/// A vector of D features kept as D values (dense), as a cosine series of D/8 terms (compressed), or as one value for all (scalar).
/// v[i] = sum_k c_k cos(π k (i + ½) / D).
/// </summary>
/// <typeparam name="T">Element type.</typeparam>
public sealed unsafe class VectorParameter<T>
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private readonly ParameterVector<T> _parameters;
    private readonly NativeBuffer<T>? _cosines; // cos(π m / (2 D)), m = 0 .. 4 D - 1

    /// <summary>Adds the vector to the parameters, fitted to <paramref name="values"/> by least squares.</summary>
    /// <exception cref="NonFiniteException">A value is NaN or infinite, or a term of the series is.</exception>
    /// <exception cref="InvalidSettingException">The values are too small for a series of fp32 terms.</exception>
    public VectorParameter(ParameterVector<T> parameters, string name, LayerNormStorage storage, ReadOnlySpan<float> values)
    {
        _parameters = parameters;
        Storage = storage;
        Features = values.Length;
        int terms = storage switch { LayerNormStorage.Dense => Features, LayerNormStorage.Scalar => 1, _ => Math.Max(1, Features / 8) };
        float[] initial = new float[terms];
        if (storage == LayerNormStorage.Dense)
        {
            values.CopyTo(initial);
        }
        else
        {
            // The cosines of a DCT-II are orthogonal, with squared norm D for k = 0 and D / 2 otherwise.
            double error = 0, energy = 0;
            _cosines = new NativeBuffer<T>(4L * Features);
            parameters.Own(_cosines);
            for (long m = 0; m < 4L * Features; m++) _cosines.Pointer[m] = T.CreateTruncating(Math.Cos(Math.PI * m / (2.0 * Features)));
            for (int k = 0; k < terms; k++)
            {
                double sum = 0;
                for (int i = 0; i < Features; i++) sum += Math.Cos(Math.PI * k * (i + 0.5) / Features) * values[i];
                double term = sum * (k == 0 ? 1.0 : 2.0) / Features;
                initial[k] = (float)term;
                (error, energy) = (error + Math.Pow(term - initial[k], 2), energy + (term * term));
            }

            // Roundings are 2^-24 but of numbers next to nothing; infinity is found with the other values.
            if (error > energy * 1e-6) throw new InvalidSettingException(nameof(storage), storage, $"the values of {name} are so small that fp32 numbers have no digits left for a series of them. Use Dense.");
        }

        Slice = parameters.Add(name, ParameterKind.LayerNorm, initial);
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
