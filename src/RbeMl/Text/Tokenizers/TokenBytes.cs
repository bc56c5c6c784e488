namespace RbeMl.Text;

/// <summary>
/// Bounds of a vocabulary in memory, in proportion to what lists it: a merge can double a token, so that a short list could make gigabytes,
/// and a single id could stand for a million before it.
/// </summary>
internal static class TokenBytes
{
    private const int Free = 1 << 20, Average = 64, FreeGap = 4096, IdsOfOne = 8;

    /// <summary>Most bytes that the tokens which merges make may have together. A text's have 5 to 10 each.</summary>
    public static long Most(int tokens) => Free + ((long)Average * tokens);

    /// <summary>Adds the length of a token.</summary>
    /// <exception cref="TokenException">It is too much.</exception>
    public static long Add(long total, int length, int tokens) => total + length <= Most(tokens)
        ? total + length
        : throw new TokenException(
            $"The tokens of the vocabulary have more than {Most(tokens)} bytes together, {Average} for each of {tokens} and {Free}. No text has such a "
                + $"vocabulary: use another.");

    /// <summary>Checks that ids are not much more than tokens.</summary>
    /// <exception cref="TokenException">They are.</exception>
    public static void CheckGaps(int largest, int tokens)
    {
        if (largest > FreeGap + ((long)IdsOfOne * tokens))
        {
            throw new TokenException($"A token has the id {largest}, but there are only {Amount.Of(tokens, "token")}. Number them with fewer gaps.");
        }
    }
}
