namespace RbeMl.MLNet.Tests.Workout;

/// <summary>A value read from a row: a scalar, or all slots of a vector. Sparse and dense vectors of equal slots are equal.</summary>
public abstract class Cell : IEquatable<Cell>
{
    /// <summary>Slots; 1 for a scalar.</summary>
    public abstract int Length { get; }

    /// <summary>True when type, length and every slot agree: floats by their bits, except that every NaN equals every other.</summary>
    public abstract bool Equals(Cell? other);

    /// <inheritdoc/>
    public sealed override bool Equals(object? obj) => Equals(obj as Cell);

    /// <inheritdoc/>
    public abstract override int GetHashCode();
}

/// <summary>A cell of items of <typeparamref name="T"/>.</summary>
public sealed class Cell<T> : Cell
{
    private const int Shown = 6;

    private readonly T[] _values;

    /// <summary>Copies the values, text included, so that later changes of the source don't show.</summary>
    public Cell(ReadOnlySpan<T> values, bool isVector)
    {
        _values = values.ToArray();
        IsVector = isVector;
        if (_values is ReadOnlyMemory<char>[] texts)
            for (int i = 0; i < texts.Length; i++) texts[i] = texts[i].ToString().AsMemory();
    }

    /// <summary>Whether the value was a vector.</summary>
    public bool IsVector { get; }

    /// <inheritdoc/>
    public override int Length => _values.Length;

    /// <summary>The slots; one for a scalar.</summary>
    public ReadOnlySpan<T> Values => _values;

    /// <inheritdoc/>
    public override bool Equals(Cell? other)
    {
        if (other is not Cell<T> cell || cell.IsVector != IsVector || cell._values.Length != _values.Length) return false;
        for (int i = 0; i < _values.Length; i++)
            if (!Same(_values[i], cell._values[i])) return false;
        return true;
    }

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(typeof(T), IsVector, _values.Length);

    /// <inheritdoc/>
    public override string ToString()
    {
        string items = string.Join(", ", _values.Take(Shown).Select(v => FormattableString.Invariant($"{v}")));
        return IsVector ? $"[{items}{(_values.Length > Shown ? ", ..." : "")}] ({_values.Length} slots)" : items;
    }

    private static bool Same(T left, T right) => (left, right) switch
    {
        (float a, float b) => BitConverter.SingleToInt32Bits(a) == BitConverter.SingleToInt32Bits(b) || (float.IsNaN(a) && float.IsNaN(b)),
        (double a, double b) => BitConverter.DoubleToInt64Bits(a) == BitConverter.DoubleToInt64Bits(b) || (double.IsNaN(a) && double.IsNaN(b)),
        (ReadOnlyMemory<char> a, ReadOnlyMemory<char> b) => a.Span.SequenceEqual(b.Span),
        _ => EqualityComparer<T>.Default.Equals(left, right),
    };
}
