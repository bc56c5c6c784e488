namespace RbeMl.Training;

/// <summary>How <see cref="LearningRateFinder"/> looks.</summary>
public sealed record LearningRateFinderOptions
{
    internal const int LeastSteps = 10;

    /// <summary>Steps, at least 10; fewer where the loss runs away before.</summary>
    public int Steps { get; init; } = 100;

    /// <summary>The rate of the first step; null for a millionth with AdamW, and for another optimiser what corresponds to it.</summary>
    public double? Lowest { get; init; }

    /// <summary>The rate of the last step; null for 1 with AdamW, and for another optimiser what corresponds to it.</summary>
    public double? Highest { get; init; }

    /// <summary>Steps and rates for an optimiser.</summary>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    internal (int Steps, double Lowest, double Highest) For(OptimizerOptions optimizer)
    {
        double lowest = Lowest ?? optimizer.RateFor(1e-6), highest = Highest ?? optimizer.RateFor(1);
        if (Steps < LeastSteps) throw new InvalidSettingException(nameof(Steps), Steps, $"use at least {LeastSteps} steps.");
        if (lowest is not (> 0 and <= 1e6)) throw new InvalidSettingException(nameof(Lowest), lowest, "use a positive number such as 1e-6.");
        if (highest is not <= 1e6 || !(highest > lowest))
        {
            throw new InvalidSettingException(nameof(Highest), highest, $"use a number above the lowest rate, {lowest}, such as 1.");
        }

        return (Steps, lowest, highest);
    }
}
