using System.CommandLine;
using System.Globalization;
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
            Description = "Text files to train on; the last tenth is kept for validation. Without --text and --tokens: the documentation of the installed .NET "
                + "SDK.",
            HelpName = "files",
            AllowMultipleArgumentsPerToken = true,
        }.Named();
    private readonly Option<string?> _tokens =
        Options.File("--tokens", "file", "Token ids to train on instead of text: a line is a sequence, a single line is a stream.");
    private readonly Option<string?> _validation = Options.File("--validation", "file", "Held-out file of the same kind (text or token ids).");
    private readonly TextInput _input = new();
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
            "What turns gradients into steps: AdamW; gradient descent with momentum; Lion, which has half of AdamW's state; or Muon, which "
                + "makes the steps of matrices orthogonal and gains most where many coefficients are kept.",
            [.. OptimizerOptions.All.Select(optimizer => optimizer.Name)]);
    private readonly Option<double?> _momentum =
        Options.OptionalReal("--momentum", 0, 0.9999, "Of sgd: what remains of the steps so far in the next one, 0.9 if left out; 0 needs no memory for it.");
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
        Options.OptionalWhole("--train-bits", 3,
            "Train matrices at 3 to 8 bits: all coefficients are kept, and what is trained is what is saved, in format quantized. Goes well with "
                + "--optimizer muon.", 8);
    private readonly Option<double?> _dropout = Options.OptionalReal("--dropout", 0, 0.99, "Dropout while training; 0, or the model's.");
    private readonly Option<ulong> _seed = Options.Seed("Seed of weights, data order and dropout.");
    private readonly Option<int> _threads = Options.Whole("--threads", 0, 0, "Threads; 0 for one a processor. Results do not depend on it.", 1024);
    private readonly CompressionOptions _compression = CompressionOptions.ForTraining();
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
        new Option<string?>("--out", "-o",
            "--output")
        {
            Description = "Folder for model.rbe, model.zip, metrics.json and report.html; created when missing.",
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

    private Option[] NewModelOnly => [_layers, _heads, _width, _vocabulary, _tokenizer];

    /// <summary>Adds all of them, in the groups of the help page.</summary>
    public void AddTo(Verb verb)
    {
        verb.Add("Data", [_text, _tokens, _validation, .. _input.All, _special]);
        verb.Add("Model", [_model, .. NewModelOnly]);
        verb.Add("How long", _steps, _seconds);
        verb.Add("Training", _batch, _context, _accumulate, _optimizer, _momentum, _learningRate, _coefficientRate, _warmup, _weightDecay, _clip,
            _average, _trainBits, _dropout, _precondition, _seed, _threads);
        verb.Add("Compressed weights", _compression.All);
        verb.Add("Memory", _memoryLimit, _checkpointing, _offload);
        verb.Add("Output", _out, _overwrite, _saveMinutes, _stateEvery, _keepStates, _resume, Json, _profile, _dryRun);
    }

    /// <summary>Reads the settings.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="program">The words that start this program.</param>
    /// <exception cref="UsageException">Options contradict each other.</exception>
    public FinetuneSettings Read(ParseResult result, string program)
    {
        CheckCombinations(result);
        bool compression = _compression.All.Any(result.Given);
        string? model = result.GetValue(_model);
        OptimizerOptions optimizer = OptimizerOptions.All.First(each => each.Name == result.GetValue(_optimizer));
        if (optimizer is SgdOptions sgd && result.GetValue(_momentum) is { } momentum) optimizer = sgd with { Momentum = momentum };
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
            Text = result.GetValue(_text) ?? [],
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
            PreconditionAlphas = result.GetValue(_precondition) == "on",
            Warmup = result.GetValue(_warmup),
            WeightDecay = result.GetValue(_weightDecay) ?? optimizer.DecayFor(DefaultDecay),
            Clip = result.GetValue(_clip),
            Average = result.GetValue(_average),
            TrainBits = result.GetValue(_trainBits),
            Dropout = result.GetValue(_dropout),
            Seed = result.GetValue(_seed),
            Threads = result.GetValue(_threads),
            Checkpointing = result.Given(_checkpointing) ? Enum.Parse<CheckpointPolicy>(result.GetValue(_checkpointing)!, ignoreCase: true) : null,
            Offload = !result.Given(_offload) ? null
                : result.GetValue(_offload) switch { "bf16" => ActivationOffload.BFloat16, "spill" => ActivationOffload.Spill, _ => ActivationOffload.None },
            MemoryLimit = result.GetValue(_memoryLimit),
            Profile = result.GetValue(_profile),
            Out = result.GetValue(_out)!,
            Command = CommandLine.Of(program, result.Tokens.Select(token => token.Value)),
            Listed = List(result),
            SaveMinutes = result.GetValue(_saveMinutes),
            StateEvery = result.GetValue(_stateEvery),
            KeepStates = result.GetValue(_keepStates),
            Resume = result.Given(_resume) ? result.GetValue(_resume) ?? result.GetValue(_out)! : null,
            Overwrite = result.GetValue(_overwrite),
            DryRun = result.GetValue(_dryRun),
        };
    }

    // In the order of the help page.
    private Dictionary<string, string?> List(ParseResult result)
    {
        // by the run, where nobody gave them
        Option[] found = [_vocabulary, _context, _momentum, _learningRate, _warmup, _weightDecay, _dropout, _threads, _checkpointing, _offload];
        Dictionary<string, string?> list = [];
        foreach (Option option in result.CommandResult.Command.Options.Where(option => HasEffect(option, result)))
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
    private bool HasEffect(Option option, ParseResult result)
    {
        bool newModel = !result.Given(_model), ids = result.Given(_tokens), files = ids || result.Given(_text);
        return option != Json
            && (!_input.All.Contains(option) || files)
            && (!NewModelOnly.Contains(option) || newModel)
            && (option != _vocabulary || ids || result.GetValue(_tokenizer) == "bpe")
            && (option != _tokenizer || !ids)
            && (option != _momentum || result.GetValue(_optimizer) == new SgdOptions().Name)
            && (option != _seconds || result.Given(_seconds) || !result.Given(_steps))
            && ((!_compression.All.Contains(option) && option != _precondition) || !result.Given(_trainBits))
            && (!_compression.All.Contains(option) || newModel || _compression.All.Any(result.Given));
    }

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

        if (result.Given(_momentum) && result.GetValue(_optimizer) is { } other && other != new SgdOptions().Name)
        {
            throw new UsageException($"--momentum is for sgd, and --optimizer is {other}. Leave it out, or use --optimizer sgd.");
        }

        if (result.Given(_trainBits) && _compression.All.FirstOrDefault(result.Given) is { } format)
        {
            throw new UsageException($"{format.Name} is for other formats, and --train-bits keeps all coefficients at few bits. Leave out one of them.");
        }

        _compression.Check(result);
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
