using System.Globalization;
using Microsoft.Extensions.AI;
using RbeMl.Models;

namespace RbeMl.Extensions.AI;

/// <summary>What a call asks for, in the words of the generator.</summary>
internal static class ChatSettings
{
    /// <summary>Reads the options of a call.</summary>
    /// <param name="options">The options; null for none.</param>
    /// <param name="client">The client, for the factory of the options to start from.</param>
    /// <param name="maxTokens">Most tokens where the call does not say.</param>
    /// <param name="model">What the model is called.</param>
    /// <exception cref="InvalidSettingException">An option is out of range or asks for what the model cannot do.</exception>
    public static GenerationOptions Read(ChatOptions? options, IChatClient client, int maxTokens, string model)
    {
        if (options is null) return new GenerationOptions { MaxTokens = maxTokens };
        RefuseUnknown(options, model);
        GenerationOptions start = options.RawRepresentationFactory?.Invoke(client) switch
        {
            null => new GenerationOptions { MaxTokens = maxTokens },
            GenerationOptions given => given,
            object other => throw new InvalidSettingException(
                nameof(options.RawRepresentationFactory), other.GetType().Name, $"give a {nameof(GenerationOptions)} or null."),
        };
        GenerationOptions drawing = start with
        {
            MaxTokens = options.MaxOutputTokens ?? start.MaxTokens,
            Temperature = Decimal(options.Temperature) ?? start.Temperature,
            TopP = Decimal(options.TopP) ?? start.TopP,
            TopK = options.TopK ?? start.TopK,
            Seed = options.Seed is { } seed ? unchecked((ulong)seed) : start.Seed,
            StopStrings = options.StopSequences is { } stops ? [.. stops] : start.StopStrings,
        };
        return drawing.Validate();
    }

    private static void RefuseUnknown(ChatOptions options, string model)
    {
        const string Penalty = "only 0 is possible. For less repetition give GenerationOptions with a RepetitionPenalty by RawRepresentationFactory.";
        if (options.FrequencyPenalty is { } frequency and not 0) throw Refuse(nameof(options.FrequencyPenalty), frequency, Penalty);
        if (options.PresencePenalty is { } presence and not 0) throw Refuse(nameof(options.PresencePenalty), presence, Penalty);
        if (options.Tools is { Count: > 0 } tools && options.ToolMode is not NoneChatToolMode)
        {
            throw Refuse(nameof(options.Tools), tools[0].Name, "the model calls no tools. Leave them out, or set ToolMode to none.");
        }

        if (options.ResponseFormat is not (null or ChatResponseFormatText))
        {
            throw Refuse(nameof(options.ResponseFormat), "JSON", "the model writes text. Leave the format out.");
        }

        if (options.ConversationId is { } conversation)
        {
            throw Refuse(nameof(options.ConversationId), conversation, "no conversation is kept here. Send all of its messages instead.");
        }

        if (options.ContinuationToken is not null)
        {
            throw Refuse(nameof(options.ContinuationToken), "a token", "answers cannot be taken up again. Ask anew.");
        }

        if (options.ModelId is { } other && other != model) throw InferenceCall.OtherModel(other, model);
    }

    private static InvalidSettingException Refuse(string setting, object value, string mend) =>
        new(setting, Convert.ToString(value, CultureInfo.InvariantCulture), mend);

    // As written: 0.8f is 0.8, as elsewhere, and not the double next to the float.
    private static double? Decimal(float? value) =>
        value is { } number ? double.Parse(number.ToString("R", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture) : null;
}
