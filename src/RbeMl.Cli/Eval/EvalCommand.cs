using System.CommandLine;
using System.Diagnostics;
using RbeMl.Cli.Data;
using RbeMl.Cli.Help;
using RbeMl.Cli.Output;
using RbeMl.Models;
using RbeMl.Storage;
using RbeMl.Text;
using RbeMl.Training;

namespace RbeMl.Cli.Eval;

/// <summary><c>rbeml eval</c>: how well a model predicts a text, and how far it is from a reference model.</summary>
internal sealed class EvalCommand
{
    private const int PatienceMilliseconds = 300; // less than that of Stopping
    private readonly Option<string> _model =
        FileOptions.Model("Model to measure: a .rbe file, the folder that finetune wrote, or the folder of a Hugging Face GPT-2.");
    private readonly Option<string?> _delta = ModelInput.Delta();
    private readonly Option<string[]> _text =
        new Option<string[]>("--text")
        {
            Description = "Text files to predict, read as one stream; or files of rows (.jsonl, .ndjson, .csv, .tsv), documents as finetune reads them, "
                + "of which completions and the answers of the assistant are measured.",
            HelpName = "files",
            AllowMultipleArgumentsPerToken = true
        }.Named();
    private readonly TextInput _input = new();
    private readonly DocumentOptions _documents = new();
    private readonly Option<string?> _tokens =
        Options.File("--tokens", "file",
            "Token ids to predict instead of text: a line is a sequence of its own, whose first id is context only; a single line is a stream.");
    private readonly Option<string?> _reference =
        Options.File("--reference", "model", "Model to compare with, such as the dense one it was made of; adds KL divergence and top-1 agreement.");
    private readonly Option<int?> _context = Options.OptionalWhole("--context", 1, "Tokens of a window; all positions the models have.", 1 << 20);
    private readonly Option<int?> _stride =
        Options.OptionalWhole("--stride", 1,
            "Tokens from one window to the next; the whole window. Less gives later tokens more context and takes longer.", 1 << 20);
    private readonly Option<int?> _batch = Options.OptionalWhole("--batch", 1, "Windows at a time; about 2048 tokens. Fewer take less memory.", 65536);
    private readonly Option<int?> _limit = Options.OptionalWhole("--limit", 1, "Stop after this many predicted tokens.");
    private readonly Option<bool> _special = Options.Special();
    private readonly Option<int> _threads = Options.Whole("--threads", 0, 0, "Threads; 0 for one a processor. Results do not depend on it.", 1024);
    private readonly Option<string?> _json = Options.Json();

    /// <summary>The command.</summary>
    public static Command Create(CommandHost host)
    {
        EvalCommand verb = new();
        Verb command = new(
            "eval",
            """
            Measures how well a model predicts a text: loss in nats a token, perplexity, bits a byte, and its distance from a reference model.

            The text is cut into windows of --context tokens; every token but the first is predicted once. Documents are laid into sequences, and
            what is only read is not measured, as in a validation of finetune: with its --context, --pack and usual seed the loss is the same.
            Ctrl-C prints the figures so far.

            Examples:
              rbeml eval --model rbeml-out/model.rbe --text held-out.txt
              rbeml eval --model small.rbe --reference gpt2 --text held-out.txt
              rbeml eval --model chat/model.rbe --text held-out.jsonl --pack isolated
              rbeml eval --model ids.rbe --tokens ids.txt --stride 64 --json figures.json
              rbeml eval --model rbeml-out/model.rbe --text book.txt --limit 20000 --json
            """);
        command.Add("Models", verb._model, verb._delta, verb._reference);
        command.Add("Data", [verb._text, verb._tokens, .. verb._documents.All, .. verb._input.All, verb._special]);
        command.Add("Windows", verb._context, verb._stride, verb._batch, verb._limit);
        command.Add("Run and output", verb._threads, verb._json);
        command.SetAction(result => verb.Run(result, host));
        return command;
    }

