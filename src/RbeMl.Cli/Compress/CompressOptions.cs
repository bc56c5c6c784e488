using System.CommandLine;
using RbeMl.Cli.Help;
using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Files;
using RbeMl.Layers;
using RbeMl.Text;

namespace RbeMl.Cli.Compress;

/// <summary>What <c>rbeml compress</c> was asked to do.</summary>
/// <param name="Input">Folder or file.</param>
/// <param name="Output">The file to write.</param>
/// <param name="Calibration">Text or ids, or null.</param>
/// <param name="CalibrationIds">Whether the calibration holds ids whatever its name.</param>
/// <param name="CalibrationTokens">Tokens of it to use.</param>
/// <param name="TextOptions">How its bytes are read.</param>
/// <param name="ModelOnly">The first option given that needs a model's folder, or null.</param>
/// <param name="Measure">Text or ids to measure the model on, or null.</param>
/// <param name="DryRun">Whether only to tell what it would take.</param>
/// <param name="Request">The rest.</param>
internal sealed record CompressSettings(string Input, string Output, string? Calibration, bool CalibrationIds, int CalibrationTokens,
    TextOptions TextOptions, string? ModelOnly, string? Measure, bool DryRun, CompressionRequest Request);

/// <summary>The options of <c>rbeml compress</c>.</summary>
internal sealed class CompressOptions
{
    private const double DefaultTargetBits = 4.75;
    private const int SparseEmbeddingBits = 8;

    // A prediction is read off the table alone, with no block after it that could make up for its errors.
    private const int MoreBits = 2;
    private const string Auto = "auto";

    private readonly Argument<string> _input = FileOptions.Input("in",
        "Folder of a Hugging Face GPT-2 or BERT, the .onnx file of a BERT, or a .safetensors file (or its index).");
    private readonly Option<string> _output = FileOptions.Output("out.rbe", "File to write (.rbe).");
    private readonly CompressionOptions _compression = CompressionOptions.ForWeights();
    private readonly Option<string> _alphas =
        Options.Word("--alphas", "on", "Whether a tile has the weights of its eight basis functions, 32 bytes.", "on", "off");
    private readonly Option<string?> _calibration =
        Options.File("--calibration", "file",
            "Text, or token ids (a file that ends in .ids, or any with --calibration-ids): rounds so that outputs on it err least, which "
            + "makes weights err a little more. Needs a model's folder.");
    private readonly Option<bool> _calibrationIds = new("--calibration-ids") { Description = "The --calibration file holds token ids, a line a sequence." };
    private readonly TextInput _text = new();
    private readonly Option<int> _calibrationTokens = Options.Whole("--calibration-tokens", 8192, 1, "Tokens of the calibration to use.", 1 << 24);
    private readonly Option<string> _weighOutputs =
        Options.Word("--weigh-outputs", "on",
            "With --calibration: whether rounding also weighs what each matrix's outputs are worth to predictions or vectors, by gradients on the text; "
            + "takes about twice the time of the calibration.", "on", "off");
    private readonly Option<int?> _tune = Options.OptionalWhole("--tune", 1,
        "With --calibration: rounds one matrix after the other and trains the others in between, so many steps in all, towards the dense model's predictions "
        + "or vectors on the text; the more text, --calibration-tokens, the better. Ctrl-C ends the training, and the rest is rounded without it. "
        + "Of the states between two roundings, the best on text that is held out is kept. Needs memory for the whole model as fp32 six times over.");
    private readonly Option<double?> _targetError =
        Options.OptionalReal("--target-error", 0, 1,
            "With --format auto: fewest bits with at most this relative error, of each block's output for a model, of each matrix for a file.", above: true);
    private readonly Option<double?> _targetBits =
        Options.OptionalReal("--target-bits", 0, 32,
            $"With --format auto: least error with at most so many bits a weight, of all matrices of a model together, of each matrix of "
            + $"a file; {DefaultTargetBits} unless --target-error is given.", above: true);
    private readonly Option<string[]> _include =
        new Option<string[]>("--include")
        {
            Description = "Names to compress; * stands for any characters. A model's are such as blocks.3.attention.query; its tables are not among them, see "
                + "--embeddings.",
            HelpName = "patterns",
            AllowMultipleArgumentsPerToken = true,
        }.Named();
    private readonly Option<string[]> _exclude =
        new Option<string[]>("--exclude")
        {
            Description = "Names not to compress, even if included: a file's tensors are copied, a model's matrices keep all their coefficients (exact to the "
                + "rounding of fp32; its token embedding and head: --embeddings dense).",
            HelpName = "patterns",
            AllowMultipleArgumentsPerToken = true,
        }.Named();
    private readonly Option<string> _layerNorm =
        Options.Word("--layer-norm", "dense",
            "How a model's LayerNorms are stored: every value, a cosine series of an eighth as many, or one value each. They are a "
            + "ten-thousandth of a model; see the errors before using it.", "dense", "compressed", "scalar");
    private readonly Option<string> _embeddings =
        Options.Word("--embeddings", Auto,
            $"How a model's token embedding and untied head are stored; sparse keeps the largest coefficients of as many bits. {Auto} is quantized, with "
            + $"{MoreBits} bits more than --bits and 8 at most, or as --preset says, and dense where matrices have no such bits.",
            [Auto, "dense", .. FormatWords.Frozen.Select(format => format.Name), "sparse"]);
    private readonly Option<int?> _embeddingBits =
        Options.OptionalWhole("--embedding-bits", FormatWords.LeastBits,
            "Bits a weight of --embeddings, and of an untied head; "
            + $"{string.Join(", ", FormatWords.Frozen.Select(format => $"{format.MostBits} for {format.Name}"))}, "
            + $"{SparseEmbeddingBits} for sparse.", FormatWords.MostBits);
    private readonly Option<string?> _measure =
        Options.File("--measure", "file",
            "Text, or token ids (a file that ends in .ids), that the compressed language model is measured on beside the dense one: loss, perplexity, bits a "
            + "byte, KL divergence, top-1 agreement. Best one that is no part of the --calibration. Holds both models in memory.");
    private readonly Option<ulong> _seed = Options.Seed("Seed of random places and of samples.");
    private readonly Option<int> _threads = Options.Whole("--threads", 0, 0, "Threads; 0 for one a processor. The file does not depend on it.", 1024);

