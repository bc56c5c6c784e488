using System.CommandLine;
using System.Globalization;
using RbeMl.Codec;

namespace RbeMl.Cli;

/// <summary>The options that say how a matrix is stored; the verbs offer different words and defaults of them.</summary>
internal sealed class CompressionOptions
{
    private const int DefaultCoefficients = 300;
    private static readonly string[] TransformWords = ["dct", "hadamard", "haar", "cdf97", "none"];

    private CompressionOptions()
    {
    }

    /// <summary><c>--preset</c>.</summary>
    public required Option<string?> Preset { get; init; }

    /// <summary><c>--format</c>.</summary>
    public required Option<string> Format { get; init; }

    /// <summary><c>--support</c>.</summary>
    public required Option<string> Support { get; init; }

    /// <summary><c>--bits</c>.</summary>
    public required Option<int> Bits { get; init; }

    /// <summary><c>--outliers</c>.</summary>
    public Option<int?> Outliers { get; } =
        Options.OptionalWhole("--outliers", 0,
            $"Largest coefficients a tile of --format {FormatWords.FrozenWords} that are kept exactly; "
            + $"{string.Join(", ", FormatWords.Frozen.Select(format => $"{format.Name} {format.StandardOutliers}"))} unless given.",
            FrozenFormat.MostOutliers);

    /// <summary><c>--coefficients</c>.</summary>
    public required Option<int?> Coefficients { get; init; }

    /// <summary><c>--tile</c>.</summary>
    public Option<string> Tile { get; } = Options.Word("--tile", "64", "Tile edge.", "32", "64", "128");

    /// <summary><c>--transform</c>.</summary>
    public required Option<string> Transform { get; init; }

    /// <summary>All of them, in the order of the help page.</summary>
    public Option[] All => [Preset, Format, Support, Bits, Outliers, Coefficients, Tile, Transform];

    /// <summary>As <c>finetune</c> has them: coefficients are there to be trained.</summary>
    public static CompressionOptions ForTraining() => new()
    {
        Preset = PresetOption("Instead of --format and --bits, with trainable coefficients on top"),
        Format = Options.Word("--format", "sparse",
            $"How weights are stored: a few trainable coefficients a tile, or all at --bits ({FormatWords.Uses(FormatWords.Frozen)}) "
            + "with that many trainable ones on top. With --model: compress its weights anew this way.",
            ["sparse", .. FormatWords.Frozen.Select(format => format.Name)]),
        Support = Options.Word("--support", "runs16", "Which coefficients are kept; topk needs the weights of a --model.", "topk", "random",
            "lowfrequency", "runs4", "runs8", "runs16"),
        Bits = BitsOption(4),
        Coefficients = Options.OptionalWhole("--coefficients", 1, $"Trainable coefficients a tile; {DefaultCoefficients} unless given.", 128 * 128),
        Transform = Options.Word("--transform", "dct", "Transform of a tile.", TransformWords),
    };

    /// <summary>As <c>compress</c> has them.</summary>
    public static CompressionOptions ForWeights() => new()
    {
        Preset = PresetOption("Instead of --format and --bits; a model's --embeddings are quantised to as many bits"),
        Format = Options.Word("--format", "quantized",
            $"How weights are stored: all coefficients at --bits ({FormatWords.Uses(FormatWords.Frozen)}), a few of them "
            + $"({FormatWords.Uses(FormatWords.Offered.Except(FormatWords.Frozen))}), or each matrix as measured to be best (auto, with "
            + "--target-bits or --target-error).", [.. FormatWords.Offered.Select(format => format.Name), "auto"]),
        Support = Options.Word("--support", "topk",
            $"Which coefficients are kept by --format sparse, or by --coefficients on top of {FormatWords.FrozenWords}.", "topk", "random",
            "lowfrequency", "runs4", "runs8", "runs16"),
        Bits = BitsOption(6),
        Coefficients = Options.OptionalWhole("--coefficients", 1,
            $"Coefficients a tile: of --format sparse or seed {DefaultCoefficients} unless given; of {FormatWords.FrozenWords} trainable ones "
            + $"on top, none unless given.", 128 * 128),
        Transform = Options.Word("--transform", "dct",
            "Transform of a tile; auto measures which leaves least error (for each block of a model, each matrix of a file).", [.. TransformWords, "auto"]),
    };

