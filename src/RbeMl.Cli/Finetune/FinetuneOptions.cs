using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using System.Globalization;
using RbeMl.Cli.Data;
using RbeMl.Cli.Help;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>The options of <c>rbeml finetune</c>.</summary>
internal sealed class FinetuneOptions
{
    /// <summary>Largest vocabulary of a new model.</summary>
    public const int MostTokenIds = 1 << 20;

    private const double DefaultSeconds = 100, DefaultRate = 3e-3, DefaultDecay = 0.1;

    // What --train-bits rounds.
    private static readonly RbeOptions s_allCoefficients = new() { Alphas = false, Format = RbeFormat.Sparse(64 * 64) };

    private readonly Option<string?> _model =
        Options.File("--model", "model",
            "Continue with this model, a .rbe file, the folder that finetune wrote, or the folder of a Hugging Face GPT-2 (shape, "
            + "formats and tokenizer come from it; a folder's weights are dense unless --format compresses them). Without it a new model is trained.", "-m");
    private readonly Option<int> _layers = Options.Whole("--layers", 4, 1, "Blocks of a new model.", 1024);
    private readonly Option<int> _heads = Options.Whole("--heads", 4, 1, "Attention heads of a new model; the width is a multiple of it.", 1024);
    private readonly Option<int> _width = Options.Whole("--width", 256, 1, "Width of a new model.", 65536);
    private readonly Option<int?> _vocabulary =
        Options.OptionalWhole("--vocabulary", 1,
            "Token ids of a new model: with bpe 256 to 65536 (1024 if left out), with --tokens at least the largest id + 1.", MostTokenIds);
    private readonly Option<string> _tokenizer =
        Options.Word("--tokenizer", "bpe", "Tokens of a new model: bytes, the characters of the text, or byte pairs learnt from the text.",
            "bytes", "characters", "bpe");
    private readonly Option<string[]> _text =
        new Option<string[]>("--text")
        {
            Description = "Texts to train on: files, folders, or patterns such as 'books/**/*.txt'. Of JSON lines, tables, and ten files or more a "
                + "tenth of the documents is kept for validation, else the last tenth of the text. Without --text and --tokens: the documentation of "
                + "the installed .NET SDK.",
            HelpName = "files",
            AllowMultipleArgumentsPerToken = true,
        }.Named();
    private readonly Option<string?> _tokens =
        Options.File("--tokens", "file", "Token ids to train on instead of text: a line is a sequence, a single line is a stream.");
    private readonly Option<string?> _validation = Options.File("--validation", "file", "Held-out file of the same kind (texts, or token ids).");
    private readonly TextInput _input = new();
    private readonly DocumentOptions _documents = new();
    private readonly Option<bool> _special = Options.Special();
    private readonly Option<int?> _steps =
        Options.OptionalWhole("--steps", 1, "Optimiser steps. The same seed and steps give the same model, bit for bit, on any number of threads.");
    private readonly Option<double?> _seconds =
        Options.OptionalReal("--seconds", 0, 1e9,
            $"Stop after about this time; how many steps that is depends on the machine. With --steps, whichever ends first. Without both: "
                + $"{DefaultSeconds}.", above: true);
    private readonly Option<int> _batch = Options.Whole("--batch", 16, 1, "Sequences of a micro-batch.", 65536);
    private readonly Option<int?> _context = Options.OptionalWhole("--context", 1, "Tokens of a sequence; 128, or what the model has room for.", 1 << 20);
    private readonly Option<int> _accumulate = Options.Whole("--accumulate", 1, 1, "Micro-batches added up before an optimiser step.", 65536);
    private readonly Option<string> _optimizer =
        Options.Word("--optimizer", OptimizerOptions.All[0].Name,
            "What turns gradients into steps: AdamW; gradient descent with momentum; Lion, which has half of AdamW's state; Muon, which "
                + "makes the steps of matrices orthogonal and gains most where many coefficients are kept; or AdamW with moments of 8 bits, which "
                + "take a quarter of its memory.",
            [.. OptimizerOptions.All.Select(optimizer => optimizer.Name)]);
    private readonly Option<double?> _momentum =
        Options.OptionalReal("--momentum", 0, 0.9999,
            "Of sgd and muon: what remains of the steps so far in the next one, 0.9 and 0.95 if left out; of sgd 0 needs no memory for it.");
    private readonly Option<double?> _learningRate =
        Options.OptionalReal("--learning-rate", 0, 10,
            $"Highest learning rate; coefficients take sqrt(B²/K) times it (sgd: B²/K times), as they are that much larger. "
                + $"{Standards(optimizer => optimizer.RateFor(DefaultRate))}", above: true);
    private readonly Option<double?> _coefficientRate =
        Options.OptionalReal("--coefficient-learning-rate", 0, 10,
            "Highest learning rate of coefficients, instead of what --learning-rate makes of it.", above: true);
    private readonly Option<string> _precondition =
        Options.Word("--precondition-alphas", "on",
            "Whether the gradient of a tile's alphas is multiplied by the inverse Gram matrix of its basis functions.", "on", "off");
    private readonly Option<int?> _warmup = Options.OptionalWhole("--warmup", 0, "Steps of linear warm-up; a twentieth of the run, at most 100 steps.");
    private readonly Option<double?> _weightDecay =
        Options.OptionalReal("--weight-decay", 0, 9.99,
            $"Weight decay of matrices, decoupled from the gradient (sgd: added to it). {Standards(optimizer => optimizer.DecayFor(DefaultDecay))}");
    private readonly Option<double> _clip = Options.Real("--clip", 1, 0, double.MaxValue, "Largest global norm of the gradient; 0 for none.");
    private readonly Option<int> _average =
        Options.Whole("--average-horizon", 100, 0,
            "Steps that the average of the weights looks back on (EMA), at most a tenth of those done: the average is what is validated and saved. "
            + "0 saves the last weights.");
    private readonly Option<int?> _trainBits =
        Options.OptionalWhole("--train-bits", 2,
            "Train matrices at 2 to 8 bits: all coefficients of tiles of 64 are kept, and what is trained is what is saved, in format quantized. "
                + "Goes well with --optimizer muon.", 8);
    private readonly Option<double?> _dropout = Options.OptionalReal("--dropout", 0, 0.99, "Dropout while training; 0, or the model's.");
    private readonly Option<ulong> _seed = Options.Seed("Seed of weights, data order and dropout.");
    private readonly Option<int> _threads = Options.Whole("--threads", 0, 0, "Threads; 0 for one a processor. Results do not depend on it.", 1024);
    private readonly RankOptions _ranks = new();
    private readonly CompressionOptions _compression = CompressionOptions.ForTraining();
    private readonly GroupArguments _groups = new();
    private readonly DeltaArguments _delta = new();
    private readonly Option<string> _checkpointing =
        Options.Word("--checkpointing", "none",
            "What is computed again in the backward to save memory: nothing, softmax and GELU, or all. Same results, bit for bit. With "
            + "--memory-limit what fits, unless given.", "none", "selective", "full");
    private readonly Option<string> _offload =
        Options.Word("--offload", "none",
            "Where what is kept for the backward waits: in memory as it is, in memory as bf16 (gradients change by its rounding), or in "
            + "a file in --out. With --memory-limit none or spill, whichever fits, unless given.", "none", "bf16", "spill");
    private readonly Option<int?> _memoryLimit =
        Options.OptionalWhole("--memory-limit", 1,
            "Most memory in MiB that training may make the process take, everything included. Chooses how much of a batch is done at a "
            + "time, --checkpointing and --offload; the model stays the same, bit for bit.", 1 << 30);
    private readonly Option<bool> _profile =
        new("--profile") { Description = "Measure where the time of the steps goes: a table at the end, in metrics.json and in report.html." };
    private readonly Option<string?> _out =
        new Option<string?>("--out", "-o", "--output")
        {
            Description = "Folder for model.rbe, model.zip, metrics.json, metrics.jsonl, run.json and report.html; created when missing.",
            HelpName = "folder",
            DefaultValueFactory = _ => "rbeml-out"
        }.Named().Written();
    private readonly Option<double> _saveMinutes =
        Options.Real("--save-minutes", 10, 0, 1e6,
            "Minutes from one save of model.rbe and metrics.json to the next while training; 0 saves at the end and at Ctrl-C only.");
    private readonly Option<SaveInterval> _stateEvery =
        Options.Interval("--state-every", SaveInterval.EveryMinutes(10),
            "Save the training's state (state-STEP.rbe in --out: weights, optimiser, record and clock) every so many steps, or with an m after "
            + "so many minutes, and at Ctrl-C; 0 saves none.");
    private readonly Option<int> _keepStates =
        Options.Whole("--keep-states", 1, 1, "How many states are kept while the run lasts, the latest. A run that is complete leaves none.", 1 << 16);
    private readonly Option<string?> _resume =
        new Option<string?>("--resume")
        {
            Description = "Go on from a training state, given the same options as before: a file, or the latest in a folder; without a name that in "
                + "--out. The result is that of a run that was never stopped, bit for bit; of a run limited by time the seconds that were left.",
            HelpName = "path",
            Arity = ArgumentArity.ZeroOrOne,
        }.Named();
    private readonly Option<string?> _config =
        Options.File("--config", "file",
            "Options from the run.json of a run, which is made again with the same bits unless it was limited by time. Options beside it win; its paths are "
                + "relative to its folder.");
    private readonly GuardOptions _guard = new();
    private readonly Option<string?> _csv = Options.File("--csv", "file", "Write the figures of every step to a table too, while the run lasts.").Written();
    private readonly Option<string?> _tensorBoard =
        Options.File("--tensorboard", "folder", "Write them as events of TensorBoard too, to a folder of the run's name in this one.").Written();
    private readonly Option<bool> _dryRun =
        new("--dry-run") { Description = "Tell size, memory and time, by two steps of the model in memory, and write nothing." };
    private readonly Option<bool> _overwrite =
        new("--overwrite")
        {
            Description = "Replace the files of an earlier run in --out. Without it they are kept, as model-1.rbe, metrics-1.json and so on "
                + "with the next free number.",
        };

