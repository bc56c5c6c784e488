using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>A vector of trained values as a part of a training's state.</summary>
/// <param name="vector">The vector.</param>
/// <param name="trained">Whether a slice is trained: others are those of the start, and a state does not repeat them. Null for all.</param>
internal sealed class WeightsPart(ParameterVector<float> vector, Func<ParameterSlice, bool>? trained = null) : ITrainingPart
{
    private const string Key = "values";

    /// <inheritdoc/>
    public void Save(StateWriter state) => state.Add(Key, vector, trained);

    /// <inheritdoc/>
    public void Load(StateReader state) => state.Read(Key, vector, trained);
}
