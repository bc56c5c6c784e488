using RbeMl.Training;

namespace RbeMl.MLNet.Training;

/// <summary>The delta of a result in a file of its own.</summary>
internal static class SavedDelta
{
    /// <summary>Saves it.</summary>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    public static void Save(string path, DeltaModel? delta)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        DeltaFile.Save(path, delta ?? throw new InvalidOperationException(
            $"This model was fitted without a delta, or loaded from a file. Fit it with {nameof(FineTuningOptions.Delta)} or "
                + $"{nameof(FineTuningOptions.DeltaPath)}, and save the delta before the result is loaded again."));
    }
}
