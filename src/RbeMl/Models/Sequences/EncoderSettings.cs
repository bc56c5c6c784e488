using RbeMl.Layers;

namespace RbeMl.Models;

/// <summary>What an encoder does with a text of more tokens than it takes.</summary>
public enum LongTexts
{
    /// <summary>Its end is cut off.</summary>
    Cut,

    /// <summary>It is divided into windows, each a sequence of its own, whose vectors are averaged by their tokens.</summary>
    Windows,
}

/// <summary>
/// How an encoder makes a vector of a text. It is part of the model and stored with it: vectors made in another way mean nothing to each other.
/// </summary>
public sealed record EncoderSettings
{
    /// <summary>How tokens become one vector.</summary>
    public Pooling Pooling { get; init; } = Pooling.Mean;

    /// <summary>Whether vectors get the length 1, so that their dot product is the cosine.</summary>
    public bool Normalize { get; init; }

    /// <summary>Tokens of a sequence at most, those that begin and end it included; null for as many as the model has positions.</summary>
    public int? MaxTokens { get; init; }

    /// <summary>What is done with a longer text.</summary>
    public LongTexts LongTexts { get; init; } = LongTexts.Cut;

    /// <summary>What some models want before a text, such as "query: ", by what the text is for.</summary>
    public IReadOnlyDictionary<string, string> Prompts { get; init; } = new Dictionary<string, string>();

    /// <summary>Name of the prompt of a text for which none is named; null for none.</summary>
    public string? DefaultPrompt { get; init; }

    /// <summary>The prompt of a name.</summary>
    /// <param name="name">One of <see cref="Prompts"/>; null for the default, an empty text for none.</param>
    /// <exception cref="InvalidSettingException">There is none of that name.</exception>
    public string Prompt(string? name)
    {
        name ??= DefaultPrompt ?? "";
        if (name.Length == 0) return "";
        return Prompts.TryGetValue(name, out string? prompt) ? prompt
            : throw new InvalidSettingException("prompt", name, Prompts.Count == 0
                ? "the model has no prompts: name none, or put what is wanted before the text."
                : $"the model has the prompts {string.Join(", ", Prompts.Keys.Order(StringComparer.Ordinal).Select(key => $"\"{key}\""))}; name one of them, "
                    + "or \"\" for none.");
    }

    /// <summary>Checks every value for a model.</summary>
    /// <param name="config">The model's shapes.</param>
    /// <returns>These settings.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public EncoderSettings Validate(TransformerConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        if (!Enum.IsDefined(Pooling)) throw new InvalidSettingException(nameof(Pooling), Pooling, $"use one of {string.Join(", ", Enum.GetNames<Pooling>())}.");
        if (!Enum.IsDefined(LongTexts))
        {
            throw new InvalidSettingException(nameof(LongTexts), LongTexts, $"use one of {string.Join(", ", Enum.GetNames<LongTexts>())}.");
        }

        int most = MaxTokens ?? config.MaxSequenceLength;
        if (most < 3 || most > config.MaxSequenceLength)
        {
            throw new InvalidSettingException(nameof(MaxTokens), most,
                $"use 3 (one between the two that begin and end a sequence) to {config.MaxSequenceLength}, the model's positions.");
        }

        ArgumentNullException.ThrowIfNull(Prompts);
        _ = Prompt(null);
        return this;
    }
}
