using System.Text;

namespace RbeMl.Text;

/// <summary>
/// Texts and the ids of a model whose tokenizer may have fewer ids than it (a vocabulary padded to a multiple of 64) or more (tokens added later). All that
/// turns text into a model's ids, or these into text, goes through here.
/// </summary>
internal static class ModelIds
{
    private const int LongestPiece = 40;

    /// <summary>The ids of a text for a model.</summary>
    /// <param name="tokenizer">The model's tokenizer.</param>
    /// <param name="text">The text.</param>
    /// <param name="vocabulary">Ids of the model.</param>
    /// <param name="special">Whether names of special tokens stand for these, see <see cref="ITokenizer.EncodeWithSpecial"/>.</param>
    /// <exception cref="TokenException">The text holds something that has no id, or one that the model does not have.</exception>
    public static int[] EncodeFor(this ITokenizer tokenizer, string text, int vocabulary, bool special = false)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return Check(tokenizer, special ? tokenizer.EncodeWithSpecial(text) : tokenizer.Encode(text), vocabulary);
    }

    /// <summary>The bytes of a model's id: none for one that the tokenizer does not have.</summary>
    /// <exception cref="TokenException">The id is negative.</exception>
    public static ReadOnlySpan<byte> BytesOf(this ITokenizer tokenizer, int token)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return token < 0 || tokenizer.IsToken(token) ? tokenizer.Bytes(token) : [];
    }

    private static int[] Check(ITokenizer tokenizer, int[] ids, int vocabulary)
    {
        if (tokenizer.Vocabulary <= vocabulary) return ids;
        int place = Array.FindIndex(ids, id => id >= vocabulary);
        if (place < 0) return ids;
        string piece = Encoding.UTF8.GetString(tokenizer.BytesOf(ids[place]));
        if (piece.Length > LongestPiece) piece = piece[..LongestPiece] + "...";
        throw new TokenException(
            $"The text needs token id {ids[place]} (\"{piece}\", token {place + 1}), but the model has ids 0 .. {vocabulary - 1} only; its tokenizer "
                + $"has {tokenizer.Vocabulary} ids. Leave that piece out of the text, or use the model's own tokenizer.");
    }
}
