namespace RbeMl.Training;

/// <summary>How a pretrained model learns classes from few texts.</summary>
public enum FewLabelMethod
{
    /// <summary>The model stays as it is; a linear head is fitted to its embeddings. Seconds, and hard to over-fit.</summary>
    Frozen,

    /// <summary>The head is fitted first, and held back; then blocks and head are trained together until the texts are learnt.</summary>
    FineTuned,

    /// <summary>Blocks are trained until texts of one label are alike and of two are not; then the head is fitted.</summary>
    Contrastive,
}

/// <summary>
/// Settings of a training on few labels. What is not given follows from the number of texts: no text is kept back to stop early by, as each is worth more
/// to learn from. The head's penalty is chosen by cross-validation on the embeddings as they were before any training, which costs milliseconds; epochs
/// are fixed, fewer over more texts, and fine-tuning ends before them when the texts are learnt (<see cref="ClassifierTrainerOptions.LossFloor"/>).
/// </summary>
public sealed record FewLabelOptions
{
    /// <summary>How.</summary>
    public FewLabelMethod Method { get; init; } = FewLabelMethod.FineTuned;

    /// <summary>The stage that trains blocks and head; null takes <see cref="DefaultFineTuning"/>.</summary>
    public ClassifierTrainerOptions? FineTuning { get; init; }

    /// <summary>The stage that brings texts of one label together, pooled as the classifier does; null takes <see cref="DefaultContrastive"/>.</summary>
    public SimilarityTrainerOptions? Contrastive { get; init; }

    /// <summary>Seed of everything random; it goes before the seeds of the stages.</summary>
    public ulong Seed { get; init; } = 1337;

    /// <summary>Settings of the fine-tuning of an encoder on so many texts.</summary>
    /// <param name="examples">Texts.</param>
    public static ClassifierTrainerOptions DefaultFineTuning(int examples) => new()
    {
        Trained = TrainedParts.Blocks,
        BatchSize = 16,
        Epochs = Epochs(examples, 16, 120, 2, 20),
        LearningRate = 2e-4,
        WeightDecay = 0,
        LossFloor = 0.03,
    };

    /// <summary>
    /// Settings of the contrastive stage of an encoder on so many texts. Cosines of 1 within a label and 0 across can be met, and there gradients end;
    /// <see cref="SimilarityLoss.Contrastive"/> goes on pushing labels apart when they are learnt, and so loses what the model knew of other texts.
    /// </summary>
    /// <param name="examples">Texts; an epoch has two pairs of each, with one of its label and with one of another.</param>
    public static SimilarityTrainerOptions DefaultContrastive(int examples) => new()
    {
        Loss = SimilarityLoss.Cosine,
        Trained = TrainedParts.Blocks,
        BatchSize = 16,
        Epochs = Epochs(2L * examples, 16, 20, 1, 10),
        LearningRate = 2e-4,
        WeightDecay = 0,
    };

    /// <summary>Checks every value.</summary>
    /// <returns>These options.</returns>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public FewLabelOptions Validate()
    {
        if (!Enum.IsDefined(Method))
        {
            throw new InvalidSettingException(nameof(Method), Method, $"use one of {string.Join(", ", Enum.GetNames<FewLabelMethod>())}.");
        }

        FineTuning?.Validate();
        Contrastive?.Validate();
        return this;
    }

    // Passes of about so many steps.
    private static int Epochs(long examples, int batch, int steps, int least, int most) =>
        Math.Clamp((int)Math.Round(steps / Math.Ceiling(Math.Max(1, examples) / (double)batch)), least, most);
}

/// <summary>What a training on few labels is doing.</summary>
public enum FewLabelStage
{
    /// <summary>Texts of one label are brought together.</summary>
    Contrast,

    /// <summary>The head is fitted.</summary>
    Head,

    /// <summary>Blocks and head are trained together.</summary>
    FineTuning,
}

/// <summary>What a training on few labels reports after each step.</summary>
/// <param name="Stage">The stage.</param>
/// <param name="StepsPerEpoch">Steps of an epoch of the stage.</param>
/// <param name="Report">The step. Of the contrastive stage the examples are pairs and the loss is theirs; of the head the loss is the cross-validated
/// one, NaN without.</param>
public readonly record struct FewLabelProgress(FewLabelStage Stage, int StepsPerEpoch, ClassifierProgress Report);

/// <summary>How a training on few labels ended.</summary>
/// <param name="Penalty">The head's penalty, at least 1 before fine-tuning and 0.3 after a contrastive stage; 1 is a prior of variance 1 on its weights
/// over embeddings of length 1.</param>
/// <param name="CrossValidatedLoss">Mean cross-entropy in nats of a head on the untrained embeddings, each text scored by a head that did not see it;
/// null where a class has one text only.</param>
/// <param name="CrossValidatedAccuracy">Share of the texts that such heads got right; null likewise.</param>
/// <param name="Steps">Optimiser steps of all stages.</param>
/// <param name="Loss">Mean loss of the last whole epoch of fine-tuning or contrast; NaN without.</param>
/// <param name="Cancelled">Whether it was cancelled; the classifier then holds what was done.</param>
public sealed record FewLabelResult(double Penalty, double? CrossValidatedLoss, double? CrossValidatedAccuracy, int Steps, double Loss, bool Cancelled)
{
    /// <summary>Texts that were trained on.</summary>
    public int TrainingExamples { get; init; }

    /// <summary>Texts that the fine-tuning was validated on.</summary>
    public int ValidationExamples { get; init; }

    /// <summary>How the fine-tuning ended; null without.</summary>
    public ClassifierResult? FineTuning { get; init; }
}
