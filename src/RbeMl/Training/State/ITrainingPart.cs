namespace RbeMl.Training;

/// <summary>
/// A part of a training with values of its own, which a training state keeps: weights, an optimiser, averages, the best so far. What follows
/// from the number of the step alone (order of data, dropout, schedule) is no such value.
/// </summary>
internal interface ITrainingPart
{
    /// <summary>Says what it keeps. Vectors are read when the file is written, before the next step.</summary>
    /// <param name="state">Takes it.</param>
    void Save(StateWriter state);

    /// <summary>Reads what <see cref="Save"/> said. Nothing changes before all parts have read: changes are given to
    /// <see cref="StateReader.Then"/>.</summary>
    /// <param name="state">Has it.</param>
    /// <exception cref="RbeFileException">Something is missing or of another shape.</exception>
    void Load(StateReader state);
}
