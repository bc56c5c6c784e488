namespace RbeMl.Layers;

/// <summary>
/// Initial values that are not in memory yet: <see cref="ParameterVector{T}.Freeze"/> lets them be read to where they will be, so that a large table
/// never exists twice.
/// </summary>
internal abstract class StoredValues
{
    /// <summary>How many there are.</summary>
    public abstract int Length { get; }

    /// <summary>Reads them; called once.</summary>
    /// <param name="values">As many, written.</param>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public abstract void Read(Span<float> values);
}