    /// <summary>Refuses options that do not go together.</summary>
    /// <exception cref="UsageException">They do not.</exception>
    public void Check(ParseResult result)
    {
        if (PresetOf(result) is { } preset)
        {
            Option? other = ((Option[])[Format, Bits, Outliers]).FirstOrDefault(result.Given);
            if (other is not null) throw new UsageException($"--preset {preset.Name} settles {other.Name} too. Leave out one of them.");
        }

        string format = FormatOf(result);
        int bits = BitsOf(result), coefficients = CoefficientsOf(result), tile = TileOf(result);
        Option? frozen = result.Given(Bits) ? Bits : result.Given(Outliers) ? Outliers : null;
        Option? placed =
            format switch
            {
                "seed" when result.Given(Support) => Support,
                "auto" when result.Given(Support) => Support,
                "auto" when result.Given(Coefficients) => Coefficients,
                _ => null
            };
        if (format is "auto" && frozen is not null)
        {
            throw new UsageException($"{frozen.Name} is for --format {FormatWords.FrozenWords}; auto chooses for a size, --target-bits, or an "
                + $"error, --target-error. Leave out {frozen.Name}.");
        }

        if (format is "sparse" or "seed" && frozen is not null)
        {
            throw new UsageException($"{frozen.Name} is for --format {FormatWords.FrozenWords}. Add one, or leave out {frozen.Name}.");
        }

        if (placed is not null) throw new UsageException($"{placed.Name} is not for --format {format}. Leave out one of them.");
        if (FormatWords.Refusal(FormatWords.FrozenOf(format), bits) is { } refusal) throw new UsageException($"--bits {bits}: --format {refusal}");
        if (coefficients > tile * tile) throw new UsageException($"--coefficients {coefficients}: a tile of {tile} has {tile * tile}.");
    }

    /// <summary>The tile edge.</summary>
    public int TileOf(ParseResult result) => int.Parse(result.GetValue(Tile)!, CultureInfo.InvariantCulture);

    /// <summary>The format of frozen codes that is asked for, or null.</summary>
    public FrozenFormat? FrozenOf(ParseResult result) => FormatWords.FrozenOf(FormatOf(result));

    /// <summary>The preset that is asked for, or null.</summary>
    public Preset? PresetOf(ParseResult result) => Cli.Preset.Of(result.GetValue(Preset));

    /// <summary>The word of the format that is asked for, be it by a preset.</summary>
    public string FormatOf(ParseResult result) => PresetOf(result)?.Format.Name ?? result.GetValue(Format)!;

    /// <summary>The bits that are asked for, be it by a preset.</summary>
    public int BitsOf(ParseResult result) => PresetOf(result)?.Format.Bits ?? result.GetValue(Bits);

    private static Option<string?> PresetOption(string instead) =>
        Options.OptionalWord("--preset", $"{instead}. {Cli.Preset.Help}.", [.. Cli.Preset.All.Select(preset => preset.Name)]);

    private static Option<int> BitsOption(int value) => Options.Whole("--bits", value, FormatWords.LeastBits,
        $"Bits a coefficient of --format {FormatWords.BitWords}.", FormatWords.MostBits);

    private int CoefficientsOf(ParseResult result) => result.GetValue(Coefficients) ?? DefaultCoefficients;

    /// <summary>What an option of <see cref="ForTraining"/> comes to, given or not; null where it has no effect on the format.</summary>
    /// <param name="option">One of <see cref="All"/>.</param>
    /// <param name="result">The command line.</param>
    public string? Effect(Option option, ParseResult result)
    {
        if (option == Preset) return result.GetValue(Preset);
        if (option == Format) return FormatOf(result);
        if (option is Option<string> word) return result.GetValue(word);
        if (option == Coefficients) return CoefficientsOf(result).ToString(CultureInfo.InvariantCulture);
        if (FrozenOf(result) is null) return null;
        return (option == Bits ? BitsOf(result) : OutliersOf(result)).ToString(CultureInfo.InvariantCulture);
    }

    private int OutliersOf(ParseResult result) => result.GetValue(Outliers) ?? FrozenOf(result)?.StandardOutliers ?? 0;

    /// <summary>Reads the options.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="seed">Seed of random places.</param>
    /// <param name="delta">Whether a frozen base has trainable coefficients on top.</param>
    public RbeOptions Read(ParseResult result, int seed, bool delta)
    {
        SupportRule support = result.GetValue(Support) switch
        {
            "topk" => SupportRule.TopK,
            "random" => SupportRule.Random(seed),
            "lowfrequency" => SupportRule.LowFrequency,
            "runs4" => SupportRule.Runs(4, seed),
            "runs8" => SupportRule.Runs(8, seed),
            _ => SupportRule.Runs(16, seed),
        };
        SparseFormat sparse = RbeFormat.Sparse(CoefficientsOf(result), support);
        return new RbeOptions
        {
            Tile = TileOf(result),
            Transform = result.GetValue(Transform) switch
            {
                "hadamard" => TileTransform.WalshHadamard,
                "haar" => TileTransform.Haar,
                "cdf97" => TileTransform.Cdf97,
                "none" => TileTransform.None,
                _ => TileTransform.Dct,
            },
            Format = FrozenOf(result) is { } frozen
                ? frozen with { Bits = BitsOf(result), Outliers = OutliersOf(result), Delta = delta ? sparse : null }
                : FormatOf(result) == "seed" ? RbeFormat.Seed(CoefficientsOf(result)) : sparse,
        };
    }
}
