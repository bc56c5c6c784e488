namespace RbeMl.Codec;

/// <summary>The weights of a matrix are too large or too small for the numbers that a format keeps them in: they would saturate or vanish.</summary>
public sealed class WeightRangeException : RbeException
{
    /// <summary>Creates the error.</summary>
    /// <param name="matrix">Name of the matrix.</param>
    /// <param name="rootMeanSquare">Root mean square of its weights.</param>
    /// <param name="largest">The largest of their absolute values.</param>
    /// <param name="format">The format.</param>
    public WeightRangeException(string matrix, double rootMeanSquare, double largest, RbeFormat format)
        : base(FormattableString.Invariant(
            $"{matrix}: weights of root mean square {rootMeanSquare:G3}, the largest {largest:G3}, are beyond what {format.DescribeRange()}"))
    {
        (Matrix, RootMeanSquare, Largest, Format) = (matrix, rootMeanSquare, largest, format);
    }

    /// <summary>Name of the matrix.</summary>
    public string Matrix { get; }

    /// <summary>Root mean square of its weights.</summary>
    public double RootMeanSquare { get; }

    /// <summary>The largest of their absolute values.</summary>
    public double Largest { get; }

    /// <summary>The format.</summary>
    public RbeFormat Format { get; }
}
