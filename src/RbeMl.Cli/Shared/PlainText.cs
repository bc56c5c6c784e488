using System.Buffers;

namespace RbeMl.Cli;

/// <summary>
/// Text that cannot do anything to a terminal or a page but be read. Control characters except line ends and tabs, marks that turn the direction of what
/// follows, and halves of surrogate pairs are shown instead of sent: names of files and tensors, labels and what a model generates may hold any of them.
/// </summary>
internal static class PlainText
{
    private const char Pictures = '\u2400', DeletePicture = '\u2421', Unknown = '\uFFFD';

    private static readonly SearchValues<char> Suspect = SearchValues.Create([
        .. Range(0x00, 0x08), .. Range(0x0B, 0x1F), .. Range(0x7F, 0x9F), .. Range(0x202A, 0x202E), .. Range(0x2066, 0x2069), .. Range(0xD800, 0xDFFF),
    ]);

    /// <summary>The text with a picture for each control character, U+FFFD for what has none.</summary>
    public static string Clean(string text) => text.AsSpan().ContainsAny(Suspect) ? Replace(text) : text;

    /// <summary>The text as one line.</summary>
    public static string Line(string text) => Clean(text.ReplaceLineEndings(" ").Replace('\t', ' '));

    /// <summary>A JSON document whose texts hold no marks of direction as themselves; other controls are escaped already.</summary>
    public static string Json(string document)
    {
        foreach (char mark in "\u202A\u202B\u202C\u202D\u202E\u2066\u2067\u2068\u2069")
        {
            if (document.Contains(mark))
            {
                document = document.Replace(mark.ToString(), FormattableString.Invariant($"\\u{(int)mark:X4}"), StringComparison.Ordinal);
            }
        }

        return document;
    }

    private static string Replace(string text) => string.Create(text.Length, text, static (clean, text) =>
    {
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (char.IsHighSurrogate(c) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1]))
            {
                (clean[i], clean[i + 1]) = (c, text[i + 1]);
                i++;
                continue;
            }

            bool lineEnd = c == '\r' && i + 1 < text.Length && text[i + 1] == '\n';
            clean[i] = lineEnd || !Suspect.Contains(c) ? c : c < ' ' ? (char)(Pictures + c) : c == 0x7F ? DeletePicture : Unknown;
        }
    });

    private static IEnumerable<char> Range(int first, int last) => Enumerable.Range(first, last - first + 1).Select(c => (char)c);
}
