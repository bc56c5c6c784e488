namespace RbeMl.Models;

/// <summary>How the hidden states of a sequence become one row.</summary>
public enum Pooling
{
    /// <summary>The mean over its tokens.</summary>
    Mean,

    /// <summary>Its last token, the only one that has seen all of a sequence in a causal model.</summary>
    Last,

    /// <summary>The largest value of every feature over its tokens.</summary>
    Max,

    /// <summary>Its first token, which encoders of the BERT kind are trained to put a sequence's meaning into.</summary>
    First,
}

/// <summary>What <see cref="TransformerModel{T}.Features"/> reads.</summary>
public sealed record FeatureOptions
{
    /// <summary>
    /// Whose output: 0 is the embedding, l the output of block l - 1, and L = the number of layers the last block's after the final LayerNorm, as the
    /// hidden states are numbered by Hugging Face. Null takes L. Blocks above it are not computed. A post-LN model has L only.
    /// </summary>
    public int? Layer { get; init; }

    /// <summary>How tokens become one row.</summary>
    public Pooling Pooling { get; init; }

    /// <summary>Padded tokens that go through the model at a time, about; it changes time and memory only.</summary>
    public int PassTokens { get; init; } = 2048;

    /// <summary>Checks every value for a model of <paramref name="layers"/> layers.</summary>
    /// <returns>The layer.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public int Resolve(int layers)
    {
        if (Layer is { } layer && (layer < 0 || layer > layers))
        {
            throw new InvalidSettingException(nameof(Layer), layer, $"use 0 (the embedding) to {layers} (the last block and the final LayerNorm).");
        }

        if (!Enum.IsDefined(Pooling)) throw new InvalidSettingException(nameof(Pooling), Pooling, $"use one of {string.Join(", ", Enum.GetNames<Pooling>())}.");
        if (PassTokens < 1) throw new InvalidSettingException(nameof(PassTokens), PassTokens, "use a positive number.");
        return Layer ?? layers;
    }
}
