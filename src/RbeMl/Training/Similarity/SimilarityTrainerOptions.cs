using RbeMl.Models;

namespace RbeMl.Training;

/// <summary>Settings of a training of similarities. Examples are pairs, and <see cref="SequenceTrainerOptions.BatchSize"/> counts them.</summary>
public sealed record SimilarityTrainerOptions : SequenceTrainerOptions
{
    /// <summary>What is made smaller.</summary>
    public SimilarityLoss Loss { get; init; }

    /// <summary>What cosines are divided by in the contrastive loss, above 0: the smaller, the more the nearest wrong texts count.</summary>
    public double Temperature { get; init; } = 0.1;

    /// <summary>How a text's tokens become one row: as the model's embeddings are pooled.</summary>
    public Pooling Pooling { get; init; }

    /// <summary>Checks every value.</summary>
    /// <returns>These options.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public SimilarityTrainerOptions Validate()
    {
        CheckShared();
        Require(Enum.IsDefined(Loss), nameof(Loss), Loss, $"use one of {string.Join(", ", Enum.GetNames<SimilarityLoss>())}.");
        Require(Temperature is >= 1e-3 and <= 1e3, nameof(Temperature), Temperature, "use a number from 0.001 to 1000, such as 0.1.");
        Require(Enum.IsDefined(Pooling), nameof(Pooling), Pooling, $"use one of {string.Join(", ", Enum.GetNames<Pooling>())}.");
        Require(Trained != TrainedParts.Head, nameof(Trained), Trained, "a similarity has no head: train blocks, coefficients, biases or all.");
        return this;
    }
}

/// <summary>What a run reports after each step.</summary>
/// <param name="Epoch">Epoch under way, from 1.</param>
/// <param name="Epochs">Epochs in all.</param>
/// <param name="Step">Optimiser steps done.</param>
/// <param name="Steps">Optimiser steps in all.</param>
/// <param name="Loss">Mean loss of the step's batch.</param>
/// <param name="LearningRate">Learning rate used.</param>
/// <param name="GradientNorm">Global norm before clipping.</param>
/// <param name="PairsPerSecond">Pairs trained a second, of this step.</param>
/// <param name="ResidentBytes">Resident memory of the process, read at most once a second.</param>
/// <param name="Pairs">Pairs of the step: the weight of its loss in a mean over steps.</param>
public readonly record struct SimilarityProgress(
    int Epoch, int Epochs, int Step, int Steps, double Loss, double LearningRate, double GradientNorm, double PairsPerSecond, long ResidentBytes, int Pairs);

/// <summary>How a run ended.</summary>
/// <param name="Steps">Optimiser steps done.</param>
/// <param name="Epochs">Whole epochs done.</param>
/// <param name="Loss">Mean loss over the pairs of the last whole epoch; NaN before the first ended.</param>
/// <param name="Cancelled">Whether it was cancelled.</param>
public sealed record SimilarityResult(int Steps, int Epochs, double Loss, bool Cancelled);
