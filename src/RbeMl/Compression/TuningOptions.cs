namespace RbeMl.Compression;

/// <summary>How a model is tuned while its matrices are rounded.</summary>
public sealed record TuningOptions
{
    /// <summary>Gradient steps in all: most between the roundings of two matrices, the rest once all are rounded.</summary>
    public required int Steps { get; init; }

    /// <summary>Step of a value relative to the root mean square of those of its part.</summary>
    public double Rate { get; init; } = 0.002;

    /// <summary>Seed of the order of windows.</summary>
    public ulong Seed { get; init; }

    /// <summary>Ends the tuning early: what is left is rounded without it.</summary>
    public CancellationToken Enough { get; init; }
}

/// <summary>What tuning came to.</summary>
/// <param name="Steps">Steps that were done.</param>
/// <param name="Loss">
/// On calibration windows that were held out of the steps, the divergence of the predictions in nats, or one less the mean cosine of an encoder's vectors;
/// with tables of tokens as they were before compression. As the best states were chosen on these windows, it flatters a little; a single window is both.
/// </param>
public sealed record TuningFigures(int Steps, double Loss);
