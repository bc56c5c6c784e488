namespace RbeMl.MLNet.Runtime;

/// <summary>How a fitted model computes rows. Nothing here changes a result.</summary>
/// <param name="BatchRows">Rows that are read ahead and computed together; 1 computes row by row.</param>
/// <param name="Threads">Threads; 0 for one a processor of the machine it runs on.</param>
internal readonly record struct ScoringSettings(int BatchRows, int Threads)
{
    /// <summary>Writes everything.</summary>
    public void Write(BinaryWriter writer)
    {
        writer.Write(BatchRows);
        writer.Write(Threads);
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="InvalidSettingException">A value is out of range.</exception>
    public static ScoringSettings Read(BinaryReader reader)
    {
        ScoringSettings settings = new(reader.ReadInt32(), reader.ReadInt32());
        RunLimits.CheckRows(nameof(BatchRows), settings.BatchRows);
        RunLimits.CheckThreads(settings.Threads);
        return settings;
    }
}
