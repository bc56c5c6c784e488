using System.Globalization;

namespace RbeMl.Text;

/// <summary>
/// Cuts text into the pieces byte pairs are merged in, as GPT-2 does: a run of letters, of digits, or of anything else with the space before it;
/// English contractions; white space. A piece has at most <paramref name="longest"/> UTF-16 units. The pieces make up the whole text.
/// </summary>
/// <param name="text">The text.</param>
/// <param name="longest">Longest piece; at least 1.</param>
internal ref struct WordSplitter(ReadOnlySpan<char> text, int longest = WordSplitter.Longest)
{
    /// <summary>Longest piece where nothing else is said; keeps simple merging linear in the text.</summary>
    public const int Longest = 64;

    private static readonly string[] Contractions = ["'s", "'t", "'m", "'d", "'re", "'ve", "'ll"];
    private readonly int _longest = longest;
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
        int length = Math.Min(Length(_rest), _longest);
        if (length < _rest.Length && char.IsHighSurrogate(_rest[length - 1]) && char.IsLowSurrogate(_rest[length])) length += length > 1 ? -1 : 1;
        Current = _rest[..length];
        _rest = _rest[length..];
        return true;
    }

    /// <summary>
    /// The last place where a piece ends whatever is before and after it: where white space follows anything else, or a mark follows a letter or digit. 0 where
    /// there is none.
    /// </summary>
    /// <param name="text">The text.</param>
    /// <param name="atSpaces">Whether only white space counts.</param>
    public static int SafeCut(ReadOnlySpan<char> text, bool atSpaces = false)
    {
        for (int place = text.Length - 1; place > 0; place--)
        {
            char before = text[place - 1], after = text[place];
            if (char.IsSurrogate(before) || char.IsSurrogate(after)) continue;
            Kind left = KindOf(before), right = KindOf(after);
            if ((right == Kind.Space && left != Kind.Space) || (!atSpaces && right == Kind.Other && left is Kind.Letter or Kind.Digit)) return place;
        }

        return 0;
    }

    /// <summary>The end of a text that may be cut between any two characters.</summary>
    public static int WholeCharacters(ReadOnlySpan<char> text) => !text.IsEmpty && char.IsHighSurrogate(text[^1]) ? text.Length - 1 : text.Length;

    private readonly int Length(ReadOnlySpan<char> text)
    {
        if (text[0] == '\'')
        {
            foreach (string contraction in Contractions)
            {
                if (text.StartsWith(contraction)) return contraction.Length;
            }
        }

        Kind kind = KindOf(text, 0);
        if (kind == Kind.Space)
        {
            int spaces = Run(text, 0, Kind.Space);
            if (spaces == text.Length) return spaces;
            if (spaces > 1) return spaces - 1;
            if (text[0] != ' ') return 1;
            return Run(text, 1, KindOf(text, 1));
        }

        return Run(text, 0, kind);
    }

    private readonly int Run(ReadOnlySpan<char> text, int start, Kind kind)
    {
        int end = start + 1;
        while (end < text.Length && end <= _longest && KindOf(text, end) == kind) end++;
        return end;
    }

    // Both halves of a surrogate pair are of the kind of their character.
    private static Kind KindOf(ReadOnlySpan<char> text, int index)
    {
        char c = text[index];
        if (char.IsHighSurrogate(c) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1])) return KindOf(char.ConvertToUtf32(c, text[index + 1]));
        if (char.IsLowSurrogate(c) && index > 0 && char.IsHighSurrogate(text[index - 1])) return KindOf(char.ConvertToUtf32(text[index - 1], c));
        return KindOf(c);
    }

    private static Kind KindOf(int codePoint) => CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
    {
        <= UnicodeCategory.OtherLetter => Kind.Letter,
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => Kind.Digit,
        _ => Kind.Other,
    };

    private static Kind KindOf(char c)
    {
        if (c < 128) return char.IsAsciiLetter(c) ? Kind.Letter : char.IsAsciiDigit(c) ? Kind.Digit : char.IsWhiteSpace(c) ? Kind.Space : Kind.Other;
        if (char.IsLetter(c)) return Kind.Letter;
        if (char.IsWhiteSpace(c)) return Kind.Space;
        return char.GetUnicodeCategory(c) is UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber
            ? Kind.Digit : Kind.Other;
    }
}
