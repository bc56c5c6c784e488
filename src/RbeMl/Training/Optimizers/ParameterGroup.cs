using System.Globalization;
using RbeMl.Codec;
using RbeMl.Compression;
using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>
/// What a training does differently with the parameters of some names, such as <c>blocks.0.*</c>, <c>*.bias</c> or
/// <c>blocks.3.attention.query.coefficients</c>; a setting that is null stays what it is. Names are those of the model's
/// <see cref="ParameterVector{T}.Slices"/>.
/// </summary>
/// <param name="Pattern">Their names; <c>*</c> stands for any characters, <c>?</c> for one.</param>
public sealed record ParameterGroup(string Pattern)
{
    /// <summary>Factor of the learning rate that they would have.</summary>
    public double? RateFactor { get; init; }

    /// <summary>Weight decay, in place of the one that they would have.</summary>
    public double? WeightDecay { get; init; }

    /// <summary>
    /// Whether they stay as they are: no gradient is computed of them, they do not count in its norm, and take no memory in gradients and
    /// the optimiser's vectors.
    /// </summary>
    public bool? Frozen { get; init; }

    /// <summary>Bits that matrices are trained at, 2 to 8, in place of <see cref="TrainerOptions.TrainBits"/>; for trainings at few bits alone.</summary>
    public int? TrainBits { get; init; }

    /// <summary>Bits that a slice is trained at, given those that it would have without groups.</summary>
    internal static int BitsOf(IReadOnlyList<ParameterGroup> groups, ParameterSlice slice, int plain) =>
        groups.LastOrDefault(group => group.TrainBits is not null && group.Matches(slice))?.TrainBits ?? plain;

    /// <summary>Whether a slice is trained.</summary>
    internal static bool Trains(IReadOnlyList<ParameterGroup> groups, ParameterSlice slice) =>
        groups.LastOrDefault(group => group.Frozen is not null && group.Matches(slice))?.Frozen is not true;

    /// <summary>Rate and decay of a slice, given those that it would have without groups.</summary>
    internal static (double Rate, double Decay) Apply(IReadOnlyList<ParameterGroup> groups, ParameterSlice slice, (double Rate, double Decay) plain)
    {
        double factor = 1, decay = plain.Decay;
        foreach (ParameterGroup group in groups)
        {
            if (!group.Matches(slice)) continue;
            factor = group.RateFactor ?? factor;
            decay = group.WeightDecay ?? decay;
        }

        return (plain.Rate * factor, decay);
    }

    /// <summary>Fails where a group fits no parameter, as one that is mistyped does, or where nothing is trained.</summary>
    /// <exception cref="InvalidSettingException">So it is.</exception>
    internal static void Require(IReadOnlyList<ParameterGroup> groups, IReadOnlyList<ParameterSlice> slices)
    {
        if (groups.Count == 0) return;
        if (groups.FirstOrDefault(group => !slices.Any(group.Matches)) is { } idle)
        {
            throw new InvalidSettingException("parameter group", $"\"{idle.Pattern}\"",
                $"it matches none of the {Amount.Of(slices.Count, "parameter")} ({string.Join(", ", slices.Take(4).Select(slice => slice.Name))}, "
                    + "...). Correct it; * stands for any characters.");
        }

        if (groups.FirstOrDefault(group => group.TrainBits is not null && !slices.Any(slice => slice.Matrix is not null && group.Matches(slice))) is { } few)
        {
            throw new InvalidSettingException("parameter group", $"\"{few.Pattern}\"",
                "it gives bits, and no matrix has such a name; those end in .coefficients. Correct it, or leave the bits out.");
        }

        if (slices.Any(slice => Trains(groups, slice))) return;
        throw new InvalidSettingException("parameter groups", Describe(groups),
            "they freeze every parameter, and nothing is left to train. Leave some out.");
    }

    /// <summary>Checks every value.</summary>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    internal void Validate()
    {
        if (string.IsNullOrEmpty(Pattern)) throw new InvalidSettingException(nameof(Pattern), "\"\"", "give names of parameters, such as *.bias.");
        if (RateFactor is not (null or (> 0 and <= 1e6)))
        {
            throw new InvalidSettingException(nameof(RateFactor), RateFactor, "use a positive factor, leave it out, or set Frozen.");
        }

        if (WeightDecay is not (null or (>= 0 and < 10)))
        {
            throw new InvalidSettingException(nameof(WeightDecay), WeightDecay, "use 0 or a small positive number such as 0.1, or leave it out.");
        }

        if (TrainBits is < QuantizedTiles.LeastBits or > 8)
        {
            throw new InvalidSettingException(nameof(TrainBits), TrainBits, "use 2 to 8 bits, or leave it out.");
        }
    }

    /// <summary>Groups in words; empty for none.</summary>
    internal static string Describe(IReadOnlyList<ParameterGroup> groups) => string.Join("; ", groups.Select(group => group.Describe()));

    private string Describe() => string.Create(CultureInfo.InvariantCulture,
        $"{Pattern}{(RateFactor is null ? "" : " rate x ")}{RateFactor}{(WeightDecay is null ? "" : " decay ")}{WeightDecay}"
            + $"{(TrainBits is null ? "" : " bits ")}{TrainBits}")
        + Frozen switch { true => " frozen", false => " trained", _ => "" };

    private bool Matches(ParameterSlice slice) => NamePatterns.Matches(Pattern, slice.Name);
}
