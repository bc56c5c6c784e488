using System.Buffers;
using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using RbeMl.Cli.Help;
using RbeMl.Cli.Output;
using RbeMl.Storage;
using RbeMl.Training;

namespace RbeMl.Cli.Classify;

/// <summary><c>rbeml classify predict</c>.</summary>
internal sealed class PredictVerb
{
    private static readonly JsonWriterOptions s_line = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly Option<string> _model = FileOptions.Model("Classifier that classify train wrote.");
    private readonly Option<string> _text = new Option<string>("--text")
    {
        Description = "Texts to label: one a line, or the --text-column of a table (.tsv, .csv) or of JSON lines (.jsonl); - is standard input.",
        HelpName = "file",
        DefaultValueFactory = _ => TextInput.Standard,
    }.Named();
    private readonly Option<string> _column = RowOptions.TextColumn();
    private readonly Option<string?> _format = RowOptions.Format();
    private readonly TextInput _input = new("the texts");
    private readonly Option<string?> _out =
        Options.File("--output", "file", "Where labels go: JSON lines (.jsonl), or .tsv by the end of the name. Without it, standard output.", "-o",
            "--out").Written();
    private readonly Option<int> _threads = Options.Whole("--threads", 0, 0, "Threads; 0 for one a processor. Results do not depend on it.", 1024);
    private readonly Option<string?> _json = Options.Json();

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        PredictVerb verb = new();
        Verb command = new(
            "predict",
            """
            Labels texts: of each the line it stands in, the likeliest label, its probability, and the probabilities of all, as JSON lines.

            Ctrl-C ends without a file.

            Examples:
              rbeml classify predict -m tickets.rbe --text new.txt
              rbeml classify predict -m topics.rbe --text new.csv --text-column Body -o labels.tsv
              cat new.txt | rbeml classify predict -m tickets.rbe > labels.jsonl
            """);
        command.Add("Classifier and texts", [verb._model, verb._text, verb._column, verb._format, .. verb._input.All]);
        command.Add("Run and output", verb._out, verb._threads, verb._json);
        command.SetAction(result => verb.Run(result, host));
        return command;
    }

    private int Run(ParseResult result, CommandHost host)
    {
        JsonTarget json = result.JsonTarget(_json);
        string path = result.GetValue(_model)!, file = result.GetValue(_text)!, name = TextInput.NameOf(file);
        string? output = result.GetValue(_out);
        RowFormat format = RowOptions.FormatOf(result.GetValue(_format), file) ?? RowFormat.Lines;
        if (format == RowFormat.Lines && result.Given(_column))
        {
            throw new UsageException("--text-column is of tables and JSON lines, and here a line is a text. Add --data-format, or leave out --text-column.");
        }

        if (json.OnOutput && output is null)
        {
            throw new UsageException("--json and the labels would both go to standard output. Give --output, or --json a file.");
        }

        RowOptions.RequireKnownEnd(output, "labels", "Name it .jsonl or .tsv.", "tsv");
        List<string> others = [path, file];
        foreach (string written in new[] { output, json.File }.OfType<string>())
        {
            Options.RequireDistinct(written, others);
            AtomicFile.CheckFile(written);
            others.Add(written);
        }

        using ClassifierBundle bundle = ClassifierFile.Load(path);
        ClassifierTexts tokens = new(bundle.Classifier.Model, EvalVerb.Tokenizer(bundle, path));
        List<DataRow> rows = DataRows.Read(host, file, format, [new RowColumn(result.GetValue(_column)!, _column.Name)], _input.Read(result));
        if (rows.Count == 0) throw new RbeFileException(name, "holds no texts. Give at least one line.");
        int[][] ids = [.. rows.Select(row => tokens.Encode(name, row.Line, row.Values[0]))];
        Stopwatch watch = Stopwatch.StartNew();
        ProgressView view = ProgressView.For(host, json.OnOutput || output is null);
        IReadOnlyList<string> labels = EvalVerb.LabelsOf(bundle);
        IEnumerable<float[]> probabilities = ClassifierTexts.Probabilities(bundle.Classifier, ids, result.GetValue(_threads),
            done => view.Show((double)done / ids.Length, $"{Format.Count(done)}/{Format.Count(ids.Length)} texts"), host.Cancel);
        if (output is null)
        {
            foreach (string line in Lines(rows, labels, probabilities, table: false)) host.Out.WriteLine(line);
            host.Out.Flush();
        }
        else
        {
            bool table = output.EndsWith(".tsv", StringComparison.OrdinalIgnoreCase);
            view.Run(() => AtomicFile.Write(output, stream =>
            {
                using StreamWriter writer = new(stream, new UTF8Encoding(false), leaveOpen: true) { NewLine = "\n" };
                foreach (string line in Lines(rows, labels, probabilities, table)) writer.WriteLine(line);
            }));
        }

        double seconds = watch.Elapsed.TotalSeconds;
        LaterWork later = new();
        later.Do(() =>
        {
            if (output is not null && !json.OnOutput) host.Say($"{output}: {Format.Count(rows.Count, "label")} in {Format.Seconds(seconds)}");
        });
        later.Do(() => json.Write(host, JsonSerializer.Serialize(
            new
            {
                Model = path,
                Text = name,
                Output = output,
                Classes = labels,
                Texts = rows.Count,
                Seconds = seconds,
                TextsPerSecond = rows.Count / seconds,
                PeakBytes = PeakMemory.Bytes(),
            }, JsonStyle.Indented)));
        later.ThrowFirst(output is null ? null : $"The labels are saved, {output}.");
        return ExitCode.Done;
    }

    private static IEnumerable<string> Lines(List<DataRow> rows, IReadOnlyList<string> labels, IEnumerable<float[]> probabilities, bool table)
    {
        if (table) yield return string.Join('\t', Header(labels));
        int n = 0;
        foreach (float[] row in probabilities)
        {
            int best = ClassifierFigures.Best(row);
            DataRow read = rows[n++];
            yield return !table ? Json(read, labels, row, best) : string.Join('\t',
                [$"{read.Line}", Cell(read.Values[0]), Cell(labels[best]), .. row.Prepend(row[best]).Select(p => p.ToString(CultureInfo.InvariantCulture))]);
        }
    }

    // Names of the columns, no two alike, as tables are read: a class may be called "text".
    private static List<string> Header(IReadOnlyList<string> labels)
    {
        List<string> names = ["line", "text", "label", "probability"];
        foreach (string label in labels)
        {
            string name = Cell(label);
            while (names.Contains(name)) name = $"p({name})";
            names.Add(name);
        }

        return names;
    }

    // A text or label in a table: what would end its cell is a blank.
    private static string Cell(string text) => text.Replace('\t', ' ').ReplaceLineEndings(" ");

    private static string Json(DataRow read, IReadOnlyList<string> labels, float[] row, int best)
    {
        ArrayBufferWriter<byte> bytes = new();
        using (Utf8JsonWriter json = new(bytes, s_line))
        {
            json.WriteStartObject();
            json.WriteNumber("line", read.Line);
            json.WriteString("text", read.Values[0]);
            json.WriteString("label", labels[best]);
            json.WriteNumber("probability", row[best]);
            json.WriteStartObject("scores");
            for (int c = 0; c < row.Length; c++) json.WriteNumber(labels[c], row[c]);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return PlainText.Json(Encoding.UTF8.GetString(bytes.WrittenSpan));
    }
}