    /// <summary><c>--json [file]</c>.</summary>
    public Option<string?> Json { get; } = Options.Json();

    // Of a single call, and so not kept for another.
    private Option[] PerCall => [Json, _resume, _config, _dryRun, _groups.FindRate, _overwrite, .. _ranks.PerCall];

    private Option[] NewModelOnly => [_layers, _heads, _width, _vocabulary, _tokenizer];

    /// <summary>Adds all of them, in the groups of the help page.</summary>
    public void AddTo(Verb verb)
    {
        verb.Add("Data", [_text, _tokens, _validation, .. _documents.All, .. _input.All, _special]);
        verb.Add("Model", [_model, .. NewModelOnly]);
        verb.Add("How long", [_steps, _seconds, .. _guard.All]);
        verb.Add("Training", [_batch, _context, _accumulate, _optimizer, _momentum, _learningRate, _coefficientRate, _warmup, _weightDecay, _clip,
            _average, _trainBits, _dropout, _precondition, _seed, .. _groups.All, _groups.FindRate, _threads, .. _ranks.All]);
        verb.Add("Compressed weights", _compression.All);
        verb.Add("A delta on a frozen model", [.. _delta.All]);
        verb.Add("Memory", _memoryLimit, _checkpointing, _offload);
        verb.Add("Output", _out, _overwrite, _saveMinutes, _stateEvery, _keepStates, _resume, _config, _csv, _tensorBoard, Json, _profile, _dryRun);
    }

