using System.Globalization;

namespace RbeMl.Text;

/// <summary>
/// Cuts text into the pieces byte pairs are merged in, as GPT-2 does: a run of letters, of digits, or of anything else with the space before it;
/// English contractions; white space. A piece has at most <see cref="Longest"/> UTF-16 units. The pieces make up the whole text.
/// </summary>
internal ref struct WordSplitter(ReadOnlySpan<char> text)
{
    /// <summary>Longest piece; keeps merging linear in the text.</summary>
    public const int Longest = 64;

    private static readonly string[] Contractions = ["'s", "'t", "'m", "'d", "'re", "'ve", "'ll"];
    private ReadOnlySpan<char> _rest = text;

    private enum Kind
    {
        Space,
        Letter,
        Digit,
        Other,
    }

    /// <summary>The current piece.</summary>
    public ReadOnlySpan<char> Current { get; private set; }

    /// <summary>Goes to the next piece.</summary>
    public bool MoveNext()
    {
        if (_rest.IsEmpty) return false;
        int length = Math.Min(Length(_rest), Longest);
        if (length < _rest.Length && char.IsHighSurrogate(_rest[length - 1]) && char.IsLowSurrogate(_rest[length])) length += length > 1 ? -1 : 1;
        Current = _rest[..length];
        _rest = _rest[length..];
        return true;
    }

    private static int Length(ReadOnlySpan<char> text)
    {
        if (text[0] == '\'')
        {
            foreach (string contraction in Contractions)
            {
                if (text.StartsWith(contraction)) return contraction.Length;
            }
        }

        Kind kind = KindOf(text[0]);
        if (kind == Kind.Space)
        {
            int spaces = Run(text, 0, Kind.Space);
            if (spaces == text.Length) return spaces;
            if (spaces > 1) return spaces - 1;
            if (text[0] != ' ') return 1;
            return Run(text, 1, KindOf(text[1]));
        }

        return Run(text, 0, kind);
    }

    private static int Run(ReadOnlySpan<char> text, int start, Kind kind)
    {
        int end = start + 1;
        while (end < text.Length && end <= Longest && KindOf(text[end]) == kind) end++;
        return end;
    }

    private static Kind KindOf(char c)
    {
        if (c < 128) return char.IsAsciiLetter(c) ? Kind.Letter : char.IsAsciiDigit(c) ? Kind.Digit : char.IsWhiteSpace(c) ? Kind.Space : Kind.Other;
        if (char.IsLetter(c)) return Kind.Letter;
        if (char.IsWhiteSpace(c)) return Kind.Space;
        return char.GetUnicodeCategory(c) is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber ? Kind.Digit : Kind.Other;
    }
}
