using System.Text.Json;
using RbeMl.Text;

namespace RbeMl.Cli.Data;

/// <summary>
/// The documents of some files, read one by one as often as needed: rows of JSON lines (<c>text</c>; <c>prompt</c> and <c>completion</c>;
/// <c>messages</c>) and tables, lines, or whole texts.
/// </summary>
/// <param name="paths">The files.</param>
/// <param name="format">How all of them are read; null goes by their names.</param>
/// <param name="column">The field or column of the texts; null for those that are known.</param>
/// <param name="options">How their bytes are read.</param>
internal sealed class DocumentFiles(IReadOnlyList<string> paths, string? format, string? column, TextOptions options)
{
    /// <summary>The words for a format that is not told by the name: a file is a text, or a line is one, or rows.</summary>
    public static readonly string[] Formats = ["text", "lines", "jsonl", "csv", "tsv"];

    private const string Text = "text", Prompt = "prompt", Completion = "completion", Messages = "messages", Role = "role", Content = "content",
        Assistant = "assistant", ColumnOption = "--text-column", Leave = "Leave it out, or mend it.";

    private readonly TextSource _files = TextSource.OfFiles(paths, options);
    private readonly Dictionary<string, TextSource> _texts = new(StringComparer.Ordinal); // files that are one document

    /// <summary>The files.</summary>
    public IReadOnlyList<string> Paths => paths;

    /// <summary>Whether a file holds rows; else it is a text.</summary>
    /// <param name="path">The file.</param>
    /// <param name="format">A word of <see cref="Formats"/>, or null.</param>
    public static RowFormat? RowsOf(string path, string? format) => format switch
    {
        "text" => null,
        "lines" => RowFormat.Lines,
        { } word => DataRows.FormatOf($".{word}"),
        null => DataRows.FormatOf(path) is var rows and not RowFormat.Lines ? rows : null,
    };

    /// <summary>The documents in order.</summary>
    /// <param name="progress">Told how much is read.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="RbeFileException">A file cannot be read, or a row is no document; file and line are named.</exception>
    public IEnumerable<DataDocument> Read(IProgress<TextProgress>? progress, CancellationToken cancel)
    {
        long done = 0;
        long? total = paths.Select(KeptBytes.LengthOf).Aggregate((long?)0, (sum, length) => sum + length);
        foreach (string path in paths)
        {
            if (RowsOf(path, format) is not { } rows)
            {
                if (!_texts.TryGetValue(path, out TextSource? whole))
                {
                    _texts[path] = whole = TextSource.OfFiles([path], options, format is null ? DataFiles.RefuseJson : null);
                }

                cancel.ThrowIfCancellationRequested();
                progress?.Report(new TextProgress(done, total));
                yield return new DataDocument(path, 0, DocumentKind.Text, [], whole);
                done += KeptBytes.LengthOf(path) ?? 0;
                continue;
            }

            using TextFileReader reader = _files.Open(path);
            bool any = false;
            foreach (DataDocument document in Rows(reader, rows))
            {
                cancel.ThrowIfCancellationRequested();
                any = true;
                progress?.Report(new TextProgress(done + reader.BytesRead, total));
                yield return document;
            }

            if (!any) throw new RbeFileException(path, "holds no rows. Give at least one, or leave it out.");
            done += reader.BytesRead;
        }
    }

    private IEnumerable<DataDocument> Rows(TextFileReader reader, RowFormat rows) => rows switch
    {
        RowFormat.Json => DataRows.Objects(reader, (line, row) => Json(reader.Name, line, row)),
        RowFormat.Lines => DataRows.Lines(reader).Where(row => !string.IsNullOrWhiteSpace(row.Values[0])).Select(row => Document(reader.Name, row)),
        _ => DataRows.Table(reader, rows, Columns).Select(row => Document(reader.Name, row)),
    };

    private IReadOnlyList<RowColumn> Columns(List<string> header) =>
        column is null && !header.Contains(Text) && header.Contains(Prompt) && header.Contains(Completion)
            ? [new RowColumn(Prompt, ColumnOption), new RowColumn(Completion, ColumnOption)] : [new RowColumn(column ?? Text, ColumnOption)];