    /// <summary>A command line with the options of <c>--config</c>, if it has that.</summary>
    /// <exception cref="RbeFileException">The file cannot be read, or has what is no option.</exception>
    /// <exception cref="UsageException">A value in it is refused.</exception>
    public ParseResult WithConfig(ParseResult result)
    {
        if (result.GetValue(_config) is not { } file) return result;
        Command command = result.CommandResult.Command;
        List<string> words = RunConfig.Words(file, OfRun(command), result.Given);
        IEnumerable<string> typed = result.Tokens.Where(token => token.Type != TokenType.Command).Select(token => token.Value);
        ParseResult all = command.Parse([.. words, .. typed], CommandLine.AsTheyStand);
        return all.Errors.Count == 0 ? all : throw new UsageException($"{file}: {all.Errors[0].Message}");
    }

    private Option[] OfRun(Command command) => [.. command.Options.Where(option => option is not HelpOption && !PerCall.Contains(option))];

    /// <summary>Reads the settings.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="program">The words that start this program.</param>
    /// <exception cref="UsageException">Options contradict each other.</exception>
    public FinetuneSettings Read(ParseResult result, string program)
    {
        CheckCombinations(result);
        string folder = result.GetValue(_out)!;
        List<string> files = DataFiles.Expand(result.GetValue(_text) ?? [], folder);
        List<string> held = result.GetValue(_validation) is { } named && !result.Given(_tokens) ? DataFiles.Expand([named], folder) : [];
        _documents.Check(result, [.. files, .. held]);
        (string? format, string? column, DocumentPacking packing) = _documents.Read(result);
        bool compression = _compression.All.Any(result.Given);
        string? model = result.GetValue(_model);
        OptimizerOptions optimizer = OptimizerOptions.All.First(each => each.Name == result.GetValue(_optimizer));
        if (result.GetValue(_momentum) is { } momentum)
        {
            optimizer = optimizer is MuonOptions muon ? muon with { Momentum = momentum } : ((SgdOptions)optimizer) with { Momentum = momentum };
        }

        return new FinetuneSettings
        {
            Model = model,
            Layers = result.GetValue(_layers),
            Heads = result.GetValue(_heads),
            Width = result.GetValue(_width),
            Vocabulary = result.GetValue(_vocabulary),
            Tokenizer = result.GetValue(_tokenizer)!,
            Compression = result.Given(_trainBits) ? s_allCoefficients
                : model is null || compression ? _compression.Read(result, (int)(result.GetValue(_seed) & 0x7FFFFFFF), delta: true) : null,
            Delta = _delta.Read(result, (int)(result.GetValue(_seed) & 0x7FFFFFFF)),
            ApplyDelta = _delta.Apply(result),
            SaveDelta = _delta.Save(result),
            Text = result.GetValue(_text) ?? [],
            TextFiles = files,
            ValidationFiles = held,
            DataFormat = format,
            TextColumn = column,
            Packing = packing,
            Tokens = result.GetValue(_tokens),
            Validation = result.GetValue(_validation),
            TextOptions = _input.Read(result),
            Special = result.GetValue(_special),
            Steps = result.GetValue(_steps),
            Seconds = result.GetValue(_seconds) ?? (result.Given(_steps) ? null : DefaultSeconds),
            Batch = result.GetValue(_batch),
            Context = result.GetValue(_context),
            Accumulate = result.GetValue(_accumulate),
            Optimizer = optimizer,
            LearningRate = result.GetValue(_learningRate) ?? optimizer.RateFor(DefaultRate),
            CoefficientLearningRate = result.GetValue(_coefficientRate),
            Course = _groups.Course(result),
            Groups = _groups.Groups(result),
            PreconditionAlphas = result.GetValue(_precondition) == "on",
            Warmup = result.GetValue(_warmup),
            WeightDecay = result.GetValue(_weightDecay) ?? optimizer.DecayFor(DefaultDecay),
            Clip = result.GetValue(_clip),
            Average = result.GetValue(_average),
            TrainBits = result.GetValue(_trainBits),
            Dropout = result.GetValue(_dropout),
            Seed = result.GetValue(_seed),
            Threads = result.GetValue(_threads),
            Ranks = _ranks.Read(result),
            Checkpointing = result.Given(_checkpointing) ? Enum.Parse<CheckpointPolicy>(result.GetValue(_checkpointing)!, ignoreCase: true) : null,
            Offload = !result.Given(_offload) ? null
                : result.GetValue(_offload) switch { "bf16" => ActivationOffload.BFloat16, "spill" => ActivationOffload.Spill, _ => ActivationOffload.None },
            MemoryLimit = result.GetValue(_memoryLimit),
            Profile = result.GetValue(_profile),
            Out = result.GetValue(_out)!,
            Command = CommandLine.Of(program, result.Tokens.Select(token => token.Value)),
            Listed = List(result, [.. files, .. held]),
            Declared = OfRun(result.CommandResult.Command),
            ConfigFile = result.GetValue(_config),
            Options = RunConfig.Values(result, OfRun(result.CommandResult.Command),
                option => !_compression.All.Contains(option) && HasEffect(option, result, [.. files, .. held])),
            Usual = [.. OfRun(result.CommandResult.Command).Where(option => !result.Given(option)).Select(option => option.Name)],
            OnDivergence = _guard.Divergence(result, result.GetValue(_stateEvery).Saves),
            Patience = _guard.Patience(result),
            Csv = result.GetValue(_csv),
            TensorBoard = result.GetValue(_tensorBoard),
            SaveMinutes = result.GetValue(_saveMinutes),
            StateEvery = result.GetValue(_stateEvery),
            KeepStates = result.GetValue(_keepStates),
            Resume = result.Given(_resume) ? result.GetValue(_resume) ?? result.GetValue(_out)! : null,
            Overwrite = result.GetValue(_overwrite),
            DryRun = result.GetValue(_dryRun),
            FindRate = _groups.Search(result),
            Words = _groups.WordsWithout(result, Json, _config, _learningRate, _coefficientRate),
        };
    }

