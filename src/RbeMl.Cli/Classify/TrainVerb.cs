using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using RbeMl.Cli.Finetune;
using RbeMl.Cli.Help;
using RbeMl.Cli.Output;
using RbeMl.Files;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Training;

namespace RbeMl.Cli.Classify;

/// <summary><c>rbeml classify train</c>.</summary>
internal sealed class TrainVerb
{
    private readonly Option<string> _model = FileOptions.Model(
        "Pretrained model: an encoder (the folder or .onnx file of a BERT, or a .rbe file of one), or a GPT-2. What is compressed stays so; "
        + "dense weights make a large file.");
    private readonly DeltaArguments _delta = new(predicts: false);
    private readonly LabelledData _data = new();
    private readonly Option<int?> _perClass =
        Options.OptionalWhole("--per-class", 1, "Learn from so many texts of each class, drawn by --seed; all unless given.");
    private readonly Option<string?> _test = Options.File("--test", "file", "Labelled texts as those of --data, to measure on.");
    private readonly Option<double?> _testFraction =
        Options.OptionalReal("--test-fraction", 0, 0.9, "Measure on this share of the data, of every class, which is then not learnt from.", above: true);
    private readonly Option<string> _method = Options.Word("--method", "finetune",
        "How it learns: the model stays and a head is fitted (head: seconds), model and head are trained (finetune), or texts of one label are "
        + "brought together first (contrastive). "
        + "In the library: head = Frozen, finetune = FineTuned, contrastive = Contrastive.", "head", "finetune", "contrastive");
    private readonly Option<string> _output = FileOptions.Output("out.rbe",
        "The classifier's file (.rbe): model, tokenizer, head and labels. It replaces an earlier classifier, and no other file.");
    private readonly Option<ulong> _seed = Options.Seed("Seed of draws and of the training.");
    private readonly Option<int> _threads = Options.Whole("--threads", 0, 0, "Threads; 0 for one a processor. The result does not depend on it.", 1024);
    private readonly Option<string?> _json = Options.Json();

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        TrainVerb verb = new();
        Verb command = new(
            "train",
            """
            Trains a classifier on labelled texts, of which sixteen a class can be enough to begin with, and writes it to one file. How good it is
            depends on which texts they are: measure it, with --test or --test-fraction.

            Fine-tuning ends when the texts are learnt, or after epochs that follow from their number; the head's penalty follows from a
            cross-validation on them. So no text is kept back. Texts longer than the model's positions are cut. Ctrl-C saves the steps done
            so far.

            Examples:
              rbeml classify train -m minilm.rbe --data train.tsv -o tickets.rbe
              rbeml classify train -m minilm.rbe --data all.csv --text-column Body --label-column Topic --test-fraction 0.2 -o topics.rbe
              rbeml classify train -m minilm.rbe --data train.tsv --delta 2% --save-delta words.rbe -o topics.rbe
              rbeml classify train -m minilm.rbe --data train.jsonl --per-class 16 --method head --test test.jsonl -o spam.rbe --json figures.json
            """);
        command.Add("Data", [.. verb._data.All, verb._perClass, verb._test, verb._testFraction]);
        command.Add("Model and training", verb._model, verb._method, verb._seed, verb._threads);
        command.Add("A delta on a frozen model", [.. verb._delta.All]);
        command.Add("Output", verb._output, verb._json);
        command.SetAction(result => verb.Run(result, host));
        return command;
    }

    private int Run(ParseResult result, CommandHost host)
    {
        JsonTarget json = result.JsonTarget(_json);
        string path = result.GetValue(_model)!, output = result.GetValue(_output)!, file = _data.File(result);
        string? testFile = result.GetValue(_test);
        if (testFile is not null && result.Given(_testFraction)) throw new UsageException("--test and --test-fraction are two tests. Leave out one of them.");
        _delta.Check(result, model: true, format: null);
        bool trains = result.GetValue(_method) != "head";
        if (!trains && (_delta.Read(result, 0) is not null || _delta.Save(result) is not null))
        {
            throw new UsageException("--method head trains nothing of the model, so that it has no delta to train or to save. Leave one of them out.");
        }

        List<string> others = [path, file, .. new[] { testFile, _delta.Apply(result) }.OfType<string>()];
        foreach (string written in new[] { output, json.File, _delta.Save(result) }.OfType<string>())
        {
            Options.RequireDistinct(written, others);
            AtomicFile.CheckFile(written);
            others.Add(written);
        }

        bool replaces = Replaces(output, ContentKind.Classifier);
        if (_delta.Save(result) is { } target) Replaces(target, ContentKind.Delta);
        Stopwatch watch = Stopwatch.StartNew();
        ulong seed = result.GetValue(_seed);
        List<LabelledText> texts = _data.Read(result, host);
        string[] labels = Labels(file, texts);
        ClassShares shares = new(texts, labels, seed) { Measured = testFile is null ? null : _data.Read(result, host, testFile) };
        if (result.GetValue(_testFraction) is { } fraction) shares.Measure(fraction);
        if (result.GetValue(_perClass) is { } most) shares.Keep(most);

        using ModelBundle bundle = ModelSource.Load(path);
        using DeltaModel? delta = WithDelta(result, bundle.Model, seed);
        TransformerModel<float> model = delta?.Model ?? bundle.Model;
        ClassifierTexts tokens = new(model, bundle.RequireTokenizer("--data", file, path, "give a model with one."));
        ClassifierExample[] examples = Examples(tokens, file, shares.Learnt, labels);
        ClassifierExample[] tested = Examples(tokens, testFile ?? file, shares.Measured ?? [], labels);
        if (!json.OnOutput) shares.Write(host);
        ClassifierConfig config = ClassifierConfig.For(labels.Length, bundle.Encoder) with { Labels = labels };
        SequenceClassifier<float> classifier = new(model, config, seed); // the bundle or the delta frees the model
        FewLabelResult learnt = Learn(result, host, json, classifier, examples, seed, delta?.Groups ?? [], watch);
        ClassifierFile.Save(output, classifier, bundle.Tokenizer);
        if (_delta.Save(result) is { } small) DeltaFile.Save(small, delta!);
        double seconds = watch.Elapsed.TotalSeconds;
        LaterWork later = new();
        ClassifierFigures? figures = null;
        later.Do(() =>
        {
            if (tested.Length > 0 && !learnt.Cancelled) figures = Measure(result, host, json, classifier, tested);
            if (json.OnOutput) return;
            string cancelled = learnt.Cancelled ? $"Stopped after {Format.Count(learnt.Steps, "step")}: " : "";
            host.Say($"{cancelled}{output}: {labels.Length} classes from {Format.Count(examples.Length, "text")}, {Format.Bytes(new FileInfo(output).Length)}, "
                + $"in {Format.Seconds(seconds)}{(replaces ? "; it replaces the classifier that was there" : "")}");
            if (learnt.CrossValidatedAccuracy is { } accuracy)
            {
                host.Say($"Of the texts learnt from, heads that did not see them label {Format.Percent(accuracy)} rightly, before any training of the model.");
            }

            figures?.Write(host, labels);
        });
        later.Do(() => json.Write(host, JsonSerializer.Serialize(
            new
            {
                Model = path,
                Data = file,
                Output = output,
                Delta = _delta.Save(result),
                TrainedValues = delta?.TrainableCount,
                Replaced = replaces,
                Classes = labels,
                ClassExamples = shares.LearntOfClass,
                shares.Notes,
                Examples = examples.Length,
                Method = result.GetValue(_method),
                Seed = seed,
                learnt.Penalty,
                learnt.CrossValidatedAccuracy,
                learnt.CrossValidatedLoss,
                learnt.Steps,
                Loss = double.IsNaN(learnt.Loss) ? (double?)null : learnt.Loss,
                Texts = figures?.Texts,
                figures?.Accuracy,
                figures?.MacroF1,
                figures?.LogLoss,
                figures?.Confusion,
                Bytes = new FileInfo(output).Length,
                Seconds = seconds,
                PeakBytes = PeakMemory.Bytes(),
                learnt.Cancelled,
            }, JsonStyle.Indented)));
        later.ThrowFirst($"The classifier is saved, {output}.");
        return learnt.Cancelled ? ExitCode.Cancelled : ExitCode.Done;
    }

    private FewLabelResult Learn(ParseResult result, CommandHost host, JsonTarget json, SequenceClassifier<float> classifier, ClassifierExample[] examples,
        ulong seed, IReadOnlyList<ParameterGroup> groups, Stopwatch watch)
    {
        FewLabelMethod method = result.GetValue(_method) switch
        {
            "head" => FewLabelMethod.Frozen,
            "contrastive" => FewLabelMethod.Contrastive,
            _ => FewLabelMethod.FineTuned,
        };

        // Who stops it gets what was learnt so far.
        FewLabelOptions options = new()
        {
            Method = method,
            Seed = seed,
            FineTuning = FewLabelOptions.DefaultFineTuning(examples.Length) with { OnCancel = WhenCancelled.ReturnBest, Groups = groups },
            Contrastive = FewLabelOptions.DefaultContrastive(examples.Length) with { OnCancel = WhenCancelled.ReturnBest, Groups = groups },
        };
        FewLabelTrainer trainer = new(classifier, examples, options, result.GetValue(_threads));
        ProgressView view = ProgressView.For(host, json.OnOutput);
        FewLabelResult? learnt = null;
        view.Run(() => learnt = trainer.Run(new Reporter(view, host, watch), host.Cancel));
        return learnt!;
    }

    private ClassifierFigures Measure(ParseResult result, CommandHost host, JsonTarget json, SequenceClassifier<float> classifier, ClassifierExample[] tested)
    {
        ClassifierFigures? figures = null;
        ProgressView view = ProgressView.For(host, json.OnOutput);
        view.Run(() => figures = ClassifierFigures.Of(
            ClassifierTexts.Probabilities(classifier, [.. tested.Select(example => example.Tokens)], result.GetValue(_threads),
                done => view.Show((double)done / tested.Length, $"measured {Format.Count(done)}/{Format.Count(tested.Length)} texts"), host.Cancel),
            [.. tested.Select(example => example.Label)], classifier.Config.Classes));
        return figures!;
    }

    private DeltaModel? WithDelta(ParseResult result, TransformerModel<float> model, ulong seed) =>
        DeltaArguments.InWords(() => _delta.Apply(result) is { } file ? DeltaFile.Apply(file, model)
            : _delta.Read(result, unchecked((int)seed)) is { } options ? DeltaModel.Attach(model, options) : null);

    private static string[] Labels(string file, List<LabelledText> texts)
    {
        string[] labels = [.. texts.Select(text => text.Label).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        return labels.Length > 1 ? labels
            : throw new RbeFileException(file, $"has one label, \"{labels[0]}\", in all {Format.Count(texts.Count, "row")}; two classes at least are needed. "
                + "Give texts of others, or name the right column with --label-column.");
    }

    /// <summary>Texts as examples; a label that is none of the classes is named.</summary>
    internal static ClassifierExample[] Examples(ClassifierTexts tokens, string file, IEnumerable<LabelledText> texts, IReadOnlyList<string> labels)
    {
        Dictionary<string, int> classes = labels.Select((label, c) => (label, c)).ToDictionary(pair => pair.label, pair => pair.c, StringComparer.Ordinal);
        return [.. texts.Select(text => new ClassifierExample(tokens.Encode(file, text.Line, text.Text),
            classes.TryGetValue(text.Label, out int c) ? c : throw new RbeFileException(file,
                $"line {text.Line} has the label \"{text.Label}\", and the classes are {Some(labels)}. Mend the label, or leave the row out.")))];
    }

    private static string Some(IReadOnlyList<string> labels)
    {
        const int Shown = 8;
        return string.Join(", ", labels.Take(Shown).Select(label => $"\"{label}\"")) + (labels.Count > Shown ? $" and {labels.Count - Shown} others" : "");
    }

    // Whether there is a file of this kind that would be replaced; what is none is not.
    private static bool Replaces(string output, string kind)
    {
        if (!File.Exists(output) || new FileInfo(output).Length == 0) return false; // an empty file holds nothing to lose, and a device has no length
        return ContentKind.IsIn(output, kind) ? true
            : throw new RbeFileException(output, $"is there already and is no {ContentKind.Word(kind)}, so it is not replaced. Choose another name, or "
                + "remove it.");
    }

    private sealed class Reporter(ProgressView view, CommandHost host, Stopwatch watch) : IProgress<FewLabelProgress>
    {
        public void Report(FewLabelProgress value)
        {
            if (host.Stopping is { } stopping) stopping.HasWork = true; // there is a step done, or a head
            double done = (double)value.Report.Step / value.Report.Steps;
            string stage = value.Stage switch
            {
                FewLabelStage.Contrast => "bringing texts of one label together",
                FewLabelStage.Head => "fitting the head",
                _ => "training model and head",
            };
            view.Show(done, stage, $"step {Format.Count(value.Report.Step)}/{Format.Count(value.Report.Steps)}",
                double.IsNaN(value.Report.Loss) ? "" : $"loss {Format.Loss(value.Report.Loss)}", Format.Left(done, watch.Elapsed));
        }
    }
}
