using System.Globalization;
using System.Text;

namespace RbeMl.Cli.Output;

/// <summary>
/// A table of names and their figures that fits the terminal. What does not fit is settled by one rule: headings break between words, then
/// the least important columns are left out and a line below says which; a name that would take more than half of the line breaks at its
/// dots. A number is never broken.
/// </summary>
/// <param name="heading">Heading of the names, which stand left; figures stand right.</param>
internal sealed class FigureTable(string heading)
{
    /// <summary>What a figure that nobody knows is written as.</summary>
    public const string Unknown = "-";

    private const int Gap = 2, BrokenName = 16, LeastName = 4;
    private static readonly string[] NameBreaks = [".", "/", "_", " "], CellBreaks = [" to ", ", ", " x "], HeadingBreaks = ["/", " "];
    private readonly List<Column> _columns = [];
    private readonly List<(string Name, string[] Cells)> _rows = [];
    private string? _unknown;

    /// <summary>Adds a column right of those that are there.</summary>
    /// <param name="title">Its heading.</param>
    /// <param name="importance">The columns with the smallest go first where there is no room.</param>
    /// <param name="meaning">What it means, said below the table where the column is shown.</param>
    public FigureTable Column(string title, int importance = int.MaxValue, string? meaning = null)
    {
        _columns.Add(new Column(title, importance, meaning));
        return this;
    }

    /// <summary>What <see cref="Unknown"/> means, said below the table where it occurs.</summary>
    public FigureTable UnknownMeans(string meaning)
    {
        _unknown = meaning;
        return this;
    }

    /// <summary>Adds a row with a cell for each column.</summary>
    public void Row(string name, params string[] cells) => _rows.Add((PlainText.Line(name), [.. cells.Select(PlainText.Line)]));

    /// <summary>Writes it to the command's output.</summary>
    public void Write(CommandHost host)
    {
        foreach (string line in Lines(host.Columns)) host.Out.WriteLine(line);
    }

    /// <summary>Writes it as a table of HTML, whole, with its notes below. Cells know their headings, for a page too narrow for columns.</summary>
    public void Html(StringBuilder page)
    {
        page.Append(CultureInfo.InvariantCulture, $"<table><tr><th>{Page.Text(heading)}</th>")
            .AppendJoin("", _columns.Select(c => $"<th>{Page.Text(c.Title)}</th>")).Append("</tr>");
        foreach ((string name, string[] cells) in _rows) page.Append(CultureInfo.InvariantCulture, $"<tr><td>{Page.Text(name)}</td>")
            .AppendJoin("", cells.Select((cell, c) => $"<td data-heading=\"{Page.Text(_columns[c].Title)}\">{Page.Text(cell)}</td>")).Append("</tr>");
        page.Append("</table>");
        foreach (string note in Notes([.. Enumerable.Range(0, _columns.Count)], 0))
        {
            page.Append(CultureInfo.InvariantCulture, $"<p class=\"notes\">{Page.Text(note)}</p>");
        }
    }

    /// <summary>Its lines.</summary>
    /// <param name="width">Most cells of a line; null for any number.</param>
    public IEnumerable<string> Lines(int? width)
    {
        List<int> shown = [.. Enumerable.Range(0, _columns.Count)];
        int[] least = [.. shown.Select(c => Widest(_columns[c].Title, HeadingBreaks, c, CellBreaks))],
            full = [.. shown.Select(c => Widest(_columns[c].Title, [], c, []))];
        int wholeName = _rows.Select(row => Wrap.Cells(row.Name)).Append(Wrap.Cells(heading)).Max();
        int room = width ?? int.MaxValue,
            brokenName = Math.Min(wholeName,
                Math.Max(BrokenName, _rows.SelectMany(row => Pieces(row.Name, NameBreaks)).Select(Wrap.Cells).DefaultIfEmpty().Max()));
        int figures = least.Sum(w => w + Gap), needed = Math.Min(wholeName + figures, Math.Max(brokenName + figures, 2 * figures - 1));
        int name = Math.Max(brokenName, Math.Min(wholeName, room / 2));
        while (shown.Count > 1 && name + shown.Sum(c => least[c] + Gap) > room) shown.Remove(shown.MinBy(c => (_columns[c].Importance, -c)));
        name = Math.Max(LeastName, Math.Min(name, room - shown.Sum(c => least[c] + Gap)));

        // What is left over goes to the names, then to the columns.
        long spare = (long)room - name - shown.Sum(c => least[c] + Gap);
        name = Share(name, wholeName);
        int[] widths = new int[_columns.Count];
        foreach (int c in shown.OrderByDescending(c => _columns[c].Importance)) widths[c] = Share(least[c], full[c]);

        foreach (string line in Line(Pack(Pieces(heading, HeadingBreaks), name), shown,
            c => Pack(Pieces(_columns[c].Title, HeadingBreaks), widths[c]), name, widths)) yield return line;
        yield return new string('─', name + shown.Sum(c => widths[c] + Gap));
        foreach ((string rowName, string[] cells) in _rows)
        {
            foreach (string line in Line(Pack(Pieces(rowName, NameBreaks), name), shown, c => Pack(Pieces(cells[c], CellBreaks), widths[c]), name, widths))
            {
                yield return line;
            }
        }

        foreach (string note in Notes(shown, needed))
        {
            foreach (string line in Wrap.Lines(note, room)) yield return line;
        }

        int Share(int now, int wanted)
        {
            int more = (int)Math.Clamp(spare, 0, wanted - now);
            spare -= more;
            return now + more;
        }
    }

