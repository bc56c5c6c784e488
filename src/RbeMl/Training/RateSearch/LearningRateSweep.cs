namespace RbeMl.Training;

/// <summary>A step of a <see cref="LearningRateFinder"/>.</summary>
/// <param name="LearningRate">Its rate.</param>
/// <param name="Loss">Mean loss over its predicted tokens before it changed the weights, nats.</param>
/// <param name="Smoothed">Exponential mean of the losses up to it, with a horizon of a tenth of the steps.</param>
public readonly record struct LearningRatePoint(double LearningRate, double Loss, double Smoothed);

/// <summary>What a <see cref="LearningRateFinder"/> found.</summary>
/// <param name="Points">The steps, in the order of their rates.</param>
/// <param name="Suggested">The rate at which the smoothed loss fell fastest, to two digits: a highest rate to train at. Null where it hardly
/// fell at any.</param>
/// <param name="Diverged">Whether the loss ran away and ended the steps: it rose above its lowest by more than it had fallen and 1 nat, or
/// was no number.</param>
public sealed record LearningRateSweep(IReadOnlyList<LearningRatePoint> Points, double? Suggested, bool Diverged)
{
    /// <summary>The step with the lowest smoothed loss.</summary>
    public LearningRatePoint Lowest => Points.MinBy(point => point.Smoothed);
}
