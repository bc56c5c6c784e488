using RbeMl.Cli;
using RbeMl.Tests.Files;
using RbeMl.Text;

namespace RbeMl.Tests.Cli;

public sealed class DataRowsTests : IDisposable
{
    private static readonly RowColumn[] s_columns = [new("text", "--text-column"), new("label", "--label-column", IsText: false)];
    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private List<DataRow> Read(string name, string content) =>
        DataRows.Read(new CommandHost(TextWriter.Null, TextWriter.Null), _folder.Write(name, content), DataRows.FormatOf(name), s_columns, TextOptions.Default);

    [Theory]
    [InlineData("a.tsv", "label\ttext\tid\nx\ta, \"b\"\t1\n\ny\t\t2\n")]
    [InlineData("a.csv", "id,label,text\r\n1,x,\"a, \"\"b\"\"\"\r\n\r\n2,y,\r\n")]
    [InlineData("a.jsonl", "{\"label\":\"x\",\"text\":\"a, \\\"b\\\"\"}\n\n{\"text\":\"\",\"label\":\"y\"}")]
    public void Rows_are_the_same_in_every_format(string name, string content)
    {
        List<DataRow> rows = Read(name, content);
        Assert.Equal([["a, \"b\"", "x"], ["", "y"]], rows.Select(row => row.Values));
        Assert.Equal(name == "a.jsonl" ? [1, 3] : [2, 4], rows.Select(row => row.Line));
    }

    [Fact]
    public void Quoted_cells_hold_line_ends_and_labels_are_taken_as_written()
    {
        List<DataRow> rows = Read("a.csv", "text,label\n\"one\ntwo\",1\nthree,2\n");
        Assert.Equal((2, "one\ntwo"), (rows[0].Line, rows[0].Values[0]));
        Assert.Equal((4, "three"), (rows[1].Line, rows[1].Values[0]));
        Assert.Equal(["1", "true", "2.50"], Read("a.jsonl", "{\"text\":\"\",\"label\":1}\n{\"text\":\"\",\"label\":true}\n{\"text\":\"\",\"label\":2.50}\n")
            .Select(row => row.Values[1]));
    }

    [Theory]
    [InlineData("a.tsv", "\ttext\tlabel\t\n\n\t \t\t\n1\ta\tx\t\n\t\t\t\n")]
    [InlineData("a.csv", ",text,label,\n\n,,,\n1,a,x,\n\"\",,,\n")]
    public void A_blank_row_of_a_table_is_no_row_and_columns_without_a_name_are_left_alone(string name, string content)
    {
        DataRow row = Assert.Single(Read(name, content));
        Assert.Equal(4, row.Line);
        Assert.Equal(["a", "x"], row.Values);
    }

    [Theory]
    [InlineData("a.tsv", "", "is empty.", "Give rows below a line of names.")]
    [InlineData("a.tsv", "label\tbody\n", "has no column \"text\"; its first line names \"label\", \"body\". Name the right one with --text-column.",
        "The first line must name the columns: if it is a row already, put one such as \"label<TAB>text\" above it.")]
    [InlineData("a.csv", "x,a text of more than forty characters is no name\n", "names \"x\", \"a text of more than forty characters is ...\".",
        "The first line must name the columns: if it is a row already, put one such as \"label,text\" above it.")]
    [InlineData("a.tsv", "text\tlabel\tid\tid\n", "line 1 names two columns \"id\", so that it is not clear which is meant.", "Give each a name of its own.")]
    [InlineData("a.csv", "text,label,text\na,b,c\n", "line 1 names two columns \"text\"", "Give each a name of its own.")]
    [InlineData("a.tsv", "text\tlabel\na\n", "line 2 has 1 column, the first line 2.", "Let no text hold a tab.")]
    [InlineData("a.csv", "text,label\na,b,c\n", "line 2 has 3 columns, the first line 2.", "Put what holds commas into quotes.")]
    [InlineData("a.csv", "text,label\n\"a,b\nc,d\n", "line 2 opens a quote that nothing closes.", "Close it; a quote in a text is two of them.")]
    [InlineData("a.jsonl", "{\"text\":\"a\"}", "line 1 has no field \"label\"; it has \"text\".", "Name the right one with --label-column.")]
    [InlineData("a.jsonl", "{\"text\":null,\"label\":1}", "line 1 has null in field \"text\", where a text is needed.",
        "Name another field with --text-column, or mend the line.")]
    [InlineData("a.jsonl", "x", "line 1 is no JSON", "Write one object a line.")]
    public void What_is_wrong_is_said_with_the_mend(string name, string content, string wrong, string mend)
    {
        RbeFileException error = Assert.Throws<RbeFileException>(() => Read(name, content));
        Assert.Contains(wrong, error.Message, StringComparison.Ordinal);
        Assert.EndsWith(" " + mend, error.Message, StringComparison.Ordinal);
    }
}
