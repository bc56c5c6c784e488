using System.Globalization;
using RbeMl.Codec;
using RbeMl.Layers;
using RbeMl.Memory;
using RbeMl.Models;
using RbeMl.Numerics;

namespace RbeMl.Files;

/// <summary>Refuses weights that are NaN or infinite before they are stored, and where they are read.</summary>
internal static class FiniteWeights
{
    /// <summary>Checks what was trained.</summary>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public static void Check(ParameterVector<float> parameters)
    {
        using Hold held = parameters.Lease.Share();
        foreach (ParameterSlice slice in parameters.Slices) CheckTrained(slice.Name, parameters.Of(slice), 0);
    }

    /// <summary>Checks a part of what was trained.</summary>
    /// <param name="slice">The slice that it is of.</param>
    /// <param name="values">The part.</param>
    /// <param name="first">Where it begins in the slice.</param>
    /// <exception cref="NonFiniteException">A value is NaN or infinite.</exception>
    public static void CheckTrained(string slice, ReadOnlySpan<float> values, int first)
    {
        int bad = FiniteSearch.IndexOfNonFinite(values);
        if (bad < 0) return;
        throw new NonFiniteException(slice, FormattableString.Invariant(
            $"value {values[bad]} at element {first + bad}. The training diverged: lower the learning rate; the file stays as it was."));
    }

    /// <summary>Checks the weights of a model, and that they fit together.</summary>
    /// <inheritdoc cref="Check(ParameterVector{float})"/>
    public static void Check(TransformerWeights weights)
    {
        weights.Check();
        foreach ((string name, RbeMatrix matrix) in weights.Matrices) Check(name, matrix);
        foreach ((string name, float[] values) in weights.Vectors) Check(name, values);
    }

    /// <summary>Checks the values of a matrix.</summary>
    /// <inheritdoc cref="Check(ParameterVector{float})"/>
    public static void Check(string name, RbeMatrix matrix)
    {
        Check($"{name}.alphas", matrix.Alphas);
        Check($"{name}.coefficients", matrix.Coefficients);
    }

    /// <summary>Checks a tensor.</summary>
    /// <inheritdoc cref="Check(ParameterVector{float})"/>
    public static void Check(string tensor, ReadOnlySpan<float> values)
    {
        int bad = FiniteSearch.IndexOfNonFinite(values);
        if (bad >= 0) throw NotFinite(tensor, values[bad], bad);
    }

    /// <summary>The error for a value that is not finite.</summary>
    public static NonFiniteException NotFinite(string tensor, float value, long index) =>
        new(tensor, $"value {value.ToString(CultureInfo.InvariantCulture)} at element {index}. Write the file again from sound weights.");
}
