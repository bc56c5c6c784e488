using System.Globalization;
using System.Text;

namespace RbeMl.Pretrained.Tests;

/// <summary>
/// Uncased BERT's tokenisation by its definition, step by step: clean, set ideographs apart, fold case, strip accents, split at
/// punctuation, then take the longest piece of the vocabulary again and again.
/// </summary>
internal sealed class PlainWordPiece(string vocabulary)
{
    private const int LongestWord = 100;
    private readonly Dictionary<string,
        int> _ids = File.ReadAllLines(vocabulary).Select((token, id) => (token, id)).ToDictionary(p => p.token, p => p.id);

    /// <summary>The ids between the tokens that begin and end a sequence, and these.</summary>
    public int[] Encode(string text, int most = 512)
    {
        List<int> ids = [];
        foreach (string word in Words(text)) ids.AddRange(Pieces(word));
        return [_ids["[CLS]"], .. ids.Take(most - 2), _ids["[SEP]"]];
    }

    private static List<string> Words(string text)
    {
        StringBuilder clean = new();
        foreach (Rune rune in text.EnumerateRunes())
        {
            UnicodeCategory kind = Rune.GetUnicodeCategory(rune);
            if (rune.Value is '\t' or '\n' or '\r' || kind == UnicodeCategory.SpaceSeparator) clean.Append(' ');
            else if (rune.Value is 0 or 0xFFFD || kind is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse
                or UnicodeCategory.Surrogate or UnicodeCategory.OtherNotAssigned) continue;
            else if (IsIdeograph(rune.Value)) clean.Append(' ').Append(rune).Append(' ');
            else clean.Append(rune);
        }

        StringBuilder folded = new();
        foreach (Rune rune in clean.ToString().ToLowerInvariant().EnumerateRunes().SelectMany(Decompose))
        {
            if (Rune.GetUnicodeCategory(rune) != UnicodeCategory.NonSpacingMark) folded.Append(IsPunctuation(rune) ? $" {rune} "
                : rune.ToString());
        }

        return [.. folded.ToString().Split(' ', StringSplitOptions.RemoveEmptyEntries)];
    }

    // Letters without their accents, and syllables of Hangul as their parts: what texts of the tests have. (Without globalization .NET
    // decomposes nothing.)
    private static IEnumerable<Rune> Decompose(Rune rune)
    {
        const string Accented = "àáâäãåçèéêëìíîïñòóôõöùúûüýÿ", Plain = "aaaaaaceeeeiiiinooooouuuuyy";
        int at = rune.IsBmp ? Accented.IndexOf((char)rune.Value, StringComparison.Ordinal) : -1, syllable = rune.Value - 0xAC00;
        if (at >= 0) return [new Rune(Plain[at])];
        if (syllable is < 0 or >= 11_172) return [rune];
        Rune[] parts = [new(0x1100 + (syllable / 588)), new(0x1161 + (syllable % 588 / 28)), new(0x11A7 + (syllable % 28))];
        return syllable % 28 == 0 ? parts[..2] : parts;
    }

    private List<int> Pieces(string word)
    {
        int unknown = _ids["[UNK]"];
        if (word.EnumerateRunes().Count() > LongestWord) return [unknown];
        List<int> pieces = [];
        for (int start = 0, end; start < word.Length; start = end)
        {
            for (end = word.Length; end > start; end--)
            {
                if (_ids.TryGetValue((start > 0 ? "##" : "") + word[start..end], out int id))
                {
                    pieces.Add(id);
                    break;
                }
            }

            if (end == start) return [unknown];
        }

        return pieces;
    }

    private static bool IsPunctuation(Rune rune) =>
        rune.Value is (>= 33 and <= 47) or (>= 58 and <= 64) or (>= 91 and <= 96) or (>= 123 and <= 126) || Rune.GetUnicodeCategory(rune) is
            UnicodeCategory.ConnectorPunctuation or UnicodeCategory.DashPunctuation or UnicodeCategory.OpenPunctuation or
            UnicodeCategory.ClosePunctuation or UnicodeCategory.InitialQuotePunctuation or UnicodeCategory.FinalQuotePunctuation or
            UnicodeCategory.OtherPunctuation;

    private static bool IsIdeograph(int c) => c is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF)
        or (>= 0x2A700 and <= 0x2B73F) or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B820 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF)
        or (>= 0x2F800 and <= 0x2FA1F);
}
