using System.CommandLine;
using RbeMl.Training;

namespace RbeMl.Cli.Data;

/// <summary>The options of how files are divided into documents, and these laid into sequences.</summary>
internal sealed class DocumentOptions
{
    /// <summary>Texts of so many files are documents, of which a tenth can be held out; fewer are one text.</summary>
    public const int LeastFiles = 10;

    private readonly Option<string?> _format =
        Options.OptionalWord("--data-format",
            "How the files are read, whatever their names end in: a file is a text, or each line is one, or rows. By name .jsonl and .ndjson, .csv and .tsv "
                + "files hold rows, and others are texts.", DocumentFiles.Formats);
    private readonly Option<string?> _column = new Option<string?>("--text-column")
    {
        Description = "Field or column of the texts. If left out text; or prompt and completion, or in JSON lines messages: then only completions and the "
            + "messages of the assistant are learnt.",
        HelpName = "name",
    }.Named();
    private readonly Option<string> _pack =
        Options.Word("--pack", "on", "Whether documents share sequences, one after the other: on, and attention sees those before; isolated, and it sees one "
            + "at a time, each as if it stood alone; off begins a sequence with each, whose rest is padded.", "on", "isolated", "off");

    /// <summary>All of them, in the order of the help page.</summary>
    public Option[] All => [_format, _column, _pack];

    /// <summary>Reads them.</summary>
    public (string? Format, string? Column, DocumentPacking Packing) Read(ParseResult result) => (result.GetValue(_format), result.GetValue(_column),
        PackingOf(result.GetValue(_pack)));

    private static DocumentPacking PackingOf(string? word) => word switch
    {
        "off" => DocumentPacking.Separate,
        "isolated" => DocumentPacking.Isolated,
        _ => DocumentPacking.Packed,
    };

    /// <summary>Whether files are documents rather than one text.</summary>
    /// <param name="files">The files.</param>
    /// <param name="format">A word of the format, or null.</param>
    public static bool AreDocuments(IReadOnlyList<string> files, string? format) =>
        files.Count >= LeastFiles || files.Any(file => DocumentFiles.RowsOf(file, format) is not null);

    /// <summary>Whether another value of an option would make a difference.</summary>
    public bool HasEffect(Option option, ParseResult result, IReadOnlyList<string> files) =>
        option == _format ? files.Count > 0 && result.Given(_format)
            : AreDocuments(files, result.GetValue(_format)) && (option == _pack || result.Given(_column));

    /// <summary>Refuses what would have no effect.</summary>
    /// <exception cref="UsageException">An option has none.</exception>
    public void Check(ParseResult result, IReadOnlyList<string> files)
    {
        if (All.FirstOrDefault(result.Given) is not { } given) return;
        if (files.Count == 0) throw new UsageException($"{given.Name} says how texts are read. Give --text, or leave it out.");
        string? format = result.GetValue(_format);
        bool documents = AreDocuments(files, format), rows = files.Any(file => DocumentFiles.RowsOf(file, format) is not null);
        if (result.Given(_column) && !rows)
        {
            throw new UsageException($"{_column.Name} is for files of rows, and {files[0]} is a text. Leave it out, or say --data-format.");
        }

        if (result.Given(_pack) && !documents)
        {
            throw new UsageException($"{_pack.Name} is for documents, and {files[0]} is one text. Leave it out, or say --data-format.");
        }
    }
}
