namespace RbeMl.Layers;

/// <summary>
/// What a model keeps of a LayerNorm's vector: its values, the terms of a cosine series, or one value for all; see
/// <see cref="VectorParameter{T}"/>.
/// </summary>
internal static class NormTerms
{
    /// <summary>How many there are.</summary>
    public static int Count(LayerNormStorage storage, int features) => storage switch
    {
        LayerNormStorage.Dense => features,
        LayerNormStorage.Scalar => 1,
        _ => Math.Max(1, features / 8),
    };

    /// <summary>The terms next to some values by least squares; dense ones are the values themselves, not copied.</summary>
    /// <param name="name">What messages call the vector.</param>
    /// <param name="storage">How it is kept.</param>
    /// <param name="values">Its values, or already <paramref name="given"/> as the terms of this storage.</param>
    /// <param name="given">What the values are.</param>
    /// <exception cref="InvalidSettingException">The values are too small for fp32 terms, or are the terms of another storage.</exception>
    public static float[] Of(string name, LayerNormStorage storage, float[] values, LayerNormStorage given = LayerNormStorage.Dense)
    {
        if (given == storage) return values;
        if (given != LayerNormStorage.Dense)
        {
            throw new InvalidSettingException(nameof(storage), storage, $"{name} is given as {given}: keep it so, or give its values.");
        }

        // The cosines of a DCT-II are orthogonal, with squared norm D for k = 0 and D / 2 otherwise.
        double error = 0, energy = 0;
        int features = values.Length;
        float[] terms = new float[Count(storage, features)];
        for (int k = 0; k < terms.Length; k++)
        {
            double sum = 0;
            for (int i = 0; i < features; i++) sum += Math.Cos(Math.PI * k * (i + 0.5) / features) * values[i];
            double term = sum * (k == 0 ? 1.0 : 2.0) / features;
            terms[k] = (float)term;
            (error, energy) = (error + Math.Pow(term - terms[k], 2), energy + (term * term));
        }

        // Roundings are 2^-24 but of numbers next to nothing; infinity is found with the other values.
        if (error > energy * 1e-6)
        {
            throw new InvalidSettingException(nameof(storage), storage,
                $"the values of {name} are so small that fp32 numbers have no digits left for a series of them. Use Dense.");
        }

        return terms;
    }

    /// <summary>The values that terms stand for; dense ones are the terms themselves, not copied.</summary>
    public static float[] Values(LayerNormStorage storage, float[] terms, int features)
    {
        if (storage == LayerNormStorage.Dense) return terms;
        using ParameterVector<float> parameters = new();
        VectorParameter<float> vector = new(parameters, "vector", storage, terms, features);
        parameters.Freeze();
        return vector.ToFloats();
    }
}
