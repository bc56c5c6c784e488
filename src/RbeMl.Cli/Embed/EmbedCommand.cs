using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using RbeMl.Cli.Help;
using RbeMl.Cli.Output;
using RbeMl.Models;
using RbeMl.Storage;

namespace RbeMl.Cli.Embed;

/// <summary><c>rbeml embed</c>: texts as vectors, and the texts that are nearest to a query.</summary>
internal sealed class EmbedCommand
{
    private const int PassTexts = 256, DefaultTop = 10;
    private const string QueryPrompt = "query";

    private readonly Option<string> _model =
        FileOptions.Model("Encoder: the folder or .onnx file of a BERT (MiniLM, E5, BGE, GTE, Arctic), or a .rbe file of one.");
    private readonly Option<string?> _delta = ModelInput.Delta();
    private readonly Option<string[]> _text =
        new Option<string[]>("--text")
        {
            Description = "Files of texts, one a line; of tables where the name ends in .tsv or .csv, of JSON lines where it ends in .jsonl. "
                + "Without it, or as -, standard input.",
            HelpName = "files",
            AllowMultipleArgumentsPerToken = true,
        }.Named();
    private readonly Option<string> _column = RowOptions.TextColumn();
    private readonly Option<string?> _field =
        new("--field") { Description = "The input is JSON lines, and this field of each holds the text; --text-column in .jsonl files.", HelpName = "name" };
    private readonly Option<string?> _dataFormat = RowOptions.Format();
    private readonly TextInput _input = new("the texts");
    private readonly Option<string?> _prompt =
        new("--prompt", "-p")
        {
            Description = "Name of the model's prompt that is put before each text, such as query or passage; the model's default unless given.",
            HelpName = "name",
        };
    private readonly Option<string?> _query =
        new("--query")
        {
            Description = "Ranks the texts by their similarity to this one, instead of writing vectors. The model's prompt named query, if it "
                + "has one, is put before it.",
            HelpName = "text",
        };
    private readonly Option<int?> _top = Options.OptionalWhole("--top", 1, $"With --query: so many of the nearest texts; {DefaultTop} unless given.");
    private readonly Option<string?> _out =
        Options.File("--output", "file", "Where vectors go: JSON lines (.jsonl), .npy (NumPy, float32) or .tsv by the end of the name. Without it, "
            + "standard output.", "-o", "--out").Written();
    private readonly Option<string?> _outFormat = Options.OptionalWord("--out-format", "Format of the vectors, whatever the name ends in.",
        VectorWriter.JsonLines, VectorWriter.Npy, VectorWriter.Tsv);
    private readonly Option<int> _threads = Options.Whole("--threads", 0, 0, "Threads; 0 for one a processor. Vectors do not depend on it.", 1024);
    private readonly Option<string?> _json = Options.Json();

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        EmbedCommand verb = new();
        Verb command = new(
            "embed",
            """
            Turns texts into vectors whose dot product says how near they are in meaning, or ranks texts by their similarity to a query.

            A line is a text, and an empty line one too, so that vector and line numbers agree; in a table (.tsv, .csv), whose first line
            names its columns, and in JSON lines each row has one, and a blank line is no row. Texts longer than the model's positions are
            cut, or averaged over windows, as the model says. JSON lines give each text with the line it starts in, and with its file where there
            are several; .npy and .tsv hold the numbers alone, a row for each text in their order. Ctrl-C ends without a file.

            Examples:
              rbeml embed -m minilm --text questions.txt -o questions.npy
              rbeml embed -m minilm.rbe --text tickets.jsonl --field body -o tickets.jsonl
              rbeml embed -m minilm.onnx --text reviews.csv --text-column Body -o reviews.npy
              rbeml embed -m e5.rbe --text faq.txt --prompt passage --query "How do I get my money back?" --top 3
              cat titles.txt | rbeml embed -m minilm.rbe --out-format tsv > vectors.tsv
            """);
        command.Add("Model and texts", [verb._model, verb._delta, verb._text, verb._column, verb._field, verb._dataFormat, .. verb._input.All, verb._prompt]);
        command.Add("Search", verb._query, verb._top);
        command.Add("Run and output", verb._out, verb._outFormat, verb._threads, verb._json);
        command.SetAction(result => verb.Run(result, host));
        return command;
    }

    private int Run(ParseResult result, CommandHost host)
    {
        JsonTarget json = result.JsonTarget(_json);
        string path = result.GetValue(_model)!;
        string[] files = result.GetValue(_text) is { Length: > 0 } given ? given : [TextInput.Standard];
        string? output = result.GetValue(_out), query = result.GetValue(_query);
        string format = Check(result, json, path, files);
        Stopwatch watch = Stopwatch.StartNew();
        using SentenceEncoder encoder = ModelInput.LoadEncoder(path, result.GetValue(_delta), result.GetValue(_threads));
        string? prompt = result.GetValue(_prompt);
        encoder.Settings.Prompt(prompt); // a wrong name before any work
        List<(string File, DataRow Row)> rows = [.. files.SelectMany(file => Rows(result, host, file).Select(row => (TextInput.NameOf(file), row)))];
        if (rows.Count == 0) throw new RbeFileException(string.Join(", ", files.Select(TextInput.NameOf)), "holds no texts. Give at least one line.");
        bool quiet = json.OnOutput || (output is null && query is null);
        ProgressView view = ProgressView.For(host, quiet);
        if (query is not null) Rank(host, json, view, encoder, path, query, prompt, rows, result.GetValue(_top) ?? DefaultTop, watch);
        else Write(host, json, view, encoder, path, prompt, rows, output, format, watch);
        return ExitCode.Done;
    }

    // What is wrong before any work; the format of the vectors.
    private string Check(ParseResult result, JsonTarget json, string path, string[] files)
    {
        string? output = result.GetValue(_out);
        if (files.Count(file => file == TextInput.Standard) > 1) throw new UsageException("--text - is standard input, which comes once. Give it once.");
        if (result.GetValue(_query) is not null)
        {
            Option? unused = ((Option[])[_out, _outFormat]).FirstOrDefault(result.Given);
            if (unused is not null) throw new UsageException($"{unused.Name} is for vectors, and --query prints texts. Leave out one of them.");
        }
        else if (result.Given(_top))
        {
            throw new UsageException("--top says how many texts --query shows. Add it, or leave out --top.");
        }
        else if (json.OnOutput && output is null)
        {
            throw new UsageException("--json and the vectors would both go to standard output. Give --output, or --json a file.");
        }

        if (output is not null && result.GetValue(_delta) is { } delta) Options.RequireDistinct(output, [delta]);
        string end = Path.GetExtension(output ?? "").ToLowerInvariant();
        string format = result.GetValue(_outFormat) ?? (end is ".npy" or ".tsv" ? end[1..] : VectorWriter.JsonLines);
        if (format == VectorWriter.Npy && output is null) throw new UsageException("--out-format npy is no text for standard output. Add --output.");
        if (!result.Given(_outFormat))
        {
            RowOptions.RequireKnownEnd(output, "vectors", "Name it .jsonl, .npy or .tsv, or give --out-format.", VectorWriter.Npy, VectorWriter.Tsv);
        }

        if (result.Given(_field) && result.Given(_column))
        {
            throw new UsageException("--field and --text-column both name where the texts are. Leave out one of them.");
        }

        foreach (string file in files) FormatOf(result, file); // wrong options before any work
        if (result.Given(_column) && files.All(file => FormatOf(result, file) == RowFormat.Lines))
        {
            throw new UsageException("--text-column is of tables and JSON lines, and here a line is a text. Add --data-format, or leave out --text-column.");
        }

        List<string> others = [path, .. files];
        foreach (string file in new[] { output, json.File }.OfType<string>())
        {
            Options.RequireDistinct(file, others);
            AtomicFile.CheckFile(file);
            others.Add(file);
        }

        return format;
    }

    // How rows stand in a file.
    private RowFormat FormatOf(ParseResult result, string file)
    {
        RowFormat? format = RowOptions.FormatOf(result.GetValue(_dataFormat), file);
        if (!result.Given(_field)) return format ?? RowFormat.Lines;
        if (format is null or RowFormat.Json) return RowFormat.Json;
        throw new UsageException($"--field is of JSON lines, and {file} is a table. Give --text-column instead, or --data-format jsonl.");
    }

    private List<DataRow> Rows(ParseResult result, CommandHost host, string file)
    {
        RowFormat format = FormatOf(result, file);
        RowColumn column = format == RowFormat.Json && !result.Given(_column)
            ? new(result.GetValue(_field) ?? result.GetValue(_column)!, _field.Name) : new(result.GetValue(_column)!, _column.Name);
        return DataRows.Read(host, file, format, [column], _input.Read(result));
    }

    private static void Write(CommandHost host, JsonTarget json, ProgressView view, SentenceEncoder encoder, string path, string? prompt,
        List<(string File, DataRow Row)> rows, string? output, string format, Stopwatch watch)
    {
        bool several = AreSeveral(rows);
        if (output is null)
        {
            Passes(encoder, prompt, rows, view, watch, host.Cancel, (i, vector) => host.Out.WriteLine(VectorWriter.Line(format, Place(i), vector)));
            host.Out.Flush();
        }
        else
        {
            view.Run(() => AtomicFile.Write(output, stream =>
            {
                stream.Write(VectorWriter.Head(format, rows.Count, encoder.Dimensions));
                Passes(encoder, prompt, rows, view, watch, host.Cancel, (i, vector) => stream.Write(VectorWriter.Bytes(format, Place(i), vector)));
            }));
        }

        TextPlace Place(int i) => new(several ? rows[i].File : null, rows[i].Row.Line, rows[i].Row.Values[0]);

        double seconds = watch.Elapsed.TotalSeconds;
        LaterWork later = new();
        later.Do(() =>
        {
            if (output is null || json.OnOutput) return;
            host.Say($"{output}: {Format.Count(rows.Count, "vector")} of {encoder.Dimensions} numbers, {VectorWriter.Name(format)}, in "
                + $"{Format.Seconds(seconds)}");
        });
        later.Do(() => json.Write(host, JsonSerializer.Serialize(
            new
            {
                Model = path,
                Output = output,
                Format = format,
                Texts = rows.Count,
                encoder.Dimensions,
                Prompt = prompt,
                Seconds = seconds,
                TextsPerSecond = rows.Count / seconds,
                PeakBytes = PeakMemory.Bytes(),
            }, JsonStyle.Indented)));
        later.ThrowFirst(output is null ? null : $"The vectors are saved, {output}.");
    }

    private static void Rank(CommandHost host, JsonTarget json, ProgressView view, SentenceEncoder encoder, string path, string query, string? prompt,
        List<(string File, DataRow Row)> rows, int top, Stopwatch watch)
    {
        float[] wanted = encoder.Embed(query, encoder.Settings.Prompts.ContainsKey(QueryPrompt) ? QueryPrompt : prompt);
        List<double> similarities = new(rows.Count);
        view.Run(() => Passes(encoder, prompt, rows, view, watch, host.Cancel, (_, vector) => similarities.Add(SentenceEncoder.Cosine(wanted, vector))));
        int[] nearest = [.. Enumerable.Range(0, rows.Count).OrderByDescending(i => similarities[i]).ThenBy(i => i).Take(top)];
        bool several = AreSeveral(rows);
        if (!json.OnOutput)
        {
            foreach (int i in nearest)
            {
                string place = several ? $"{rows[i].File}:{rows[i].Row.Line}" : $"{rows[i].Row.Line}";
                host.Say($"{similarities[i].ToString("F4", CultureInfo.InvariantCulture),7}  {place}  {PlainText.Line(rows[i].Row.Values[0])}", 9);
            }
        }

        json.Write(host, JsonSerializer.Serialize(
            new
            {
                Model = path,
                Query = query,
                Texts = rows.Count,
                encoder.Dimensions,
                Prompt = prompt,
                Results = nearest.Select(i =>
                    new { rows[i].File, rows[i].Row.Line, Similarity = similarities[i], Text = rows[i].Row.Values[0] }),
                Seconds = watch.Elapsed.TotalSeconds,
                PeakBytes = PeakMemory.Bytes(),
            }, JsonStyle.Indented));
    }

    private static void Passes(SentenceEncoder encoder, string? prompt, List<(string File, DataRow Row)> rows, ProgressView view, Stopwatch watch,
        CancellationToken cancel, VectorSink sink)
    {
        float[] vectors = new float[Math.Min(PassTexts, rows.Count) * encoder.Dimensions];
        for (int first = 0; first < rows.Count; first += PassTexts)
        {
            string[] texts = [.. rows.Skip(first).Take(PassTexts).Select(row => row.Row.Values[0])];
            encoder.Embed(texts, vectors.AsSpan(0, texts.Length * encoder.Dimensions), prompt, cancel);
            for (int i = 0; i < texts.Length; i++) sink(first + i, vectors.AsSpan(i * encoder.Dimensions, encoder.Dimensions));
            int count = first + texts.Length;
            double done = (double)count / rows.Count;
            view.Show(done, $"{Format.Count(count)}/{Format.Count(rows.Count)} texts", Format.Left(done, watch.Elapsed));
        }
    }

    // Whether a line alone does not say where a text is.
    private static bool AreSeveral(List<(string File, DataRow Row)> rows) => rows.Exists(row => row.File != rows[0].File);

    private delegate void VectorSink(int row, ReadOnlySpan<float> vector);
}