    private readonly Option<bool> _dryRun =
        new("--dry-run") { Description = "Tell size, error, memory and time, measured on a few tiles, and write nothing." };

    /// <summary>Where JSON goes.</summary>
    public Option<string?> Json { get; } = Options.Json();

    /// <summary>Adds everything to a command, in the groups of the help page.</summary>
    public void AddTo(Verb verb)
    {
        verb.Add(_input);
        verb.Add("Output", _output, Json);
        verb.Add("How matrices are stored", [.. _compression.All, _alphas]);
        verb.Add("Measured choice, --format auto", _targetBits, _targetError);
        verb.Add("Calibration", [_calibration, _calibrationIds, _calibrationTokens, _weighOutputs, _tune, .. _text.All]);
        verb.Add("Report", _measure);
        verb.Add("What is compressed", _include, _exclude, _layerNorm, _embeddings, _embeddingBits);
        verb.Add("Run", _dryRun, _seed, _threads);
    }

    /// <summary>Reads the settings.</summary>
    /// <exception cref="UsageException">Options contradict each other.</exception>
    public CompressSettings Read(ParseResult result)
    {
        Check(result);
        bool auto = _compression.FormatOf(result) == "auto", delta = result.Given(_compression.Coefficients);
        RbeOptions options = _compression.Read(result, unchecked((int)(result.GetValue(_seed) ^ (result.GetValue(_seed) >> 32))), delta)
            with
        { Alphas = result.GetValue(_alphas) == "on" };
        if (auto) options = options with { Format = new ChoiceSettings().Probe };
        string? modelOnly = new Option[] { _calibration, _measure, _layerNorm, _embeddings, _embeddingBits }.FirstOrDefault(result.Given)?.Name;
        return new CompressSettings(result.GetValue(_input)!, result.GetValue(_output)!, result.GetValue(_calibration),
            result.GetValue(_calibrationIds), result.GetValue(_calibrationTokens), _text.Read(result), modelOnly, result.GetValue(_measure),
            result.GetValue(_dryRun),
            new CompressionRequest
            {
                Options = options,
                Target = !auto ? null : result.GetValue(_targetError) is { } error ? ChoiceTarget.MostError(error)
                : ChoiceTarget.Bits(result.GetValue(_targetBits) ?? DefaultTargetBits),
                MeasureTransform = result.GetValue(_compression.Transform) == "auto",
                Tuning = result.GetValue(_tune) is { } steps ? new TuningOptions { Steps = steps, Seed = result.GetValue(_seed) } : null,
                WeighOutputs = result.GetValue(_weighOutputs) == "on",
                Names = new NamePatterns(result.GetValue(_include) ?? [], result.GetValue(_exclude) ?? []),
                LayerNorm = Enum.Parse<LayerNormStorage>(result.GetValue(_layerNorm)!, ignoreCase: true),
                Embeddings = Embeddings(result),
                Threads = result.GetValue(_threads),
                Seed = result.GetValue(_seed),
            });
    }