    // In the order of the help page.
    private Dictionary<string, string?> List(ParseResult result, IReadOnlyList<string> texts)
    {
        // by the run, where nobody gave them
        Option[] found = [_vocabulary, _context, _momentum, _learningRate, _warmup, _weightDecay, _dropout, _threads, _checkpointing, _offload];
        Dictionary<string, string?> list = [];
        foreach (Option option in result.CommandResult.Command.Options.Where(option => HasEffect(option, result, texts)))
        {
            string? value = _compression.All.Contains(option) ? _compression.Effect(option, result)
                : result.Given(option) ? string.Join(' ', result.GetResult(option)!.Tokens.Select(token => token.Value)) is { Length: > 0 } words ? words : "on"
                : option == _seconds ? Convert.ToString(DefaultSeconds, CultureInfo.InvariantCulture)
                : option is { HasDefaultValue: true, ValueType.IsArray: false } && option.GetDefaultValue() is { } standard and not false
                    ? Convert.ToString(standard, CultureInfo.InvariantCulture) : null;
            bool byRun = found.Contains(option) && (!result.Given(option) || option == _threads);
            if (value is not null || byRun) list[option.Name] = byRun ? null : value;
        }

        return list;
    }

    // Whether it would make a difference to give the option another value.
    private bool HasEffect(Option option, ParseResult result, IReadOnlyList<string> texts)
    {
        bool newModel = !result.Given(_model), ids = result.Given(_tokens), files = ids || result.Given(_text);
        return option != Json && option != _config && option != _groups.FindRate
            && (_delta.HasEffect(option, result) ?? _groups.HasEffect(option, result) ?? true)
            && (!_documents.All.Contains(option) || _documents.HasEffect(option, result, texts))
            && (!_input.All.Contains(option) || files)
            && (!NewModelOnly.Contains(option) || newModel)
            && (option != _vocabulary || ids || result.GetValue(_tokenizer) == "bpe")
            && (option != _tokenizer || !ids)
            && (option != _momentum || TakesMomentum(result))
            && (option != _seconds || result.Given(_seconds) || !result.Given(_steps))
            && ((!_compression.All.Contains(option) && option != _precondition) || !result.Given(_trainBits))
            && (!_compression.All.Contains(option) || newModel || _compression.All.Any(result.Given));
    }