    private int Run(ParseResult result, CommandHost host)
    {
        JsonTarget json = result.JsonTarget(_json);
        string path = result.GetValue(_model)!;
        string[] texts = result.GetValue(_text) ?? [];
        string? tokens = result.GetValue(_tokens), reference = result.GetValue(_reference);
        if (texts.Length > 0 == tokens is not null)
        {
            throw new UsageException(tokens is null ? "Give --text or --tokens: something to predict."
                : "--text and --tokens are two kinds of data. Give one of them.");
        }

        if (tokens is not null && result.GetValue(_special)) throw new UsageException("--special is for texts, and --tokens are ids. Leave out one of them.");
        if (result.GetValue(_stride) > result.GetValue(_context))
        {
            throw new UsageException(
                $"--stride {result.GetValue(_stride)} is more than --context {result.GetValue(_context)}, so some tokens would never be predicted. Use "
                    + $"at most that.");
        }

        if (json.File is { } file)
        {
            Options.RequireDistinct(file, [path, .. texts, .. new[] { tokens, reference, result.GetValue(_delta) }.OfType<string>()]);
            AtomicFile.CheckFile(file);
        }

        (string? format, string? column, DocumentPacking packing) = _documents.Read(result);
        bool rows = texts.Any(text => DocumentFiles.RowsOf(text, format) is not null);
        _documents.Check(result, rows ? texts : [.. texts.Take(1)]); // however many, texts are one stream
        if (rows && result.Given(_stride))
        {
            throw new UsageException("--stride is for texts and ids, and documents are laid into sequences as finetune does. Leave it out, or read the text as "
                + "it is with --data-format text.");
        }

        TextOptions input = _input.Read(result);
        using ModelBundle bundle = ModelInput.LoadLanguageModel(host, path, result.GetValue(_delta));
        using ModelBundle? compared = reference is null ? null : ModelInput.LoadLanguageModel(host, reference);
        ITokenizer? tokenizer = tokens is not null ? null : bundle.RequireTokenizer("--text", texts[0], path, "give token ids with --tokens.");
        int vocabulary = bundle.Model.Config.Vocabulary;
        bool special = tokenizer is not null && Options.FindsSpecial(tokenizer, result.GetValue(_special));
        EvaluationOptions options = Windows(result, bundle.Model, compared?.Model);
        using Evaluator evaluator = new(bundle.Model, compared?.Model, options, result.GetValue(_threads));
        Func<IProgress<EvaluationProgress>, EvaluationResult> measure;
        if (rows)
        {
            DocumentFiles files = new(texts, format, column, input);
            TokenDataset data = ReadingView.Read(host, json.OnOutput, view => new DocumentEncoder(tokenizer!, vocabulary, special)
                .Encode(files.Read(view, host.Cancel), DocumentEncoder.ValidationSeed(Options.DefaultSeed), packing));
            measure = progress => evaluator.Evaluate(data, tokenizer, progress, host.Cancel);
        }
        else
        {
            EvaluationData data = tokenizer is null ? EvaluationData.FromSequences(TokenFile.ReadSequences(tokens!, vocabulary, input))
                : Read(host, json.OnOutput, texts, format, input, tokenizer, vocabulary, special);
            measure = progress => evaluator.Evaluate(data, progress, host.Cancel);
        }

        Stopwatch watch = Stopwatch.StartNew();
        (EvaluationResult figures, bool cancelled) = Measure(measure, ProgressView.For(host, json.OnOutput), watch, host.Cancel);
        if (cancelled && host.Stopping is { } stopping) stopping.HasWork = true; // what there is takes the time it takes
        EvalRecord record =
            new(path, reference, tokens ?? string.Join(", ", texts), figures, options, watch.Elapsed.TotalSeconds, ModelSize.Of(bundle.Model), cancelled);
        if (!json.OnOutput) Write(host, record, figures);
        json.Write(host, record.ToJson());
        return cancelled ? ExitCode.Cancelled : ExitCode.Done;
    }

    private static EvaluationData Read(CommandHost host, bool quiet, string[] texts, string? format, TextOptions input, ITokenizer tokenizer, int vocabulary,
        bool special) => ReadingView.Read(host, quiet, view => EvaluationData.FromText(
            TextSource.OfFiles(texts, input, format is null ? DataFiles.RefuseJson : null), tokenizer, vocabulary, view, host.Cancel, special));

