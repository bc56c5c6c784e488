using RbeMl.MLNet.Files;

namespace RbeMl.MLNet.Runtime;

/// <summary>How a fitted model computes rows. Nothing here changes a result.</summary>
/// <param name="BatchRows">Rows that are read ahead and computed together; 1 computes row by row.</param>
/// <param name="Threads">Threads; 0 for one a processor of the machine it runs on.</param>
internal readonly record struct ScoringSettings(int BatchRows, int Threads)
{
    public const int MostRows = 65_536, MostThreads = 4096;

    /// <summary>Writes everything.</summary>
    public void Write(BinaryWriter writer)
    {
        writer.Write(BatchRows);
        writer.Write(Threads);
    }

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="RbeFileException">A value is out of range.</exception>
    public static ScoringSettings Read(BinaryReader reader, string component)
    {
        ScoringSettings settings = new(reader.ReadInt32(), reader.ReadInt32());
        if (settings.BatchRows is >= 1 and <= MostRows && settings.Threads is >= 0 and <= MostThreads) return settings;
        throw ComponentFile.Bad(component, $"name {settings.BatchRows} rows at a time and {settings.Threads} threads. They are damaged; save the component again.");
    }
}
