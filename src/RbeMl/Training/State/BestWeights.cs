using RbeMl.Layers;

namespace RbeMl.Training;

/// <summary>A copy of the weights that were best so far.</summary>
/// <param name="weights">The weights.</param>
/// <param name="trained">Whether a slice is trained: others stay as they are, and are not copied. Null for all.</param>
/// <param name="changed">Called when the weights were set to the copy: what follows from them is made anew.</param>
internal sealed class BestWeights(ParameterVector<float> weights, Func<ParameterSlice, bool>? trained, Action? changed) : ITrainingPart, IDisposable
{
    /// <summary>The part's name in a state.</summary>
    public const string Name = "best";

    private const string Key = "values";
    private readonly ParameterVector<float> _best = Copy(weights, trained);

    /// <summary>Keeps the weights as they are now.</summary>
    public void Keep() => _best.CopyFrom(weights);

    /// <summary>Sets the weights to those kept.</summary>
    public void Apply()
    {
        weights.CopyFrom(_best);
        changed?.Invoke();
    }

    /// <inheritdoc/>
    public void Save(StateWriter state) => state.Add(Key, _best);

    /// <inheritdoc/>
    public void Load(StateReader state) => state.Read(Key, _best);

    /// <inheritdoc/>
    public void Dispose() => _best.Dispose();

    private static ParameterVector<float> Copy(ParameterVector<float> weights, Func<ParameterSlice, bool>? trained)
    {
        ParameterVector<float> copy = weights.CreateLike(trained);
        copy.CopyFrom(weights);
        return copy;
    }
}
