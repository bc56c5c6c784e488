namespace RbeMl.Codec;

/// <summary>What checked <see cref="RbeOptions"/> come to for every tile.</summary>
/// <param name="Alphas">Whether tiles have alphas.</param>
/// <param name="Base">What the frozen base is coded as, or null.</param>
/// <param name="Runs">Runs of kept coefficients, or 0.</param>
/// <param name="RunLength">Their length.</param>
/// <param name="Rule">How they are chosen; null without any.</param>
/// <param name="ReservesBasisPlaces">Whether the places that are alphas under another name are left out.</param>
/// <param name="Literal">The seed record: alphas first, then the residual, no joint fit.</param>
/// <param name="Outliers">Exact coefficients of a tile of the base.</param>
internal sealed record FormatPlan(bool Alphas, FrozenFormat? Base, int Runs, int RunLength, SupportRule? Rule, bool ReservesBasisPlaces,
    bool Literal, int Outliers = 0)
{
    private const int FullRunLength = 16;

    /// <summary>Bits of a code of the base, or 0.</summary>
    public int Bits => Base?.Bits ?? 0;

    /// <summary>Scales of a tile of the base.</summary>
    public int ScalesOf(int tile) => Base?.ScalesOf(tile) ?? 0;

    /// <summary>Checks the options.</summary>
    /// <exception cref="InvalidSettingException">A setting is out of range or contradicts another.</exception>
    public static FormatPlan From(RbeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(options.Format);
        if (options.Tile is not (32 or 64 or 128)) throw new InvalidSettingException("tile", options.Tile, "use 32, 64 or 128.");
        if (!Enum.IsDefined(options.Transform))
        {
            throw new InvalidSettingException("transform", options.Transform, "use Dct, WalshHadamard, Haar, Cdf97 or None.");
        }

        return options.Format.Plan(options);
    }

    /// <summary>The plan of coefficients at chosen places, alone or on top of a frozen base.</summary>
    public static FormatPlan OfPlaces(RbeOptions options, SparseFormat format, FrozenFormat? frozen = null)
    {
        SupportRule rule = format.Support ?? throw new InvalidSettingException("support", null, "name a rule: TopK, Random, LowFrequency or Runs.");
        int length = RunLengthOf(rule), places = options.Tile * options.Tile;
        CheckCount(format.Coefficients, options.Tile);
        int runs = Math.Max(1, (int)Math.Round((double)format.Coefficients / length, MidpointRounding.AwayFromZero));
        if (runs * length == places) return new FormatPlan(false, frozen, places / FullRunLength, FullRunLength, rule, false, false);
        bool reserves = options.Alphas && options.Transform == TileTransform.Dct;
        int available = SupportSelector.AllowedStarts(options.Tile, length, reserves).Length;
        if (runs > available)
        {
            throw new InvalidSettingException(
                "coefficients", format.Coefficients,
                $"with alphas six places of a DCT tile are theirs: use at most {available * length}, or all {places}, or switch alphas off.");
        }

        return new FormatPlan(options.Alphas, frozen, runs, length, rule, reserves, false);
    }

    /// <summary>Checks a number of kept coefficients.</summary>
    public static void CheckCount(int coefficients, int tile)
    {
        if (coefficients < 1 || coefficients > tile * tile)
        {
            throw new InvalidSettingException("coefficients", coefficients, $"use 1 .. {tile * tile} for a tile of {tile}.");
        }
    }

    private static int RunLengthOf(SupportRule rule) => rule.Kind switch
    {
        SupportKind.Runs when rule.RunLength is 4 or 8 or 16 => rule.RunLength,
        SupportKind.Runs => throw new InvalidSettingException("run length", rule.RunLength, "use 4, 8 or 16."),
        SupportKind.TopK or SupportKind.Random or SupportKind.LowFrequency when rule.RunLength == 1 => 1,
        SupportKind.TopK or SupportKind.Random or SupportKind.LowFrequency =>
            throw new InvalidSettingException("run length", rule.RunLength, $"{rule.Kind} keeps single places: use 1, or Runs."),
        _ => throw new InvalidSettingException("support", rule.Kind, "use TopK, Random, LowFrequency or Runs."),
    };
}
