using System.Globalization;
using System.Text;

namespace RbeMl.Text;

/// <summary>
/// What BERT does to a text before it looks words up: control characters are taken out, white space and punctuation part words, and, where the rules say so,
/// ideographs are words, accents are taken off and letters put into lower case. Half of a surrogate pair is taken out as a control character is.
/// </summary>
internal static class WordPieceText
{
    /// <summary>The words of a text, one space between two. Only the spaces part words, so that no character of a word is one.</summary>
    public static string Words(string text, WordPieceRules rules)
    {
        string clean = Clean(text, rules.SplitIdeographs);
        if (rules.Strips) clean = AccentTable.Strip(clean);
        if (rules.LowerCase) clean = clean.ToLowerInvariant();
        StringBuilder words = new(clean.Length + 16);
        foreach (Rune rune in clean.EnumerateRunes())
        {
            if (IsPunctuation(rune)) words.Append(' ').Append(rune).Append(' ');
            else words.Append(rune);
        }

        return words.ToString();
    }

    private static string Clean(string text, bool splitIdeographs)
    {
        StringBuilder clean = new(text.Length + 16);
        ReadOnlySpan<char> rest = text;
        while (!rest.IsEmpty)
        {
            bool whole = Rune.DecodeFromUtf16(rest, out Rune rune, out int used) == System.Buffers.OperationStatus.Done;
            rest = rest[used..];
            if (!whole || rune == Rune.ReplacementChar) continue;
            if (rune.Value is '\t' or '\n' or '\r') clean.Append(' ');
            else if (IsControl(rune)) continue;
            else if (Rune.IsWhiteSpace(rune)) clean.Append(' ');
            else if (splitIdeographs && IsIdeograph(rune.Value)) clean.Append(' ').Append(rune).Append(' ');
            else clean.Append(rune);
        }

        return clean.ToString();
    }

    private static bool IsControl(Rune rune) => Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format
        or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned or UnicodeCategory.Surrogate;

    // All that is visible in ASCII and neither a letter nor a digit, such as $ and ^, and what Unicode calls punctuation.
    private static bool IsPunctuation(Rune rune) => rune.IsAscii
        ? rune.Value is (>= 33 and <= 47) or (>= 58 and <= 64) or (>= 91 and <= 96) or (>= 123 and <= 126)
        : Rune.IsPunctuation(rune);

    private static bool IsIdeograph(int code) => code is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0xF900 and <= 0xFAFF)
        or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F) or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B820 and <= 0x2CEAF)
        or (>= 0x2F800 and <= 0x2FA1F);
}