    private bool TakesMomentum(ParseResult result) => ((string[])[new SgdOptions().Name, new MuonOptions().Name]).Contains(result.GetValue(_optimizer));

    // What an option is for each optimiser when it is left out.
    private static string Standards(Func<OptimizerOptions, double> value) =>
        $"If left out {string.Join(", ", OptimizerOptions.All.Select(
            optimizer => string.Create(CultureInfo.InvariantCulture, $"{value(optimizer):0.#####} for {optimizer.Name}")))}.";

    private void CheckCombinations(ParseResult result)
    {
        if (result.GetValue(_special) && (!result.Given(_model) || result.Given(_tokens)))
        {
            throw new UsageException("--special is for texts and the tokenizer of a --model. Leave it out.");
        }

        if (result.Given(_model) && NewModelOnly.FirstOrDefault(result.Given) is { } shape)
        {
            throw new UsageException($"{shape.Name} is for a new model, and --model says all about it. Leave out one of them.");
        }

        if (result.Given(_tokens) && result.Given(_text)) throw new UsageException("--text and --tokens are two kinds of data. Leave out one of them.");
        if (result.Given(_tokens) && result.Given(_tokenizer)) throw new UsageException("--tokens are ids already. Leave out --tokenizer.");
        if (result.Given(_vocabulary) && !result.Given(_tokens) && result.GetValue(_tokenizer) != "bpe")
        {
            throw new UsageException($"--tokenizer {result.GetValue(_tokenizer)} has its own vocabulary. Leave out --vocabulary.");
        }

        if (result.Given(_vocabulary) && !result.Given(_tokens) && result.GetValue(_vocabulary) is < 256 or > 65536)
        {
            throw new UsageException($"--vocabulary {result.GetValue(_vocabulary)}: byte pairs need 256 to 65536 ids.");
        }

        if (result.Given(_validation) && !result.Given(_tokens) && !result.Given(_text))
        {
            throw new UsageException("--validation needs --text or --tokens: the SDK's documentation has its own.");
        }

        if (_input.All.FirstOrDefault(result.Given) is { } how && !result.Given(_tokens) && !result.Given(_text))
        {
            throw new UsageException($"{how.Name} says how files are read. Give --text or --tokens, or leave it out.");
        }

        if (result.Given(_momentum) && !TakesMomentum(result))
        {
            throw new UsageException($"--momentum is for sgd and muon, and --optimizer is {result.GetValue(_optimizer)}. Leave it out, or use one of them.");
        }

        if (result.Given(_resume) && result.GetValue(_dryRun)) throw new UsageException("--dry-run is for a run that begins. Leave out --resume.");

        if (result.Given(_trainBits) && _compression.All.FirstOrDefault(result.Given) is { } format)
        {
            throw new UsageException($"{format.Name} is for other formats, and --train-bits keeps all coefficients at few bits. Leave out one of them.");
        }

        _groups.Check(result, _delta.Any(result), _resume, _dryRun, _profile);
        if (!result.Given(_trainBits) && _groups.Groups(result).FirstOrDefault(group => group.TrainBits is not null) is { } few)
        {
            throw new UsageException($"--group {few.Pattern}:bits={few.TrainBits} is for --train-bits. Give that too, or leave it out.");
        }

        _compression.Check(result);
        _delta.Check(result, result.Given(_model), _compression.All.Append(_trainBits).FirstOrDefault(result.Given));
        if (!result.Given(_model) && result.GetValue(_compression.Support) == "topk")
        {
            throw new UsageException("--support topk chooses by the weights of a --model. Use runs16 or random for a new model.");
        }

        if (result.GetValue(_context) is { } context && (long)context * result.GetValue(_batch) > int.MaxValue)
        {
            throw new UsageException(
                $"--batch {result.GetValue(_batch)} x --context {context} are more tokens than a step can hold, {int.MaxValue}. Use less of one and "
                    + $"--accumulate instead.");
        }

        if (!result.Given(_model) && result.GetValue(_width) % result.GetValue(_heads) != 0)
        {
            throw new UsageException(
                $"--heads {result.GetValue(_heads)} does not divide --width {result.GetValue(_width)}. Choose a width that is a multiple of it.");
        }
    }
}
