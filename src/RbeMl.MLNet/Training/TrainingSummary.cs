namespace RbeMl.MLNet.Training;

/// <summary>One pass over the training data.</summary>
/// <param name="Loss">Mean training loss in nats over all predicted tokens, or over all examples of a classifier.</param>
/// <param name="ValidationLoss">Mean validation loss in nats; null without validation data.</param>
/// <param name="ValidationAccuracy">Validation accuracy; null without validation data, or where there is none.</param>
public sealed record EpochSummary(double Loss, double? ValidationLoss = null, double? ValidationAccuracy = null);

/// <summary>How a model was trained; it travels with the model. Two are equal when all values are, those of every epoch among them.</summary>
public sealed record TrainingSummary
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

    /// <summary>Whether patience ran out.</summary>
    public required bool StoppedEarly { get; init; }

    /// <summary>Whether it was cancelled.</summary>
    public required bool Cancelled { get; init; }

    /// <inheritdoc/>
    public bool Equals(TrainingSummary? other) => other is not null && Epochs.SequenceEqual(other.Epochs) && Plain.Equals(other.Plain);

    /// <inheritdoc/>
    public override int GetHashCode() => Epochs.Aggregate(Plain.GetHashCode(), HashCode.Combine);

    // Everything but the epochs.
    private (ulong, int, int, int, int, double, int, bool, bool) Plain
        => (Seed, Examples, ValidationExamples, SkippedRows, Steps, Seconds, BestEpoch, StoppedEarly, Cancelled);

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

        void Optional(double? value)
        {
            writer.Write(value.HasValue);
            writer.Write(value ?? 0);
        }
    }

    internal static TrainingSummary Read(BinaryReader reader)
    {
        return new TrainingSummary
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
    }

    // Grows with what is really there: the count alone makes no room.
    private static List<EpochSummary> ReadEpochs(BinaryReader reader)
    {
        List<EpochSummary> epochs = [];
        int count = reader.ReadInt32();
        if (count < 0) throw new FormatException($"there are {count} epochs");
        while (epochs.Count < count) epochs.Add(new EpochSummary(reader.ReadDouble(), Optional(), Optional()));
        return epochs;

        double? Optional()
        {
            bool there = reader.ReadBoolean();
            double value = reader.ReadDouble();
            return there ? value : null;
        }
    }
}
