namespace RbeMl.Training;

/// <summary>Where the coefficients of a delta lie.</summary>
public enum DeltaSupport
{
    /// <summary>Runs of sixteen, at random from a seed: the fastest.</summary>
    Runs,

    /// <summary>Runs of sixteen where the squares of the gradients of some batches of the training data add up to most.</summary>
    Gradient,

    /// <summary>Single places, at random from a seed.</summary>
    Random,
}

/// <summary>Which trainable values a model is given on top of its frozen weights, see <see cref="DeltaModel"/>.</summary>
public sealed record DeltaOptions
{
    internal const int RunLength = 16;

    /// <summary>Share of a tile's coefficients that the delta has, above 0 and at most 1; rounded to whole runs, at least one.</summary>
    public double Share { get; init; } = 0.02;

    /// <summary>Coefficients of a tile K, in place of <see cref="Share"/>; rounded to whole runs.</summary>
    public int? Coefficients { get; init; }

    /// <summary>
    /// Names of the blocks' matrices that get a delta, such as <c>blocks.0.*</c> or <c>*.attention.*</c>; <c>*</c> stands for any characters.
    /// </summary>
    public IReadOnlyList<string> Layers { get; init => field = Items.Checked(value, nameof(Layers)); } = ["*"];

    /// <summary>Where its coefficients lie.</summary>
    public DeltaSupport Support { get; init; }

    /// <summary>Batches whose gradients choose the places of <see cref="DeltaSupport.Gradient"/>.</summary>
    public int CalibrationSteps { get; init; } = 8;

    /// <summary>Whether the biases of these matrices are trained too.</summary>
    public bool Biases { get; init; }

    /// <summary>Whether all LayerNorms are trained too.</summary>
    public bool LayerNorms { get; init; }

    /// <summary>Seed of places at random.</summary>
    public int Seed { get; init; }

    /// <summary>Checks every value.</summary>
    /// <returns>These options.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public DeltaOptions Validate()
    {
        if (Share is not (> 0 and <= 1)) throw new InvalidSettingException(nameof(Share), Share, "use a share above 0 and at most 1, such as 0.02.");
        if (Coefficients is < 1)
        {
            throw new InvalidSettingException(nameof(Coefficients), Coefficients, "use at least 1 coefficient a tile, or leave it out.");
        }

        if (Layers.Count == 0) throw new InvalidSettingException(nameof(Layers), "none", "give at least one name or pattern, such as *.");
        if (CalibrationSteps < 1) throw new InvalidSettingException(nameof(CalibrationSteps), CalibrationSteps, "use at least 1 batch.");
        if (Enum.IsDefined(Support)) return this;
        throw new InvalidSettingException(nameof(Support), Support, $"use one of {string.Join(", ", Enum.GetNames<DeltaSupport>())}.");
    }

    /// <summary>Coefficients of a tile, in whole runs.</summary>
    /// <param name="tile">B.</param>
    internal int CoefficientsOf(int tile)
    {
        int run = Support == DeltaSupport.Random ? 1 : RunLength;
        double asked = Coefficients ?? (Share * tile * tile);
        return (int)Math.Max(run, Math.Round(Math.Min(asked, int.MaxValue / 2) / run, MidpointRounding.AwayFromZero) * run);
    }
}
