using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json;
using RbeMl.Cli;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Tests.Files;

namespace RbeMl.Tests.Cli;

public sealed class EmbedTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly string _model, _texts;

    public EmbedTests()
    {
        _model = EncoderJob.Model(_folder);
        _texts = _folder.Write("texts.txt", string.Join('\n', EncoderJob.Texts) + "\n");
    }

    public void Dispose() => _folder.Dispose();

    private float[][] Expected(string? prompt = null)
    {
        using SentenceEncoder encoder = ModelSource.LoadEncoder(_model, 1);
        return encoder.Embed(EncoderJob.Texts, prompt);
    }

    private static CommandRun Of(byte[] input, params string[] args)
    {
        StringWriter output = new(), error = new();
        int code = Commands.Run(args, new CommandHost(output, error) { In = new MemoryStream(input) });
        return new CommandRun(code, output.ToString(), error.ToString());
    }

    private static float[][] Vectors(string jsonLines) =>
        [.. jsonLines.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("embedding").EnumerateArray().Select(v => v.GetSingle()).ToArray())];

    [Fact]
    public void Vectors_are_the_librarys_in_every_format()
    {
        float[][] expected = Expected();
        CommandRun plain = CommandRun.Of("embed", "-m", _model, "--text", _texts);
        plain.Succeeds();
        Assert.Equal(expected, Vectors(plain.Out));
        Assert.Equal(EncoderJob.Texts, plain.Out.Split('\n')[..^1].Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString()));
        foreach (string name in new[] { "v.jsonl", "v.npy", "v.tsv" })
        {
            string file = _folder.File(name);
            CommandRun.Of("embed", "-m", _model, "--text", _texts, "-o", file, "--threads", "2").Succeeds();
            Assert.Equal(expected, Read(file));
        }

        CommandRun.Of("embed", "-m", _model, "--text", _texts, "-o", _folder.File("odd"), "--out-format", "npy").Succeeds();
        Assert.Equal(File.ReadAllBytes(_folder.File("v.npy")), File.ReadAllBytes(_folder.File("odd")));
        Assert.Equal(File.ReadAllText(_folder.File("v.tsv")), CommandRun.Of("embed", "-m", _model, "--text", _texts, "--out-format", "tsv").Out);
    }

    [Theory]
    [InlineData("t.tsv", "text", "id\ttext\n", "\t", "--threads", "1")]
    [InlineData("t.csv", "Body", "id,Body\n", ",", "--text-column", "Body")]
    [InlineData("t.txt", "text", "id\ttext\n", "\t", "--data-format", "tsv")]
    public void Of_tables_a_column_is_embedded(string name, string column, string header, string between, params string[] more)
    {
        float[][] expected = Expected();
        string table = _folder.Write(name, header + string.Concat(EncoderJob.Texts.Select((text, i) => $"{i}{between}{text}\n")));
        CommandRun run = CommandRun.Of(["embed", "-m", _model, "--text", table, .. more]);
        run.Succeeds();
        Assert.Equal(expected, Vectors(run.Out));
        JsonElement[] rows = [.. run.Out.Split('\n')[..^1].Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal(EncoderJob.Texts, rows.Select(row => row.GetProperty("text").GetString()));
        Assert.Equal(Enumerable.Range(2, 6), rows.Select(row => row.GetProperty("line").GetInt32())); // below that of the names
        Assert.All(rows, row => Assert.False(row.TryGetProperty("file", out _)));
        CommandRun found = CommandRun.Of(["embed", "-m", _model, "--text", table, .. more, "--query", "the mat", "--top", "6", "--json"]);
        JsonElement[] results = [.. JsonDocument.Parse(found.Out).RootElement.GetProperty("results").EnumerateArray()];
        Assert.All(results, result => // the line of the file, below that of the names
            Assert.Equal(EncoderJob.Texts[result.GetProperty("line").GetInt32() - 2], result.GetProperty("text").GetString()));
        CommandRun.Of(["embed", "-m", _model, "--text", table, .. name == "t.csv" ? [] : more, "--text-column", "none"])
            .Fails(1, $"has no column \"none\"; its first line names \"id\", \"{column}\". Name the right one with --text-column.");
    }

    [Fact]
    public void Tables_lines_and_JSON_lines_may_be_mixed()
    {
        string table = _folder.Write("t.tsv", "Body\nthe dogs\n"), lines = _folder.Write("l.jsonl", "{\"Body\":\"the mat\",\"text\":\"a cat\"}\n");
        string[] files = ["embed", "-m", _model, "--text", table, lines, _folder.Write("p.txt", "a dog\n")];
        Assert.Equal(["the dogs", "the mat", "a dog"], Texts(CommandRun.Of([.. files, "--text-column", "Body"])));
        CommandRun.Of([.. files, "--field", "text"]).Fails(2, $"--field is of JSON lines, and {table} is a table. Give --text-column");
        CommandRun.Of([.. files, "--text-column", "Body", "--field", "text"]).Fails(2, "--field and --text-column both");
        Assert.Equal(["a cat"], Texts(CommandRun.Of("embed", "-m", _model, "--text", lines, "--field", "text")));
        CommandRun.Of("embed", "-m", _model, "--text", table).Fails(1, "put one such as \"text\" above it.");

        static IEnumerable<string?> Texts(CommandRun run)
        {
            run.Succeeds();
            return run.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => JsonDocument.Parse(line).RootElement.GetProperty("text").GetString());
        }
    }

    [Fact]
    public void An_encoder_without_a_tokenizer_is_told_when_it_is_made()
    {
        string folder = new BertModel().Write(_folder.File("bare")), file = _folder.File("bare.rbe");
        foreach (string name in (string[])["vocab.txt", "tokenizer.json", "tokenizer_config.json"]) File.Delete(Path.Combine(folder, name));
        CommandRun made = CommandRun.Of("compress", folder, "-o", file);
        made.Succeeds();
        Assert.Contains("compress again, for embed and classify", made.Out, StringComparison.Ordinal);
        CommandRun.Of("embed", "-m", file, "--text", _texts).Fails(1, "of a .rbe file those that it is compressed from.");
    }

    [Theory]
    [InlineData("v", "JSON lines")]
    [InlineData("v.ndjson", "JSON lines")]
    [InlineData("v.npy", "NumPy float32")]
    [InlineData("v.TSV", "tab-separated")]
    [InlineData("v.bin", "NumPy float32", "--out-format", "npy")]
    public void What_is_written_is_said(string name, string what, params string[] more)
    {
        CommandRun run = CommandRun.Of(["embed", "-m", _model, "--text", _texts, "-o", _folder.File(name), .. more]);
        run.Succeeds();
        Assert.Contains($": 6 vectors of 8 numbers, {what}, in ", run.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_that_ends_in_what_is_not_written_is_refused()
    {
        string file = _folder.File("v.bin");
        CommandRun.Of("embed", "-m", _model, "--text", _texts, "-o", file)
            .Fails(2, $"{file}: vectors are not written as .bin. Name it .jsonl, .npy or .tsv, or give --out-format.");
        Assert.False(File.Exists(file));
    }

    private static float[][] Read(string file)
    {
        if (file.EndsWith(".jsonl", StringComparison.Ordinal)) return Vectors(File.ReadAllText(file));
        if (file.EndsWith(".tsv", StringComparison.Ordinal))
        {
            return [.. File.ReadAllLines(file).Select(line => line.Split('\t').Select(v => float.Parse(v, CultureInfo.InvariantCulture)).ToArray())];
        }

        byte[] bytes = File.ReadAllBytes(file);
        int length = BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(8));
        Assert.Equal(0, (10 + length) % 64);
        string header = Encoding.ASCII.GetString(bytes, 10, length);
        Assert.Matches(@"^\{'descr': '<f4', 'fortran_order': False, 'shape': \(6, 8\), \} *\n$", header);
        return [.. Enumerable.Range(0, 6).Select(i => Enumerable.Range(0, 8)
            .Select(j => BinaryPrimitives.ReadSingleLittleEndian(bytes.AsSpan(10 + length + (4 * ((8 * i) + j))))).ToArray())];
    }

    [Fact]
    public void Texts_come_from_standard_input_and_from_fields_of_json_lines()
    {
        float[][] expected = Expected();
        byte[] lines = Encoding.UTF8.GetBytes(File.ReadAllText(_texts));
        Assert.Equal(expected, Vectors(Of(lines, "embed", "-m", _model).Out));
        Assert.Equal(expected, Vectors(Of(lines, "embed", "-m", _model, "--text", "-").Out));
        string objects = string.Concat(EncoderJob.Texts.Select((text, i) => $"{{\"id\": {i}, \"body\": {JsonSerializer.Serialize(text)}}}\r\n\n"));
        Assert.Equal(expected, Vectors(Of(Encoding.UTF8.GetBytes(objects), "embed", "-m", _model, "--field", "body").Out));
        string file = _folder.Write("t.jsonl", objects.Replace("body", "text", StringComparison.Ordinal));
        Assert.Equal(expected, Vectors(CommandRun.Of("embed", "-m", _model, "--text", file).Out));
        Assert.Equal([.. expected, .. expected], Vectors(CommandRun.Of("embed", "-m", _model, "--text", file, _texts).Out));

        // Each is found again by its line, and where there are several files by these.
        CommandRun both = Of(Encoding.UTF8.GetBytes("the mat\ndogs\n"), "embed", "-m", _model, "--text", file, "-");
        JsonElement[] rows = [.. both.Out.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
        Assert.Equal([1, 3, 5, 7, 9, 11, 1, 2], rows.Select(row => row.GetProperty("line").GetInt32()));
        Assert.Equal([.. Enumerable.Repeat(file, 6), "standard input", "standard input"], rows.Select(row => row.GetProperty("file").GetString()));
        Of([], "embed", "-m", _model).Fails(1, "standard input: holds no texts.");
        CommandRun ranked = Of(Encoding.UTF8.GetBytes("the mat\n"), "embed", "-m", _model, "--text", file, "-", "--query", "the mat", "--top", "9");
        Assert.Contains("  standard input:1  the mat", ranked.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void A_prompt_is_put_before_each_text_and_a_wrong_one_named()
    {
        Assert.Equal(Expected("query"), Vectors(CommandRun.Of("embed", "-m", _model, "--text", _texts, "-p", "query").Out));
        Assert.NotEqual(Expected(), Expected("query"));
        CommandRun.Of("embed", "-m", _model, "--text", _texts, "--prompt", "document").Fails(1, "\"query\"");
    }

    [Fact]
    public void A_query_ranks_the_lines()
    {
        CommandRun run = CommandRun.Of("embed", "-m", _model, "--text", _texts, "--query", "the mat", "--top", "3", "--json");
        run.Succeeds();
        JsonElement json = JsonDocument.Parse(run.Out).RootElement;
        using SentenceEncoder encoder = ModelSource.LoadEncoder(_model, 1);
        float[] query = encoder.Embed("the mat", "query");
        double[] dots = [.. Expected().Select(v => v.Zip(query).Sum(p => (double)p.First * p.Second))];
        int[] order = [.. Enumerable.Range(0, 6).OrderByDescending(i => dots[i]).Take(3)];
        JsonElement[] results = [.. json.GetProperty("results").EnumerateArray()];
        Assert.Equal(order.Select(i => i + 1), results.Select(r => r.GetProperty("line").GetInt32()));
        Assert.Equal(order.Select(i => EncoderJob.Texts[i]), results.Select(r => r.GetProperty("text").GetString()));
        Assert.All(order.Zip(results), pair => Assert.Equal(dots[pair.First], pair.Second.GetProperty("similarity").GetDouble(), 1e-6));
        string[] lines = CommandRun.Of("embed", "-m", _model, "--text", _texts, "--query", "the mat", "--top", "2").Out
            .Split('\n', StringSplitOptions.RemoveEmptyEntries)[^2..];
        Assert.All(order.Zip(lines), pair => Assert.Contains($"  {pair.First + 1}  {EncoderJob.Texts[pair.First]}", pair.Second + " "));
        Assert.Contains($"{_texts}:{order[0] + 1}  ", CommandRun.Of("embed", "-m", _model, "--text", _texts,
            _folder.Write("more.txt", "dog\n"), "--query", "the mat").Out);
    }

    [Fact]
    public void The_document_tells_what_was_done()
    {
        string file = _folder.File("v.npy");
        CommandRun run = CommandRun.Of("embed", "-m", _model, "--text", _texts, "-o", file, "--json");
        run.Succeeds();
        JsonElement json = JsonDocument.Parse(run.Out).RootElement;
        Assert.Equal((file, "npy", 6, 8), (json.GetProperty("output").GetString(), json.GetProperty("format").GetString(),
            json.GetProperty("texts").GetInt32(), json.GetProperty("dimensions").GetInt32()));
    }

    [Theory]
    [InlineData(2, "--json and the vectors would both go to standard output", "--json")]
    [InlineData(2, "--top says how many", "--top", "3")]
    [InlineData(2, "--out-format is for vectors", "--query", "a", "--out-format", "tsv")]
    [InlineData(2, "npy is no text", "--out-format", "npy")]
    [InlineData(2, "--out-format csv: use one of jsonl, npy, tsv", "--out-format", "csv")]
    [InlineData(2, "--text-column is of tables and JSON lines, and here a line is a text", "--text-column", "a")]
    [InlineData(2, "--data-format xml: use one of tsv, csv, jsonl", "--data-format", "xml")]
    [InlineData(2, "--field is of JSON lines, and", "--field", "a", "--data-format", "csv")]
    [InlineData(2, "--field and --text-column both name", "--field", "a", "--text-column", "b")]
    [InlineData(2, "comes once", "--text", "-", "-")]
    [InlineData(2, "--output -: only --json writes to standard output", "-o", "-")]
    [InlineData(1, "line 1 is no JSON", "--field", "text")]
    public void Wrong_options_are_named(int code, string message, params string[] more) =>
        CommandRun.Of(["embed", "-m", _model, "--text", _texts, .. more]).Fails(code, message);

    [Fact]
    public void Wrong_inputs_are_named()
    {
        string gpt2 = TinyJobModel();
        CommandRun.Of("embed", "-m", gpt2, "--text", _texts).Fails(1, "an encoder is needed");
        CommandRun.Of("embed", "-m", _folder.File("none"), "--text", _texts).Fails(1, "no such");
        CommandRun.Of("embed", "-m", _model, "--text", _folder.Write("empty.txt", "")).Fails(1, "holds no texts. Give at least one line.");
        CommandRun.Of("embed", "-m", _model, "--text", _folder.Write("x.jsonl", "{\"text\":\"a\"}\n{\"b\":\"a\"}\n"))
            .Fails(1, "line 2 has no field \"text\"; it has \"b\". Name the right one with --field.");
        CommandRun.Of("embed", "-m", _model, "--text", _folder.Write("n.jsonl", "{\"text\":7}\n")).Fails(1, "line 1 has number in field \"text\"");
        CommandRun.Of("embed", "-m", _model, "--text", _folder.Write("l.jsonl", "[1]\n")).Fails(1, "line 1 is no JSON object");
        CommandRun.Of("embed", "-m", _model, "--text", _folder.Write("s.jsonl", "{\"text\":\"\\ud800\"}\n")).Fails(1, "half of a surrogate pair");
        string lines = _folder.Write("lines.jsonl", "{\"text\":\"a\"}\n");
        CommandRun.Of("embed", "-m", _model, "--text", lines, "-o", lines).Fails(2, "another file of this command");
    }

    private string TinyJobModel()
    {
        TinyJob.Run(_folder, "--steps", "1");
        return _folder.File("out/model.rbe");
    }

    [Fact]
    public void Cancelled_it_writes_no_file()
    {
        string file = _folder.File("new/v.npy");
        CommandRun run = CommandRun.Of(new CancellationToken(canceled: true), "embed", "-m", _model, "--text", _texts, "-o", file);
        Assert.Equal(130, run.Code);
        Assert.Empty(Directory.GetFileSystemEntries(_folder.File("new")));
    }
}
