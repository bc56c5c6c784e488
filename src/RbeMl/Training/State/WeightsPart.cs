using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>A vector of trained values as a part of a training's state.</summary>
/// <param name="vector">The vector.</param>
internal sealed class WeightsPart(ParameterVector<float> vector) : ITrainingPart
{
    private const string Key = "values";

    /// <inheritdoc/>
    public void Save(StateWriter state) => state.Add(Key, vector);

    /// <inheritdoc/>
    public void Load(StateReader state) => state.Read(Key, vector);
}