    private void Check(ParseResult result)
    {
        _compression.Check(result);
        string format = _compression.FormatOf(result);
        bool frozen = _compression.FrozenOf(result) is not null;
        Option? target = new Option[] { _targetError, _targetBits }.FirstOrDefault(result.Given);
        if (target is not null && format != "auto") throw new UsageException($"{target.Name} is for --format auto. Add it, or leave out {target.Name}.");
        if (result.Given(_targetError) && result.Given(_targetBits))
        {
            throw new UsageException("--target-error and --target-bits are two targets. Leave out one of them.");
        }

        if (format is "auto" or "seed" && result.Given(_alphas))
        {
            throw new UsageException($"--alphas: --format {format} settles that itself. Leave out one of them.");
        }

        Option? calibrating = ((Option[])[_calibrationIds, _calibrationTokens, _weighOutputs, _tune, .. _text.All]).FirstOrDefault(result.Given);
        if (calibrating is not null && !result.Given(_calibration))
        {
            string verb = calibrating == _weighOutputs || calibrating == _tune ? "use" : "read";
            throw new UsageException($"{calibrating.Name} says how to {verb} the --calibration file. "
                + "Give one, or leave it out.");
        }

        if (result.Given(_measure) && result.GetValue(_dryRun))
        {
            throw new UsageException("--dry-run makes no model that --measure could measure. Leave out one of them.");
        }

        bool calibrated = result.Given(_calibration);
        if (calibrated && frozen && result.Given(_compression.Coefficients))
        {
            throw new UsageException("--coefficients on top would undo what --calibration does. Leave out one of them.");
        }

        if (calibrated && result.GetValue(_compression.Transform) == "cdf97")
        {
            throw new UsageException("--transform cdf97 is not orthonormal, which --calibration needs. Use another, or leave out the calibration.");
        }

        if (frozen && result.Given(_compression.Support) && !result.Given(_compression.Coefficients))
        {
            throw new UsageException($"--support says where --coefficients are kept, and --format {format} has none unless they are "
                + $"given. Add --coefficients, or leave out --support.");
        }

        if (format == "auto" && result.GetValue(_compression.Transform) == "cdf97" && IsModel(result.GetValue(_input)!))
        {
            throw new UsageException("--transform cdf97 is not orthonormal, which --format auto needs for a model. Use another transform or format.");
        }

        if (!result.Given(_embeddingBits)) return;
        string embeddings = result.GetValue(_embeddings)!;
        int bits = result.GetValue(_embeddingBits)!.Value;
        if (embeddings == "dense") throw new UsageException($"--embedding-bits is for --embeddings {FormatWords.FrozenWords}, or sparse. Add one of them.");
        if (FormatWords.Refusal(FormatWords.FrozenOf(embeddings), bits) is { } refusal) throw new UsageException($"--embedding-bits {bits}: {refusal}");
    }

    /// <summary>Whether an input is a model, and no file of tensors.</summary>
    public static bool IsModel(string input) => Directory.Exists(input) || OnnxModelFile.IsNamed(input);

    private RbeOptions? Embeddings(ParseResult result)
    {
        int? bits = result.GetValue(_embeddingBits);
        int tile = _compression.TileOf(result);
        string word = result.GetValue(_embeddings)!;
        RbeFormat? format = word switch
        {
            "dense" => null,
            Auto => IsModel(result.GetValue(_input)!) ? Tables(result, bits) : null, // of a file nobody knows which tensors they are
            _ => FormatWords.FrozenOf(word) is { } frozen ? frozen with { Bits = bits ?? frozen.MostBits }
                : RbeFormat.Sparse(tile * tile * (bits ?? SparseEmbeddingBits) / (32 + int.Log2(tile * tile)), SupportRule.TopK), // a value and its place
        };
        return format is null ? null : new RbeOptions { Tile = tile, Format = format, Alphas = false };
    }

    // Of a language model the table is a third of the bytes or more, and read for every token. Formats chosen for a size or an error leave it alone.
    private FrozenFormat? Tables(ParseResult result, int? bits)
    {
        if (bits is { } given) return RbeFormat.Quantized(given);
        if (_compression.PresetOf(result) is { } preset) return preset.Tables;
        return _compression.FrozenOf(result) is null ? null : RbeFormat.Quantized(Math.Min(_compression.BitsOf(result) + MoreBits, 8));
    }
}
