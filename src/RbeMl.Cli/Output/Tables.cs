using Spectre.Console;

namespace RbeMl.Cli.Output;

/// <summary>Tables for terminals and for files.</summary>
internal static class Tables
{
    /// <summary>A console on the command's output.</summary>
    public static IAnsiConsole Console(CommandHost host)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = host.Interactive ? AnsiSupport.Detect : AnsiSupport.No,
            ColorSystem = host.Interactive ? ColorSystemSupport.Detect : ColorSystemSupport.NoColors,
            Out = new AnsiConsoleOutput(host.Raw),
        });
        if (!host.Interactive) console.Profile.Width = Math.Max(console.Profile.Width, FileWidth);
        return console;
    }

    /// <summary>An empty table: its first column left, the others right-aligned.</summary>
    public static Table New(CommandHost host, params string[] headers)
    {
        Table table = new Table().Border(host.Interactive ? TableBorder.Rounded : TableBorder.Ascii);
        for (int i = 0; i < headers.Length; i++)
        {
            TableColumn column = new TableColumn(Cell(headers[i])).NoWrap();
            table.AddColumn(i == 0 ? column : column.RightAligned());
        }

        return table;
    }

    /// <summary>Adds a row of plain texts.</summary>
    public static void Row(this Table table, params string[] cells) => table.AddRow([.. cells.Select(Cell)]);

    private static string Cell(string text) => Markup.Escape(PlainText.Line(text));

    // Lines of a table in a file or pipe are not broken before this.
    private const int FileWidth = 160;
}
