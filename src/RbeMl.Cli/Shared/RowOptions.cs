using System.CommandLine;

namespace RbeMl.Cli;

/// <summary>Options of the verbs that read or write rows of texts: which column, and how rows stand in a file.</summary>
internal static class RowOptions
{
    /// <summary><c>--text-column</c>.</summary>
    public static Option<string> TextColumn() => Column("--text-column", "text", "Column, or field, of the texts.");

    /// <summary>A column's name.</summary>
    public static Option<string> Column(string option, string name, string description) =>
        new Option<string>(option) { Description = description, HelpName = "name", DefaultValueFactory = _ => name }.Named();

    /// <summary><c>--data-format</c>.</summary>
    public static Option<string?> Format() =>
        Options.OptionalWord("--data-format", "Format of the rows, whatever the name ends in.", "tsv", "csv", "jsonl");

    /// <summary>The format of a word or of a file's name; null where neither says.</summary>
    public static RowFormat? FormatOf(string? word, string file) => DataRows.FormatOf(word is null ? file : $".{word}") is var format and not RowFormat.Lines
        ? format : null;

    /// <summary>Refuses a file to be written whose name ends in what is written in another way, or not at all; a name without an end is no promise.</summary>
    /// <param name="output">The file; null for standard output.</param>
    /// <param name="what">What is written, for the message.</param>
    /// <param name="mend">What to do about it.</param>
    /// <param name="ends">What names may end in, without the dot, beside those of JSON lines.</param>
    /// <exception cref="UsageException">It ends in something else.</exception>
    public static void RequireKnownEnd(string? output, string what, string mend, params string[] ends)
    {
        string end = Path.GetExtension(output ?? "").ToLowerInvariant();
        if (end.Length == 0 || DataRows.FormatOf(end) == RowFormat.Json || ends.Contains(end[1..])) return;
        throw new UsageException($"{output}: {what} are not written as {end}. {mend}");
    }
}
