using System.Buffers;
using System.Text;
using System.Text.Json;
using RbeMl.Text;

namespace RbeMl.Cli;

/// <summary>How rows stand in a file.</summary>
internal enum RowFormat
{
    /// <summary>A line is a text.</summary>
    Lines,

    /// <summary>A line is a JSON object.</summary>
    Json,

    /// <summary>Columns between tabs, named by the first line.</summary>
    Tsv,

    /// <summary>Columns between commas, named by the first line; those with commas, quotes or line ends stand in quotes.</summary>
    Csv,
}

/// <summary>A column that is wanted of rows.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Option">The option that names it, for messages.</param>
/// <param name="IsText">Whether JSON must have a text there; otherwise numbers and truth values are taken as they are written.</param>
internal sealed record RowColumn(string Name, string Option, bool IsText = true);

/// <summary>A row.</summary>
/// <param name="Line">The line it starts in, from 1.</param>
/// <param name="Values">One for each column that was wanted.</param>
internal readonly record struct DataRow(int Line, string[] Values);

/// <summary>Reads rows of texts: lines, JSON lines or tables.</summary>
internal static class DataRows
{
    private const int KeptBytes = 1 << 20;

    /// <summary>What the name of a file says about its rows.</summary>
    public static RowFormat FormatOf(string path) => Path.GetExtension(path).ToLowerInvariant() switch
    {
        ".jsonl" or ".ndjson" or ".json" => RowFormat.Json,
        ".tsv" => RowFormat.Tsv,
        ".csv" => RowFormat.Csv,
        _ => RowFormat.Lines,
    };

    /// <summary>All rows of a file or of standard input, in which a terminal may keep the reader waiting.</summary>
    /// <param name="host">Standard input, and what ends the reading.</param>
    /// <param name="path">The file, or <see cref="TextInput.Standard"/>.</param>
    /// <param name="format">How the rows stand in it.</param>
    /// <param name="columns">What is wanted of each; lines have one.</param>
    /// <param name="options">How its bytes are read.</param>
    /// <exception cref="RbeFileException">It cannot be read, a row is damaged, or a column is missing or there twice.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static List<DataRow> Read(CommandHost host, string path, RowFormat format, IReadOnlyList<RowColumn> columns, TextOptions options)
    {
        return path == TextInput.Standard
            ? Task.Run(() => All(() => new TextFileReader(host.In, TextInput.StandardName, options)), CancellationToken.None)
                .WaitAsync(host.Cancel).GetAwaiter().GetResult()
            : All(() => TextFile.Open(path, options));

        List<DataRow> All(Func<TextFileReader> open)
        {
            using TextFileReader reader = open();
            List<DataRow> rows = [];
            foreach (DataRow row in Rows(reader, format, columns))
            {
                host.Cancel.ThrowIfCancellationRequested();
                rows.Add(row);
            }

            return rows;
        }
    }

    private static IEnumerable<DataRow> Rows(TextFileReader reader, RowFormat format, IReadOnlyList<RowColumn> columns) => format switch
    {
        RowFormat.Lines => Lines(reader),
        RowFormat.Json => JsonLines(reader, columns),
        _ => Table(reader, format, _ => columns),
    };

    /// <summary>Each line as a row.</summary>
    public static IEnumerable<DataRow> Lines(TextFileReader reader)
    {
        int line = 0;
        while (reader.ReadLine() is { } text) yield return new DataRow(++line, [text]);
    }

    private static IEnumerable<DataRow> JsonLines(TextFileReader reader, IReadOnlyList<RowColumn> columns) =>
        Objects(reader, (line, row) => new DataRow(line, [.. columns.Select(column => Value(reader.Name, line, row, column))]));

    /// <summary>What is read of the object of each line that is not blank.</summary>
    /// <param name="reader">The text.</param>
    /// <param name="read">Reads the object of a line.</param>
    /// <exception cref="RbeFileException">A line is no JSON object.</exception>
    public static IEnumerable<T> Objects<T>(TextFileReader reader, Func<int, JsonElement, T> read)
    {
        int line = 0;
        ArrayBufferWriter<byte> text = new();
        while (reader.ReadLine(text))
        {
            line++;
            if (!IsBlank(text.WrittenSpan)) yield return Object(reader.Name, line, text.WrittenMemory, read);
            if (text.Capacity > KeptBytes) text = new(); // a long line is not kept for short ones
        }
    }

    private static bool IsBlank(ReadOnlySpan<byte> text)
    {
        while (!text.IsEmpty)
        {
            Rune.DecodeFromUtf8(text, out Rune rune, out int bytes);
            if (!Rune.IsWhiteSpace(rune)) return false;
            text = text[bytes..];
        }

        return true;
    }

