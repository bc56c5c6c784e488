using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using RbeMl.Cli.Help;
using RbeMl.Cli.Output;
using RbeMl.Storage;
using RbeMl.Training;

namespace RbeMl.Cli.Classify;

/// <summary><c>rbeml classify eval</c>.</summary>
internal sealed class EvalVerb
{
    private readonly Option<string> _model = FileOptions.Model("Classifier that classify train wrote.");
    private readonly LabelledData _data = new();
    private readonly Option<int> _threads = Options.Whole("--threads", 0, 0, "Threads; 0 for one a processor. Results do not depend on it.", 1024);
    private readonly Option<string?> _json = Options.Json();

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        EvalVerb verb = new();
        Verb command = new(
            "eval",
            """
            Measures a classifier on labelled texts: accuracy, macro F1, log-loss, and which labels are taken for which.

            Examples:
              rbeml classify eval -m tickets.rbe --data test.tsv
              rbeml classify eval -m topics.rbe --data test.csv --text-column Body --label-column Topic --json
            """);
        command.Add("Classifier", verb._model);
        command.Add("Data", verb._data.All);
        command.Add("Run and output", verb._threads, verb._json);
        command.SetAction(result => verb.Run(result, host));
        return command;
    }

    private int Run(ParseResult result, CommandHost host)
    {
        JsonTarget json = result.JsonTarget(_json);
        string path = result.GetValue(_model)!, file = _data.File(result);
        if (json.File is { } written)
        {
            Options.RequireDistinct(written, [path, file]);
            AtomicFile.CheckFile(written);
        }

        List<LabelledText> texts = _data.Read(result, host);
        using ClassifierBundle bundle = ClassifierFile.Load(path);
        ClassifierTexts tokens = new(bundle.Classifier.Model, Tokenizer(bundle, path));
        IReadOnlyList<string> labels = LabelsOf(bundle);
        ClassifierExample[] examples = TrainVerb.Examples(tokens, file, texts, labels);
        Stopwatch watch = Stopwatch.StartNew();
        ProgressView view = ProgressView.For(host, json.OnOutput);
        ClassifierFigures? figures = null;
        view.Run(() => figures = ClassifierFigures.Of(
            ClassifierTexts.Probabilities(bundle.Classifier, [.. examples.Select(example => example.Tokens)], result.GetValue(_threads),
                done => view.Show((double)done / examples.Length, $"{Format.Count(done)}/{Format.Count(examples.Length)} texts"), host.Cancel),
            [.. examples.Select(example => example.Label)], labels.Count));
        double seconds = watch.Elapsed.TotalSeconds;
        if (!json.OnOutput)
        {
            host.Say($"{path} on {file}");
            figures!.Write(host, labels);
        }

        json.Write(host, JsonSerializer.Serialize(
            new
            {
                Model = path,
                Data = file,
                Classes = labels,
                figures!.Texts,
                figures.Accuracy,
                figures.MacroF1,
                figures.LogLoss,
                figures.Confusion,
                Seconds = seconds,
                PeakBytes = PeakMemory.Bytes(),
            }, JsonStyle.Indented));
        return ExitCode.Done;
    }

    /// <summary>Names of the classes; their numbers where the file has none.</summary>
    internal static IReadOnlyList<string> LabelsOf(ClassifierBundle bundle) =>
        bundle.Classifier.Config.Labels ?? [.. Enumerable.Range(0, bundle.Classifier.Config.Classes).Select(c => $"{c}")];

    /// <summary>The tokenizer of a classifier.</summary>
    /// <exception cref="RbeFileException">It has none.</exception>
    internal static Text.ITokenizer Tokenizer(ClassifierBundle bundle, string path) => bundle.Tokenizer ?? throw new RbeFileException(path,
        bundle.TokenizerProblem is { } problem ? $"has a tokenizer that cannot be read. {problem}"
            : "has no tokenizer, so it cannot read texts. Give a classifier that classify train wrote.");
}
