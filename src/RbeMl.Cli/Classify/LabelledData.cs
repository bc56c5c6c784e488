using System.CommandLine;
using RbeMl.Text;

namespace RbeMl.Cli.Classify;

/// <summary>A text and its label.</summary>
internal readonly record struct LabelledText(int Line, string Text, string Label);

/// <summary>The options that say where labelled texts stand.</summary>
internal sealed class LabelledData
{
    private readonly Option<string> _data = new Option<string>("--data")
    {
        Description = "Labelled texts: a table whose first line names its columns (.tsv, .csv), or JSON lines (.jsonl).",
        HelpName = "file",
        Required = true,
    }.Named();
    private readonly Option<string> _text = RowOptions.TextColumn();
    private readonly Option<string> _label = RowOptions.Column("--label-column", "label",
        "Column, or field, of the labels, which may be words or numbers; each different one is a class.");
    private readonly Option<string?> _format = RowOptions.Format();
    private readonly TextInput _input = new("the data");

    /// <summary>All of them, in the order of the help page.</summary>
    public Option[] All => [_data, _text, _label, _format, .. _input.All];

    /// <summary>The file.</summary>
    public string File(ParseResult result) => result.GetValue(_data)!;

    /// <summary>How bytes are read.</summary>
    public TextOptions Input(ParseResult result) => _input.Read(result);

    /// <summary>The labelled texts of <c>--data</c>, or of another file that is like it.</summary>
    /// <exception cref="RbeFileException">It cannot be read, is damaged, a label is empty, or it has none.</exception>
    public List<LabelledText> Read(ParseResult result, CommandHost host, string? file = null)
    {
        file ??= File(result);
        RowFormat format = RowOptions.FormatOf(result.GetValue(_format), file)
            ?? throw new UsageException($"{file}: its name does not say how rows stand in it. Name it .tsv, .csv or .jsonl, or give --data-format.");
        RowColumn[] columns = [new(result.GetValue(_text)!, _text.Name), new(result.GetValue(_label)!, _label.Name, IsText: false)];
        List<LabelledText> texts =
            [.. DataRows.Read(host, file, format, columns, Input(result)).Select(row => new LabelledText(row.Line, row.Values[0], row.Values[1]))];
        foreach (LabelledText text in texts)
        {
            if (!string.IsNullOrWhiteSpace(text.Label)) continue;
            throw new RbeFileException(file, $"line {text.Line} has an empty label, which is no class. Write the label, or leave the row out.");
        }

        return texts.Count > 0 ? texts : throw new RbeFileException(file, "holds no labelled texts. Give at least one row.");
    }
}
