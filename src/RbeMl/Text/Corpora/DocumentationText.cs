using System.Text;
using System.Xml;

namespace RbeMl.Text;

/// <summary>Plain English out of XML documentation.</summary>
internal static class DocumentationText
{
    private const int Shortest = 30, Longest = 300, FewestWords = 5;

    /// <summary>Appends the text of the element the reader is at, white space folded, references as short names. Leaves the reader at its end.</summary>
    public static void Read(XmlReader reader, StringBuilder text)
    {
        int depth = reader.Depth;
        while (reader.Read() && reader.Depth > depth)
        {
            switch (reader.NodeType)
            {
                case XmlNodeType.Text or XmlNodeType.CDATA or XmlNodeType.Whitespace or XmlNodeType.SignificantWhitespace:
                    foreach (char c in reader.Value) Append(text, c);
                    break;
                case XmlNodeType.Element when reader.Name is "code" or "list" or "table":
                    reader.Skip(); // not prose; a skipped element ends what came before it
                    text.Append('\n');
                    if (reader.NodeType is XmlNodeType.Text) foreach (char c in reader.Value) Append(text, c);
                    if (reader.Depth <= depth) return;
                    break;
                case XmlNodeType.Element when reader.Name is "see" or "seealso" or "paramref" or "typeparamref":
                    foreach (char c in ShortName(reader.GetAttribute("cref") ?? reader.GetAttribute("name") ?? reader.GetAttribute("langword") ?? ""))
                    {
                        Append(text, c);
                    }
                    break;
            }
        }
    }

    /// <summary><c>M:System.Text.Encoding.GetBytes(System.String)</c> is GetBytes.</summary>
    public static string ShortName(string reference)
    {
        int end = reference.AsSpan().IndexOfAny('(', '{', '`');
        ReadOnlySpan<char> name = end < 0 ? reference : reference.AsSpan(0, end);
        if (name.EndsWith(".#ctor")) name = name[..^6];
        return name[(name.LastIndexOfAny('.', ':') + 1)..].ToString();
    }

    /// <summary>Adds the plain sentences of a text: a capital first, a full stop last, words of letters in between.</summary>
    public static void Sentences(StringBuilder text, HashSet<string> sentences)
    {
        string whole = text.ToString();
        for (int start = 0; start < whole.Length;)
        {
            int end = EndOf(whole, start);
            ReadOnlySpan<char> sentence = whole.AsSpan(start, end - start).Trim();
            if (IsPlain(sentence)) sentences.Add(sentence.ToString());
            start = end;
        }
    }

    private static int EndOf(string text, int start)
    {
        for (int i = start; i < text.Length; i++)
        {
            if (text[i] == '\n') return i + 1;
            if (text[i] == '.' && i + 2 < text.Length && text[i + 1] == ' ' && char.IsAsciiLetterUpper(text[i + 2])) return i + 1;
        }

        return text.Length;
    }

    private static bool IsPlain(ReadOnlySpan<char> sentence)
    {
        if (sentence.Length is < Shortest or > Longest || !char.IsAsciiLetterUpper(sentence[0]) || sentence[^1] != '.') return false;
        int words = 1, letters = 0;
        foreach (char c in sentence)
        {
            if (c == ' ') words++;
            else if (char.IsAsciiLetter(c)) letters++;
            else if (!(char.IsAsciiDigit(c) || c is '.' or ',' or ';' or ':' or '\'' or '"' or '-' or '(' or ')')) return false;
        }

        return words >= FewestWords && letters + words >= 0.9 * sentence.Length;
    }

    // Folds white space; only a line break written above stays.
    private static void Append(StringBuilder text, char c)
    {
        bool space = char.IsWhiteSpace(c);
        if (!space) text.Append(c);
        else if (text.Length > 0 && !char.IsWhiteSpace(text[^1])) text.Append(' ');
    }
}
