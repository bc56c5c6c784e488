namespace RbeMl.Training;

/// <summary>The data whose gradients choose the places of a delta, as a training would take it.</summary>
/// <param name="Source">Batches; the first are used.</param>
/// <param name="BatchSize">Sequences of a batch B.</param>
/// <param name="Context">Tokens of a sequence T.</param>
public sealed record DeltaCalibration(ITokenSource Source, int BatchSize, int Context)
{
    /// <summary>Threads; 0 for one a processor. The places do not depend on them.</summary>
    public int Threads { get; init; }

    /// <summary>Most memory in MiB that the process may have resident meanwhile; null for what the machine has.</summary>
    public int? MemoryLimit { get; init; }

    /// <summary>Ends the choice.</summary>
    public CancellationToken Cancel { get; init; }
}