    private static T Object<T>(string path, int line, ReadOnlyMemory<byte> text, Func<int, JsonElement, T> read)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(text);
            JsonElement row = document.RootElement;
            return row.ValueKind == JsonValueKind.Object ? read(line, row) : throw Damaged(path, line, "is no JSON object", "Write one object a line.");
        }
        catch (JsonException error)
        {
            throw Damaged(path, line, $"is no JSON ({error.Message.Split(". ")[0].TrimEnd('.')})", "Write one object a line.");
        }
        catch (InvalidOperationException)
        {
            throw Damaged(path, line, "has half of a surrogate pair, which is no character", "Write whole characters.");
        }
    }

    /// <summary>The text of an object's field.</summary>
    /// <exception cref="RbeFileException">There is none.</exception>
    public static string Value(string path, int line, JsonElement row, RowColumn column)
    {
        if (!row.TryGetProperty(column.Name, out JsonElement value))
        {
            throw Damaged(path, line, $"has no field {Quoted(column.Name)}; it has {Names(row.EnumerateObject().Select(field => field.Name))}",
                $"Name the right one with {column.Option}.");
        }

        if (value.ValueKind == JsonValueKind.String) return value.GetString()!;
        if (!column.IsText && value.ValueKind is JsonValueKind.Number or JsonValueKind.True or JsonValueKind.False) return value.GetRawText();
        throw Damaged(path, line, $"has {value.ValueKind.ToString().ToLowerInvariant()} in field {Quoted(column.Name)}, where a text is needed",
            $"Name another field with {column.Option}, or mend the line.");
    }

    /// <summary>The rows of a table.</summary>
    /// <param name="reader">The text.</param>
    /// <param name="format">What stands between its columns.</param>
    /// <param name="choose">Which columns are wanted, of those that the first line names.</param>
    /// <exception cref="RbeFileException">A row is damaged, or a column is missing or there twice.</exception>
    public static IEnumerable<DataRow> Table(TextFileReader reader, RowFormat format, Func<List<string>, IReadOnlyList<RowColumn>> choose)
    {
        int line = 1;
        if (Cells(reader, format, ref line) is not { } header) throw new RbeFileException(reader.Name, "is empty. Give rows below a line of names.");
        IReadOnlyList<RowColumn> columns = choose(header);
        int[] places = [.. columns.Select(column => header.IndexOf(column.Name) is >= 0 and int place ? place
            : throw NoColumn(reader.Name, format, header, column, columns))];
        if (header.Where(name => name.Length > 0).CountBy(name => name).FirstOrDefault(pair => pair.Value > 1).Key is { } twice)
        {
            throw Damaged(reader.Name, 1, $"names two columns {Quoted(twice)}, so that it is not clear which is meant", "Give each a name of its own.");
        }

        while (true)
        {
            int start = line;
            if (Cells(reader, format, ref line) is not { } cells) yield break;
            if (cells.TrueForAll(string.IsNullOrWhiteSpace)) continue; // a blank row is no row
            if (cells.Count != header.Count)
            {
                throw Damaged(reader.Name, start, $"has {Amount.Of(cells.Count, "column")}, the first line {header.Count}",
                    format == RowFormat.Csv ? "Put what holds commas into quotes." : "Let no text hold a tab.");
            }

            yield return new DataRow(start, [.. places.Select(place => cells[place])]);
        }
    }

    // A table without a line of names is one whose first line names none that is wanted.
    private static RbeFileException NoColumn(string path, RowFormat format, List<string> header, RowColumn column, IReadOnlyList<RowColumn> wanted)
    {
        string names = string.Join(format == RowFormat.Csv ? "," : "<TAB>", wanted.Reverse().Select(other => other.Name));
        return new(path, $"has no column {Quoted(column.Name)}; its first line names {Names(header)}. Name the right one with {column.Option}. "
            + $"The first line must name the columns: if it is a row already, put one such as \"{names}\" above it.");
    }

    // The cells of the next row, or null at the end.
    private static List<string>? Cells(TextFileReader reader, RowFormat format, ref int line)
    {
        int start = line;
        if (reader.ReadLine() is not { } text) return null;
        line++;
        if (format == RowFormat.Tsv) return [.. text.Split('\t')];
        List<string> cells = [];
        StringBuilder cell = new();
        bool quoted = false;
        for (int i = 0; ; i++)
        {
            if (i == text.Length)
            {
                if (!quoted) break;
                cell.Append('\n');
                text = reader.ReadLine()
                    ?? throw Damaged(reader.Name, start, "opens a quote that nothing closes", "Close it; a quote in a text is two of them.");
                line++;
                i = -1;
                continue;
            }

            char c = text[i];
            if (c == '"' && quoted && i + 1 < text.Length && text[i + 1] == '"') cell.Append(text[++i]);
            else if (c == '"' && (quoted || cell.Length == 0)) quoted = !quoted;
            else if (c == ',' && !quoted)
            {
                cells.Add(cell.ToString());
                cell.Clear();
            }
            else cell.Append(c);
        }

        cells.Add(cell.ToString());
        return cells;
    }

    /// <summary>In quotes; of what is rather a text than a name, the beginning.</summary>
    public static string Quoted(string name)
    {
        const int Most = 40;
        return name.Length <= Most ? $"\"{name}\"" : $"\"{name[..Most]}...\"";
    }

    /// <summary>Several, or that there are none.</summary>
    public static string Names(IEnumerable<string> names) => names.Select(Quoted).ToArray() is { Length: > 0 } all ? string.Join(", ", all) : "none";

    /// <summary>The error of a line.</summary>
    public static RbeFileException Damaged(string path, int line, string what, string mend) => new(path, $"line {line} {what}. {mend}");
}