    private static DataDocument Document(string path, DataRow row) => row.Values is [var prompt, var completion]
        ? Pair(path, row.Line, prompt, completion) : Whole(path, row.Line, row.Values[0]);

    private DataDocument Json(string path, int line, JsonElement row)
    {
        if (column is not null) return Whole(path, line, Field(column));
        if (row.TryGetProperty(Messages, out JsonElement messages)) return Conversation(path, line, messages);
        if (row.TryGetProperty(Prompt, out _) || row.TryGetProperty(Completion, out _)) return Pair(path, line, Field(Prompt), Field(Completion));
        if (row.TryGetProperty(Text, out _)) return Whole(path, line, Field(Text));
        throw DataRows.Damaged(path, line, $"has none of \"{Text}\", \"{Prompt}\" with \"{Completion}\", and \"{Messages}\"; it has "
            + DataRows.Names(row.EnumerateObject().Select(field => field.Name)), $"Name the field of the texts with {ColumnOption}.");

        string Field(string name) => DataRows.Value(path, line, row, new RowColumn(name, ColumnOption));
    }

    private static DataDocument Whole(string path, int line, string text) => text.Length > 0
        ? new DataDocument(path, line, DocumentKind.Text, [new DocumentPart("", text, true)])
        : throw DataRows.Damaged(path, line, "has an empty text, of which nothing is learnt", Leave);

    private static DataDocument Pair(string path, int line, string prompt, string completion)
    {
        if (completion.Length == 0) throw DataRows.Damaged(path, line, $"has an empty \"{Completion}\", so that nothing is learnt of it", Leave);
        if (prompt.Length == 0)
        {
            throw DataRows.Damaged(path, line, $"has an empty \"{Prompt}\", and a text is needed", $"Put texts without one into \"{Text}\".");
        }

        return new DataDocument(path, line, DocumentKind.Completion, [new DocumentPart("", prompt, false), new DocumentPart("", completion, true)]);
    }

    private static DataDocument Conversation(string path, int line, JsonElement messages)
    {
        if (messages.ValueKind != JsonValueKind.Array || messages.GetArrayLength() == 0)
        {
            throw DataRows.Damaged(path, line, $"has {Word(messages)} in \"{Messages}\", where a list of messages is needed",
                $"Write [{{\"{Role}\": \"user\", \"{Content}\": \"...\"}}, ...].");
        }

        List<DocumentPart> parts = [];
        foreach (JsonElement message in messages.EnumerateArray())
        {
            string role = Of(message, Role), text = Of(message, Content);
            bool learnt = role == Assistant;
            if (learnt && text.Length == 0) throw Bad("is an empty answer of the assistant, which cannot be learnt", Leave);
            parts.Add(new DocumentPart(role, text, learnt));
        }

        if (parts.Exists(part => part.Learnt)) return new DataDocument(path, line, DocumentKind.Conversation, parts);
        throw DataRows.Damaged(path, line, $"has no message of the role \"{Assistant}\", so that nothing is learnt of it; it has "
            + DataRows.Names(parts.Select(part => part.Role).Distinct()), Leave);

        string Of(JsonElement message, string name)
        {
            if (message.ValueKind != JsonValueKind.Object) throw Bad($"is {Word(message)}, where an object is needed", "Write a role and a content.");
            if (!message.TryGetProperty(name, out JsonElement value)) throw Bad($"has no \"{name}\"", "Write a role and a content.");
            if (value.ValueKind == JsonValueKind.String && (name != Role || value.GetString()!.Length > 0)) return value.GetString()!;
            throw Bad($"has {(value.ValueKind == JsonValueKind.String ? "an empty text" : Word(value))} in \"{name}\", where a text is needed", Leave);
        }

        RbeFileException Bad(string what, string mend) =>
            DataRows.Damaged(path, line, FormattableString.Invariant($"is damaged: message {parts.Count + 1} ") + what, mend);
    }

    private static string Word(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Array => value.GetArrayLength() == 0 ? "an empty list" : "a list",
        JsonValueKind.Object => "an object",
        JsonValueKind.String => "a text",
        JsonValueKind.Number => "a number",
        var kind => kind.ToString().ToLowerInvariant(),
    };
}