    private EvaluationOptions Windows(ParseResult result, TransformerModel<float> model, TransformerModel<float>? reference)
    {
        int positions = Math.Min(model.Config.MaxSequenceLength, reference?.Config.MaxSequenceLength ?? int.MaxValue);
        int context = result.GetValue(_context) ?? positions;
        if (context > positions)
        {
            throw new InvalidSettingException("--context", context,
                $"the model{(reference is null ? " has" : " and its reference have")} {Format.Count(positions, "position")}; use at most that.");
        }

        int stride = result.GetValue(_stride) ?? context;
        if (stride > context) throw new InvalidSettingException("--stride", stride, $"a window has {Format.Count(context, "token")}; use at most that.");
        return new EvaluationOptions { Context = context, Stride = stride, BatchSize = result.GetValue(_batch) ?? 0, Limit = result.GetValue(_limit) ?? 0 };
    }

    // Cancelled after the first pass, the figures so far are the result; a pass that does not end within a moment is left behind.
    private static (EvaluationResult Figures, bool Cancelled) Measure(Func<IProgress<EvaluationProgress>, EvaluationResult> measure, ProgressView view,
        Stopwatch watch, CancellationToken cancel)
    {
        Reporter reporter = new(view, watch);
        Task<EvaluationResult> work =
            Task.Factory.StartNew(() => measure(reporter), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        view.Run(() =>
        {
            WaitHandle.WaitAny([((IAsyncResult)work).AsyncWaitHandle, cancel.WaitHandle]);
            if (!work.IsCompleted) Task.WhenAny(work, Task.Delay(PatienceMilliseconds, CancellationToken.None)).Wait(CancellationToken.None);
        });
        if (work.IsCompleted && work.Exception?.InnerException is not OperationCanceledException) return (work.GetAwaiter().GetResult(), false);
        return reporter.Stop() is { } soFar ? (soFar, true) : throw new OperationCanceledException(cancel);
    }

    private static void Write(CommandHost host, EvalRecord record, EvaluationResult figures)
    {
        FigureTable table = new FigureTable("measured").Column("figure");
        host.Say($"{record.Model} on {record.Data}");
        table.Row("predicted tokens", Format.Count(record.Tokens));
        table.Row("loss, nats a token", Format.Loss(record.Nll));
        table.Row("perplexity", Format.Figure(figures.Perplexity));
        if (record.BitsPerByte is { } bits) table.Row("bits a byte", Format.Loss(bits));
        table.Row("top-1 accuracy", Format.Percent(record.Top1Accuracy));
        if (record.Kl is { } kl) table.Row("KL(reference || model), nats a token", Format.Figure(kl));
        if (record.Top1Agreement is { } agreement) table.Row("top-1 agreement with reference", Format.Percent(agreement));
        table.Row("weights in memory", Format.Bytes(record.WeightsBytes));
        table.Row("bits a parameter", Format.Figure(record.BitsPerParameter));
        table.Row("tokens a second", Format.Count(record.TokensPerSecond));
        table.Write(host);
        host.Say($"bits a parameter: {Meanings.Parameter}", 0);
        if (record.Cancelled) host.Say($"Stopped after {Format.Count(record.Tokens, "token")}.");
    }

    private sealed class Reporter(ProgressView view, Stopwatch watch) : IProgress<EvaluationProgress>
    {
        private readonly Lock _gate = new();
        private EvaluationResult? _soFar;
        private bool _stopped;

        /// <summary>The figures so far; nothing is shown any more.</summary>
        public EvaluationResult? Stop()
        {
            lock (_gate)
            {
                _stopped = true;
                return _soFar;
            }
        }

        public void Report(EvaluationProgress value)
        {
            lock (_gate)
            {
                if (!_stopped) Show(_soFar = value.SoFar, value.Total);
            }
        }

        private void Show(EvaluationResult soFar, long total)
        {
            double done = (double)soFar.Tokens / total;
            view.Show(done, $"{Format.Count(soFar.Tokens)}/{Format.Count(total)} tokens", $"loss {Format.Loss(soFar.Nll)}",
                Format.Left(done, watch.Elapsed), $"{Format.Count(soFar.Tokens / watch.Elapsed.TotalSeconds)} tokens/s");
        }
    }
}
