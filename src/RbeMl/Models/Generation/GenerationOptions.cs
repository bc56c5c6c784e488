using RbeMl.Kernels;

namespace RbeMl.Models;

/// <summary>How the next token is drawn, and when a text ends.</summary>
public sealed record GenerationOptions
{
    private const double MostPenalty = 1000;

    /// <summary>Most tokens to generate.</summary>
    public int MaxTokens { get; init; } = 100;

    /// <summary>Logits are divided by it; 0 takes the most likely token.</summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Only the k most likely tokens are drawn from; 0 for all.</summary>
    public int TopK { get; init; }

    /// <summary>Only the most likely tokens that together have this part of the probability that <see cref="TopK"/> leaves are drawn from; 1 for all.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>
    /// Only tokens whose probability, at the temperature, is at least this part of the likeliest token's are drawn from; 0 for all. Tokens that
    /// <see cref="TopK"/> or <see cref="TopP"/> rules out are not drawn either.
    /// </summary>
    public double MinP { get; init; }

    /// <summary>
    /// Makes tokens that are there already less likely (Keskar et al. 2019): before all other rules the logit of each different token in the window, prompt and
    /// generated ones alike, is divided by it if it is above 0 and multiplied by it if below. The window is what the model looks at for this token: what the
    /// cache holds, without what was forgotten when the positions ran out. 1 changes nothing; below 1 repetition becomes likelier.
    /// </summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>Tokens that end the text and are not part of it; null for the model's own (<see cref="ModelTokens.EndTokens"/>), empty for none.</summary>
    public IReadOnlyList<int>? EndTokens { get; init; }

    /// <summary>Whether no token ends the text, whatever <see cref="EndTokens"/> says: an end token is then one as any other.</summary>
    public bool IgnoreEnd { get; init; }

    /// <summary>
    /// Texts that end the generated text where one first is complete; what is before it is given, itself it is not. For a
    /// <see cref="TextGenerator"/>.
    /// </summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>The same seed draws the same tokens.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>How past keys and values are stored: smaller formats round them, so the text may differ.</summary>
    public KvFormat KvFormat { get; init; } = KvFormat.F32;

    /// <summary>Checks every value.</summary>
    /// <param name="vocabulary">Ids of the model, for <see cref="EndTokens"/>.</param>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public GenerationOptions Validate(int vocabulary = int.MaxValue)
    {
        Require(MaxTokens >= 1, nameof(MaxTokens), MaxTokens, "use at least 1.");
        Require(Temperature >= 0 && double.IsFinite(Temperature), nameof(Temperature), Temperature,
            "use 0 (most likely token) or a positive number such as 0.8.");
        Require(TopK >= 0, nameof(TopK), TopK, "use 0 (all tokens) or a positive number.");
        Require(TopP > 0 && TopP <= 1, nameof(TopP), TopP, "use a probability above 0 and up to 1.");
        Require(MinP >= 0 && MinP <= 1, nameof(MinP), MinP, "use 0 (all tokens) or a part of the largest probability, up to 1.");
        Require(RepetitionPenalty >= 1 / MostPenalty && RepetitionPenalty <= MostPenalty, nameof(RepetitionPenalty), RepetitionPenalty,
            "use 1 (no penalty) or a number such as 1.2, at most 1000.");
        if (!Enum.IsDefined(KvFormat))
        {
            throw new InvalidSettingException(nameof(KvFormat), KvFormat, $"use one of {string.Join(", ", Enum.GetNames<KvFormat>())}.");
        }

        for (int i = 0; i < EndTokens?.Count; i++)
        {
            Require(EndTokens[i] >= 0 && EndTokens[i] < vocabulary, nameof(EndTokens), EndTokens[i],
                $"use ids from 0 to {vocabulary - 1}, or an empty list for none.");
        }

        if (StopStrings is null) throw new InvalidSettingException(nameof(StopStrings), "null", "leave it empty for none.");
        for (int i = 0; i < StopStrings.Count; i++)
        {
            if (string.IsNullOrEmpty(StopStrings[i]))
            {
                throw new InvalidSettingException(nameof(StopStrings), "\"\"", "every text holds the empty one. Leave it out.");
            }
        }

        return this;
    }

    // Values are boxed for a message only.
    private static void Require<T>(bool holds, string setting, T value, string mend)
        where T : struct, IFormattable
    {
        if (!holds) throw new InvalidSettingException(setting, value.ToString(null, System.Globalization.CultureInfo.InvariantCulture), mend);
    }
}

/// <summary>Why a generated text ended.</summary>
public enum FinishReason
{
    /// <summary>An end token was drawn.</summary>
    EndToken,

    /// <summary>A stop string came.</summary>
    StopString,

    /// <summary>It has as many tokens as were asked for.</summary>
    Length,

    /// <summary>It was cancelled.</summary>
    Cancelled,
}
