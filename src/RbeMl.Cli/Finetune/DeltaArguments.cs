using System.CommandLine;
using RbeMl.Training;

namespace RbeMl.Cli.Finetune;

/// <summary>The options of a trainable delta on a frozen model.</summary>
internal sealed class DeltaArguments(bool predicts = true)
{
    private const int MostCoefficients = 128 * 128;

    private readonly Option<double?> _delta = new("--delta")
    {
        Description = "Freeze the --model and train a sparse delta on its matrices alone, which begins at zero and is saved and served as it is trained: a "
            + "share of the coefficients (0.02 or 2%), or how many a tile has (64).",
        CustomParser = result => Number.Share(result, "--delta", MostCoefficients),
        HelpName = "share|n",
    };

    private readonly Option<string[]> _layers = new Option<string[]>("--delta-layers")
    {
        Description = "Matrices that get a delta, by the names that inspect shows; * stands for any characters. All if left out.",
        HelpName = "patterns",
        AllowMultipleArgumentsPerToken = true,
    }.Named();

    private readonly Option<string> _support = predicts
        ? Options.Word("--delta-support", "runs",
            "Places of a delta: runs of sixteen at random, runs where the gradients of the first batches are largest, or single places at random.",
            "runs", "gradient", "random")
        : Options.Word("--delta-support", "runs", "Places of a delta: runs of sixteen at random, or single places at random.", "runs", "random");
    private readonly Option<string> _with =
        Options.Word("--delta-with", "nothing", "What is trained beside a delta: biases of its matrices, LayerNorms, or both.",
            "nothing", "biases", "norms", "both");

    private readonly Option<string?> _apply = Options.File("--apply-delta", "delta",
        "Begin with this delta on the --model, of which it was saved, and train that instead of a new one.");

    private readonly Option<string?> _save = Options.File("--save-delta", "file",
        "Write the delta alone too: a small file, for --apply-delta of the verbs that use a model. Its model must stay.").Written();

    /// <summary>All of them, in the order of the help page.</summary>
    public IReadOnlyList<Option> All => [_delta, .. Details, _apply, _save];

    private Option[] Details => [_layers, _support, _with];

    /// <summary>Whether it would make a difference to give the option another value; null where it is none of these.</summary>
    public bool? HasEffect(Option option, ParseResult result) => Details.Contains(option) ? result.Given(_delta) : null;

    /// <summary>The delta to begin with; null for none.</summary>
    public string? Apply(ParseResult result) => result.GetValue(_apply);

    /// <summary>Where to write the delta alone; null for nowhere.</summary>
    public string? Save(ParseResult result) => result.GetValue(_save);

    /// <summary>Reads them; null without a new delta.</summary>
    public DeltaOptions? Read(ParseResult result, int seed)
    {
        if (result.GetValue(_delta) is not { } size) return null;
        string with = result.GetValue(_with)!;
        DeltaOptions options = new()
        {
            Support = Enum.Parse<DeltaSupport>(result.GetValue(_support)!, ignoreCase: true),
            Biases = with is "biases" or "both",
            LayerNorms = with is "norms" or "both",
            Seed = seed,
        };
        if (result.Given(_layers)) options = options with { Layers = result.GetValue(_layers)! };
        return size < 1 ? options with { Share = size } : options with { Coefficients = (int)size };
    }

    /// <summary>Whether a delta is trained.</summary>
    public bool Any(ParseResult result) => result.Given(_delta) || result.Given(_apply);

    /// <summary>Makes a delta; what is wrong with its settings is told by the names of these options.</summary>
    /// <exception cref="InvalidSettingException">A setting is refused.</exception>
    public static DeltaModel? InWords(Func<DeltaModel?> make)
    {
        try
        {
            return make();
        }
        catch (InvalidSettingException error) when (OptionOf(error.Setting) is { } option)
        {
            string[] parts = error.Message[(error.Setting.Length + 3)..].Split(": ", 2); // "setting = value: mend"
            throw new InvalidSettingException(option, parts[0], parts[1]
                .Replace("or switch alphas off", "or a model without --alphas", StringComparison.Ordinal)
                .Replace("leave the matrix out by name", "leave the matrix out by --delta-layers", StringComparison.Ordinal));
        }
    }

    private static string? OptionOf(string setting) => setting switch
    {
        "coefficients" or "delta" or nameof(DeltaOptions.Coefficients) or nameof(DeltaOptions.Share) => "--delta",
        "include" or nameof(DeltaOptions.Layers) => "--delta-layers",
        nameof(DeltaOptions.Support) => "--delta-support",
        _ => null,
    };

    /// <summary>Refuses what contradicts itself.</summary>
    /// <exception cref="UsageException">Options do.</exception>
    public void Check(ParseResult result, bool model, Option? format)
    {
        bool any = Any(result);
        if (!result.Given(_delta) && Details.FirstOrDefault(result.Given) is { } idle)
        {
            throw new UsageException($"{idle.Name} is for a --delta. Give one, or leave it out.");
        }

        if (result.Given(_save) && !any) throw new UsageException("--save-delta needs a delta. Give --delta or --apply-delta.");
        if (!any) return;
        string word = result.Given(_delta) ? _delta.Name : _apply.Name;
        if (result.Given(_delta) && result.Given(_apply))
        {
            throw new UsageException("--delta begins a new delta, and --apply-delta goes on with one. Leave out one of them.");
        }

        if (!model) throw new UsageException($"{word} is for a model that exists. Give one with --model.");
        if (format is not null)
        {
            throw new UsageException(
                $"{format.Name} stores the matrices anew, and {word} rides on them as they are. Leave it out: a model of --train-bits, or "
                    + "one that rbeml compress made, has such matrices.");
        }
    }
}
