namespace RbeMl.Codec;

/// <summary>What checked <see cref="RbeOptions"/> come to for every tile.</summary>
/// <param name="Alphas">Whether tiles have alphas.</param>
/// <param name="Bits">Bits of the frozen base, or 0.</param>
/// <param name="Runs">Runs of kept coefficients, or 0.</param>
/// <param name="RunLength">Their length.</param>
/// <param name="Rule">How they are chosen; null without any.</param>
/// <param name="ReservesBasisPlaces">Whether the places that are alphas under another name are left out.</param>
/// <param name="Literal">The seed record: alphas first, then the residual, no joint fit.</param>
/// <param name="Trellis">Whether the base is trellis-coded.</param>
/// <param name="Outliers">Exact coefficients of a tile of the base.</param>
internal sealed record FormatPlan(bool Alphas, int Bits, int Runs, int RunLength, SupportRule? Rule, bool ReservesBasisPlaces, bool Literal,
    bool Trellis = false, int Outliers = 0)
{
    private const int FullRunLength = 16;

    /// <summary>Scales of a tile of the base.</summary>
    public int ScalesOf(int tile) => Bits == 0 ? 0 : Trellis ? 1 : tile * tile / QuantizedFormat.GroupSize;

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

        switch (options.Format)
        {
            case SparseFormat sparse:
                return Sparse(options, sparse, bits: 0);
            case QuantizedFormat quantized:
                if (quantized.Bits is < 3 or > 8) throw new InvalidSettingException("bits", quantized.Bits, "use 3 .. 8.");
                return Frozen(options, quantized.Bits, quantized.Delta, trellis: false, quantized.Outliers);
            case TrellisFormat trellis:
                if (trellis.Bits is not (>= TrellisCodebook.LeastBits and <= TrellisCodebook.MostBits or 8))
                {
                    throw new InvalidSettingException("bits", trellis.Bits, "use 2 .. 6 or 8.");
                }

                return Frozen(options, trellis.Bits, trellis.Delta, trellis: trellis.Bits != 8, trellis.Outliers);
            case SeedFormat seed:
                CheckCount(seed.Coefficients, options.Tile);
                return new FormatPlan(true, 0, seed.Coefficients, 1, SupportRule.TopK, false, true);
            default:
                throw new InvalidSettingException("format", options.Format, "use Sparse, Quantized, Trellis or Seed.");
        }
    }

    private static FormatPlan Frozen(RbeOptions options, int bits, SparseFormat? delta, bool trellis, int outliers)
    {
        if (outliers is < 0 or > TrellisFormat.MostOutliers) throw new InvalidSettingException("outliers", outliers, $"use 0 .. {TrellisFormat.MostOutliers}.");
        FormatPlan plan = delta is null ? new FormatPlan(options.Alphas, bits, 0, 1, null, false, false) : Sparse(options, delta, bits);
        return plan with { Trellis = trellis, Outliers = outliers };
    }

    private static FormatPlan Sparse(RbeOptions options, SparseFormat format, int bits)
    {
        SupportRule rule = format.Support ?? throw new InvalidSettingException("support", null, "name a rule: TopK, Random, LowFrequency or Runs.");
        int length = RunLengthOf(rule), places = options.Tile * options.Tile;
        CheckCount(format.Coefficients, options.Tile);
        int runs = Math.Max(1, (int)Math.Round((double)format.Coefficients / length, MidpointRounding.AwayFromZero));
        if (runs * length == places) return new FormatPlan(false, bits, places / FullRunLength, FullRunLength, rule, false, false);
        bool reserves = options.Alphas && options.Transform == TileTransform.Dct;
        int available = SupportSelector.AllowedStarts(options.Tile, length, reserves).Length;
        if (runs > available)
        {
            throw new InvalidSettingException(
                "coefficients", format.Coefficients,
                $"with alphas six places of a DCT tile are theirs: use at most {available * length}, or all {places}, or switch alphas off.");
        }

        return new FormatPlan(options.Alphas, bits, runs, length, rule, reserves, false);
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

    private static void CheckCount(int coefficients, int tile)
    {
        if (coefficients < 1 || coefficients > tile * tile)
        {
            throw new InvalidSettingException("coefficients", coefficients, $"use 1 .. {tile * tile} for a tile of {tile}.");
        }
    }
}
