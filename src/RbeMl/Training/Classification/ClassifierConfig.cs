using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>Shape of a classifier's head.</summary>
public sealed record ClassifierConfig
{
    /// <summary>Classes C, at least 2.</summary>
    public required int Classes { get; init; }

    /// <summary>How the hidden states of a sequence, after the final LayerNorm, become the head's input.</summary>
    public Pooling Pooling { get; init; } = Pooling.Mean;

    /// <summary>Whether the pooled row gets the length 1 before the head, as the vectors of most encoders do: their
    /// direction says what a text is about.</summary>
    public bool Normalize { get; init; }

    /// <summary>Dropout probability of the pooled row while training, before it gets its length; 0 up to but not 1.</summary>
    public float Dropout { get; init; }

    /// <summary>Names of the classes, one each, or null; they travel in the classifier's file.</summary>
    public IReadOnlyList<string>? Labels { get; init; }

    /// <summary>A head on what a model gives for a text: an encoder's own vectors, or the mean of other models' hidden states.</summary>
    /// <param name="classes">Classes.</param>
    /// <param name="encoder">How the encoder makes its vectors; null for other models.</param>
    public static ClassifierConfig For(int classes, EncoderSettings? encoder) =>
        new() { Classes = classes, Pooling = encoder?.Pooling ?? Pooling.Mean, Normalize = encoder?.Normalize ?? false };

    /// <summary>Checks every value.</summary>
    /// <returns>This configuration.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public ClassifierConfig Validate()
    {
        const int Most = 1 << 20;
        if (Classes is < 2 or > Most) throw new InvalidSettingException(nameof(Classes), Classes, $"use 2 to {Most} classes.");
        if (!Enum.IsDefined(Pooling)) throw new InvalidSettingException(nameof(Pooling), Pooling, $"use one of {string.Join(", ", Enum.GetNames<Pooling>())}.");
        if (!(Dropout >= 0 && Dropout < 1)) throw new InvalidSettingException(nameof(Dropout), Dropout, "use a probability from 0 up to, but not, 1.");
        if (Labels is { } labels && (labels.Count != Classes || labels.Distinct(StringComparer.Ordinal).Count() != Classes))
        {
            throw new InvalidSettingException(nameof(Labels), $"{labels.Count}", $"give {Classes} different ones, one a class, or none.");
        }

        return this;
    }
}