    private int Widest(string title, string[] titleBreaks, int column, string[] cellBreaks) =>
        _rows.SelectMany(row => Pieces(row.Cells[column], cellBreaks)).Concat(Pieces(title, titleBreaks)).Max(piece => Wrap.Cells(piece.TrimEnd()));

    private IEnumerable<string> Notes(List<int> shown, int needed)
    {
        foreach (int c in shown.Where(c => _columns[c].Meaning is not null)) yield return $"{_columns[c].Title}: {_columns[c].Meaning}";
        if (_unknown is not null && _rows.Any(row => shown.Any(c => row.Cells[c] == Unknown))) yield return $"{Unknown}: {_unknown}";
        string[] hidden = [.. _columns.Where((_, c) => !shown.Contains(c)).Select(column => column.Title)];
        if (hidden.Length > 0)
        {
            yield return $"Not shown for want of room: {string.Join(", ", hidden)}. A terminal of {needed} columns has it, and --json shows everything.";
        }
    }

    // A row is as high as its highest cell.
    private static IEnumerable<string> Line(List<string> name, List<int> shown, Func<int, List<string>> cell, int nameWidth, int[] widths)
    {
        List<string>[] cells = [.. shown.Select(cell)];
        int height = cells.Select(c => c.Count).Append(name.Count).Max();
        for (int i = 0; i < height; i++)
        {
            StringBuilder line = new(Padded(i < name.Count ? name[i] : "", nameWidth));
            for (int c = 0; c < cells.Length; c++)
            {
                string text = i < cells[c].Count ? cells[c][i] : "";
                line.Append(' ', Gap + widths[shown[c]] - Wrap.Cells(text)).Append(text);
            }

            yield return line.ToString().TrimEnd();
        }
    }

    private static string Padded(string text, int width) => text + new string(' ', Math.Max(0, width - Wrap.Cells(text)));

    // Text cut after each of the breaks, which stay with what is before them; of " to " the space behind goes.
    private static List<string> Pieces(string text, string[] breaks)
    {
        List<string> pieces = [];
        int start = 0;
        for (int i = 0; i < text.Length; i++)
        {
            if (breaks.FirstOrDefault(b => string.CompareOrdinal(text, i, b, 0, b.Length) == 0) is not { } found) continue;
            int end = i + found.Length;
            if (end >= text.Length) break;
            pieces.Add(text[start..end]);
            (start, i) = (end, end - 1);
        }

        pieces.Add(text[start..]);
        return pieces;
    }

    // As many pieces a line as fit. A piece that is wider than a line is cut between characters: of names alone, figures' columns are wide enough.
    private static List<string> Pack(List<string> pieces, int width)
    {
        List<string> lines = [];
        string line = "";
        foreach (string piece in pieces)
        {
            if (line.Length > 0 && Wrap.Cells(line) + Wrap.Cells(piece.TrimEnd()) > width)
            {
                lines.Add(line.TrimEnd());
                line = "";
            }

            foreach (Rune rune in piece.EnumerateRunes())
            {
                string character = rune.ToString();
                if (line.Length > 0 && character != " " && Wrap.Cells(line) + Wrap.Cells(character) > width)
                {
                    lines.Add(line);
                    line = "";
                }

                line += character;
            }
        }

        lines.Add(line.TrimEnd());
        return lines;
    }
}

/// <summary>A column of a <see cref="FigureTable"/>.</summary>
internal sealed record Column(string Title, int Importance, string? Meaning);
