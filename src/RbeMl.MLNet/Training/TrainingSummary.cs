using RbeMl.Training;

namespace RbeMl.MLNet.Training;

/// <summary>One pass over the training data.</summary>
/// <param name="Loss">Mean training loss in nats over all predicted tokens, or over all examples of a classifier.</param>
/// <param name="ValidationLoss">Mean validation loss in nats; null without validation data.</param>
/// <param name="ValidationAccuracy">Validation accuracy; null without validation data, or where there is none.</param>
public sealed record EpochSummary(double Loss, double? ValidationLoss = null, double? ValidationAccuracy = null);

/// <summary>How a model was trained; it travels with the model. Two are equal when all values are, those of every epoch among them.</summary>
public sealed partial record TrainingSummary
{
    /// <summary>The seed that was used.</summary>
    public required ulong Seed { get; init; }

    /// <summary>Training examples.</summary>
    public required int Examples { get; init; }

    /// <summary>Validation examples.</summary>
    public required int ValidationExamples { get; init; }

    /// <summary>Rows that were left out: no label, no text, or ids that the model does not know.</summary>
    public required int SkippedRows { get; init; }

    /// <summary>Optimiser steps.</summary>
    public required int Steps { get; init; }

    /// <summary>Seconds of reading and training.</summary>
    public required double Seconds { get; init; }

    /// <summary>The epochs; the last may have been cut short.</summary>
    public required IReadOnlyList<EpochSummary> Epochs { get; init; }

    /// <summary>The epoch whose weights the model has, from 1; 0 for those of the last step.</summary>
    public required int BestEpoch { get; init; }

    /// <summary>Whether it ended before all epochs were done: patience ran out, or of few labels the training loss came to its floor.</summary>
    public required bool StoppedEarly { get; init; }

    /// <summary>Whether it was cancelled.</summary>
    public required bool Cancelled { get; init; }

    /// <summary>How a classifier learned from few labels; null for another training.</summary>
    public FewLabelMethod? Method { get; init; }

    /// <summary>See <see cref="FewLabelResult.CrossValidatedLoss"/>.</summary>
    public double? CrossValidatedLoss { get; init; }

    /// <summary>See <see cref="FewLabelResult.CrossValidatedAccuracy"/>.</summary>
    public double? CrossValidatedAccuracy { get; init; }

    /// <inheritdoc/>
    public bool Equals(TrainingSummary? other) => other is not null && Epochs.SequenceEqual(other.Epochs) && Plain.Equals(other.Plain);

    /// <inheritdoc/>
    public override int GetHashCode() => Epochs.Aggregate(Plain.GetHashCode(), HashCode.Combine);

    // Everything but the epochs.
    private (ulong, int, int, int, int, double, int, bool, bool, FewLabelMethod?, double?, double?) Plain
        => (Seed, Examples, ValidationExamples, SkippedRows, Steps, Seconds, BestEpoch, StoppedEarly, Cancelled, Method, CrossValidatedLoss,
            CrossValidatedAccuracy);

    /// <summary>Of a model that was taken as it is.</summary>
    internal static TrainingSummary Untrained(ulong seed, double seconds) => new()
    {
        Seed = seed,
        Examples = 0,
        ValidationExamples = 0,
        SkippedRows = 0,
        Steps = 0,
        Seconds = seconds,
        Epochs = [],
        BestEpoch = 0,
        StoppedEarly = false,
        Cancelled = false,
    };

    /// <summary>Writes everything; that of few labels only where it is there, so that older versions read the rest.</summary>
    internal void Write(BinaryWriter writer)
    {
        writer.Write(Seed);
        writer.Write(Examples);
        writer.Write(ValidationExamples);
        writer.Write(SkippedRows);
        writer.Write(Steps);
        writer.Write(Seconds);
        writer.Write(BestEpoch);
        writer.Write(StoppedEarly);
        writer.Write(Cancelled);
        writer.Write(Epochs.Count);
        foreach (EpochSummary epoch in Epochs)
        {
            writer.Write(epoch.Loss);
            Optional(epoch.ValidationLoss);
            Optional(epoch.ValidationAccuracy);
        }

        if (Method is { } method)
        {
            writer.Write((int)method);
            Optional(CrossValidatedLoss);
            Optional(CrossValidatedAccuracy);
        }

        void Optional(double? value)
        {
            writer.Write(value.HasValue);
            writer.Write(value ?? 0);
        }
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <param name="reader">The bytes.</param>
    /// <param name="fewLabels">Whether that of few labels is there.</param>
    internal static TrainingSummary Read(BinaryReader reader, bool fewLabels = false)
    {
        TrainingSummary summary = new()
        {
            Seed = reader.ReadUInt64(),
            Examples = reader.ReadInt32(),
            ValidationExamples = reader.ReadInt32(),
            SkippedRows = reader.ReadInt32(),
            Steps = reader.ReadInt32(),
            Seconds = reader.ReadDouble(),
            BestEpoch = reader.ReadInt32(),
            StoppedEarly = reader.ReadBoolean(),
            Cancelled = reader.ReadBoolean(),
            Epochs = ReadEpochs(reader),
        };
        if (!fewLabels) return summary;
        FewLabelMethod method = (FewLabelMethod)reader.ReadInt32();
        if (!Enum.IsDefined(method)) throw new FormatException($"the method has the number {(int)method}");
        return summary with { Method = method, CrossValidatedLoss = Optional(reader), CrossValidatedAccuracy = Optional(reader) };
    }

    // Grows with what is really there: the count alone makes no room.
    private static List<EpochSummary> ReadEpochs(BinaryReader reader)
    {
        List<EpochSummary> epochs = [];
        int count = reader.ReadInt32();
        if (count < 0) throw new FormatException($"there are {count} epochs");
        while (epochs.Count < count) epochs.Add(new EpochSummary(reader.ReadDouble(), Optional(reader), Optional(reader)));
        return epochs;
    }

    private static double? Optional(BinaryReader reader)
    {
        bool there = reader.ReadBoolean();
        double value = reader.ReadDouble();
        return there ? value : null;
    }
}
