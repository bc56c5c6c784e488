using RbeMl.Models;
using RbeMl.Training;

namespace RbeMl.MLNet.Training;

/// <summary>The delta that a component trains: a new one or a file's, and the file that it is saved to.</summary>
internal static class DeltaSource
{
    // Two components have these options; their names are the same.
    private const string New = nameof(FineTuningOptions.Delta), File = nameof(FineTuningOptions.DeltaPath);

    /// <summary>Checks the options of a training whose loss is not that of next tokens.</summary>
    /// <param name="delta">A new one, or null.</param>
    /// <param name="path">A file's, or null.</param>
    /// <param name="trained">What is trained, or null where it was not said.</param>
    /// <exception cref="InvalidSettingException">They do not go together.</exception>
    public static void CheckWithoutTokens(DeltaOptions? delta, string? path, TrainedParts? trained)
    {
        Check(delta, path);
        if (delta?.Support is DeltaSupport.Gradient)
        {
            throw new InvalidSettingException(New, DeltaSupport.Gradient,
                $"gradients of the next tokens choose such places, and this training has none: use {DeltaSupport.Runs} or {DeltaSupport.Random}.");
        }

        if (trained is not null && (delta is not null || path is not null))
        {
            throw new InvalidSettingException("Trained", trained, "a delta is what is trained: leave it out.");
        }
    }

    /// <summary>Checks that there is one at most, and that it is in order.</summary>
    /// <param name="delta">A new one, or null.</param>
    /// <param name="path">A file's, or null.</param>
    /// <exception cref="InvalidSettingException">It is not.</exception>
    public static void Check(DeltaOptions? delta, string? path)
    {
        if (delta is not null && path is not null) throw new InvalidSettingException(File, path, $"{New} begins a new one. Give one of them.");
        delta?.Validate();
    }

    /// <summary>The model with its delta; null without one. The model that is given stays as it is.</summary>
    /// <param name="model">The model.</param>
    /// <param name="delta">A new one, or null.</param>
    /// <param name="path">A file's, or null.</param>
    /// <param name="calibration">The data whose gradients choose places; null where nothing predicts tokens.</param>
    /// <exception cref="InvalidSettingException">The model can have no such delta.</exception>
    /// <exception cref="DeltaMismatchException">The file's delta is of another model.</exception>
    /// <exception cref="RbeFileException">The file is missing, no delta, or damaged.</exception>
    public static DeltaModel? Take(TransformerModel<float> model, DeltaOptions? delta, string? path, Func<DeltaCalibration>? calibration = null) =>
        (delta, path) switch
        {
            ({ } fresh, _) => DeltaModel.Attach(model, fresh, fresh.Support == DeltaSupport.Gradient ? calibration?.Invoke() : null),
            (_, { } file) => DeltaFile.Apply(file, model),
            _ => null,
        };

    /// <summary>Saves the delta of a result.</summary>
    /// <param name="path">The file; one that is there is replaced.</param>
    /// <param name="delta">The delta, or null where there is none.</param>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    /// <exception cref="RbeFileException">The file cannot be written.</exception>
    public static void Save(string path, DeltaModel? delta)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        DeltaFile.Save(path, delta ?? throw new InvalidOperationException(
            $"This model was fitted without a delta, or loaded from a file. Fit it with {New} or {File}, and save the delta before the result is loaded "
                + "again."));
    }
}
