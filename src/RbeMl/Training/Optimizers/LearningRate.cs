namespace RbeMl.Training;

/// <summary>Linear warm-up, then a schedule down to a final fraction.</summary>
internal static class LearningRate
{
    // A run limited by time may have few steps: its warm-up ends with the twentieth part of the time at the latest.
    private const double TimedWarmup = 0.05;

    // A cycle's first step may come to a little less.
    private const double Rounding = 1e-9;

    /// <summary>The factor of the highest learning rate at a place in the run.</summary>
    /// <param name="options">Warm-up, schedule and final fraction.</param>
    /// <param name="step">Step about to be done, from 0.</param>
    /// <param name="progress">Fraction of the run that is done, 0 to 1: step / steps, or more when the run is limited by time.</param>
    /// <exception cref="InvalidSettingException">The progress is no number.</exception>
    public static double Factor(TrainerOptions options, int step, double progress)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (double.IsNaN(progress)) throw new InvalidSettingException(nameof(progress), progress, "use the fraction of the run that is done, 0 to 1.");
        double start = options.Steps == int.MaxValue ? TimedWarmup : Math.Min(1, options.WarmupSteps / (double)options.Steps);
        if (step < options.WarmupSteps && progress < start) return Math.Max((step + 1.0) / (options.WarmupSteps + 1.0), progress / start);
        double done = start >= 1 ? 1 : Math.Clamp((progress - start) / (1 - start), 0, 1);
        if (options.Cycles > 1 && done < 1) done = ((done * options.Cycles) + Rounding) % 1;
        double shape = options.Schedule switch
        {
            RateSchedule.Cosine => 0.5 * (1 + Math.Cos(Math.PI * done)),
            RateSchedule.Linear => 1 - done,
            _ => 1,
        };
        return options.FinalFraction + ((1 - options.FinalFraction) * shape);
    }
}
