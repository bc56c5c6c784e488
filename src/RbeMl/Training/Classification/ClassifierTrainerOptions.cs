namespace RbeMl.Training;

/// <summary>A tokenized text and its class.</summary>
/// <param name="Tokens">Ids, at least 1.</param>
/// <param name="Label">Class, from 0.</param>
public readonly record struct ClassifierExample(int[] Tokens, int Label);

/// <summary>Settings of a classifier's training.</summary>
public sealed record ClassifierTrainerOptions : SequenceTrainerOptions
{
    /// <summary>Highest learning rate of the head; null takes <see cref="SequenceTrainerOptions.LearningRate"/>.</summary>
    public double? HeadLearningRate { get; init; }

    /// <summary>
    /// Batches of a step, at least 1: its loss is the mean over the examples of all of them, and the last step of an epoch may have fewer. Their gradients
    /// are added by a fixed binary tree, so that ranks can share them.
    /// </summary>
    public int Accumulate { get; init; } = 1;

    /// <summary>
    /// Share of the examples, of each class, that is held out for validation when none are given, 0 up to but not 1; 0 holds out none, else it is at least
    /// one. Every class keeps one example to train on.
    /// </summary>
    public double ValidationFraction { get; init; }

    /// <summary>
    /// Epochs without a lower validation loss after which the run ends; the weights are then those of the best epoch, as they are when all epochs were done.
    /// 0 does all epochs and keeps the last weights.
    /// </summary>
    public int Patience { get; init; }

    /// <summary>
    /// Mean training loss of an epoch, in nats, at or below which the run ends: what is learnt by then is known, and further steps follow noise alone.
    /// 0 does all epochs.
    /// </summary>
    public double LossFloor { get; init; }

    /// <summary>Checks every value.</summary>
    /// <returns>These options.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public ClassifierTrainerOptions Validate()
    {
        CheckShared();
        Require(HeadLearningRate is null or (> 0 and <= 1e6), nameof(HeadLearningRate), HeadLearningRate, "use a positive number, or leave it out.");
        Require(Accumulate is >= 1 and <= 65536, nameof(Accumulate), Accumulate, "use at least 1 batch.");
        Require(ValidationFraction is >= 0 and < 1, nameof(ValidationFraction), ValidationFraction, "use a fraction from 0 up to, but not, 1.");
        Require(Patience >= 0, nameof(Patience), Patience, "use 0 for no early stopping, or a number of epochs.");
        Require(LossFloor is >= 0 and <= 1e6, nameof(LossFloor), LossFloor, "use 0 to do all epochs, or a small loss such as 0.03.");
        return this;
    }
}

/// <summary>What a run reports after each step.</summary>
/// <param name="Epoch">Epoch under way, from 1.</param>
/// <param name="Epochs">Epochs in all.</param>
/// <param name="Step">Optimiser steps done.</param>
/// <param name="Steps">Optimiser steps in all.</param>
/// <param name="Loss">Mean loss of the step's examples, nats an example.</param>
/// <param name="LearningRate">Learning rate used.</param>
/// <param name="GradientNorm">Global norm before clipping.</param>
/// <param name="ExamplesPerSecond">Examples trained a second, of this step.</param>
/// <param name="ResidentBytes">Resident memory of the process, read at most once a second.</param>
/// <param name="Examples">Examples of the step: the weight of its loss in a mean over steps.</param>
/// <param name="ValidationLoss">Mean validation loss in nats, after the last step of an epoch.</param>
/// <param name="ValidationAccuracy">Share of the validation examples whose likeliest class is the label, after the last step of an epoch.</param>
public readonly record struct ClassifierProgress(
    int Epoch, int Epochs, int Step, int Steps, double Loss, double LearningRate, double GradientNorm, double ExamplesPerSecond,
    long ResidentBytes, int Examples,
    double? ValidationLoss = null, double? ValidationAccuracy = null);

/// <summary>How a run ended.</summary>
/// <param name="Steps">Optimiser steps done.</param>
/// <param name="Epochs">Whole epochs done.</param>
/// <param name="BestEpoch">The epoch whose weights the classifier has, from 1; 0 for those of the last step done.</param>
/// <param name="ValidationLoss">Validation loss of those weights; null without one.</param>
/// <param name="ValidationAccuracy">Validation accuracy of those weights; null without one.</param>
/// <param name="StoppedEarly">Whether patience ran out, or the loss came to the floor, before all epochs were done.</param>
/// <param name="Cancelled">Whether it was cancelled.</param>
public sealed record ClassifierResult(int Steps, int Epochs, int BestEpoch, double? ValidationLoss, double? ValidationAccuracy,
    bool StoppedEarly, bool Cancelled);
