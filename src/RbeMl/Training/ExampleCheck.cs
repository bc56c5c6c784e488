using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>Checks of tokenized texts before a training begins, so that a bad one is named by its place.</summary>
internal static class ExampleCheck
{
    /// <summary>Requires ids that a model takes.</summary>
    /// <param name="config">The model's shapes.</param>
    /// <param name="tokens">The ids.</param>
    /// <param name="what">What they are.</param>
    /// <param name="place">Its place among its like.</param>
    /// <exception cref="TokenException">There are none, too many, or one is out of range.</exception>
    public static void Tokens(TransformerConfig config, int[]? tokens, string what, int place)
    {
        if (tokens is not { Length: > 0 }) throw new TokenException($"{what} {place} has no tokens. Leave it out.");
        if (tokens.Length > config.MaxSequenceLength)
        {
            throw new TokenException(
                $"{what} {place} has {Amount.Of(tokens.Length, "token")}, the model {Amount.Of(config.MaxSequenceLength, "position")}. Shorten it to them.");
        }

        foreach (int id in tokens)
        {
            if ((uint)id >= (uint)config.Vocabulary)
            {
                throw new TokenException(
                    $"token id {id} of {what} {place} is outside the vocabulary 0 .. {config.Vocabulary - 1}. Use the model's own tokenizer.");
            }
        }
    }
}
