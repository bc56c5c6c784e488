using System.Text;
using Spectre.Console;

namespace RbeMl.Cli;

/// <summary>Breaks text between words.</summary>
internal static class Wrap
{
    /// <summary>
    /// The lines of a text. A word that is wider than a line has a line of its own and is not broken, so that names and numbers can be
    /// copied.
    /// </summary>
    /// <param name="text">The text, one paragraph.</param>
    /// <param name="width">Most cells of a line.</param>
    /// <param name="hanging">Spaces in front of every line but the first.</param>
    public static IEnumerable<string> Lines(string text, int width, int hanging = 0)
    {
        string indent = new(' ', hanging), line = "", gap = "";
        bool empty = true;
        foreach (string word in text.Split(' '))
        {
            if (word.Length > 0 && !empty && Cells(line) + gap.Length + Cells(word) > width)
            {
                yield return line;
                (line, gap, empty) = (indent, "", true);
            }

            if (word.Length > 0)
            {
                line += gap + word;
                (gap, empty) = ("", false);
            }

            gap += " "; // several stay several, but for those at the end of a line
        }

        yield return line;
    }

    /// <summary>The text with its words cut where they are wider than so many cells: for what is read and not copied.</summary>
    public static string Cut(string text, int width)
    {
        StringBuilder cut = new();
        int used = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            string character = rune.ToString();
            used = character == " " ? 0 : used + Cells(character);
            if (used > width)
            {
                cut.Append(' ');
                used = Cells(character);
            }

            cut.Append(character);
        }

        return cut.ToString();
    }

    /// <summary>Cells a text takes on a terminal, shown as <see cref="PlainText"/>; East Asian characters take two.</summary>
    public static int Cells(string text) => PlainText.Clean(text).GetCellWidth();
}
