using System.Numerics;

namespace RbeMl.Training;

/// <summary>A row of length 1 in the Euclidean norm, and its backward.</summary>
internal static unsafe class UnitRow
{
    // A shorter row has no direction worth its name; dividing by this keeps it finite, as others do.
    private const double Least = 1e-12;

    /// <summary>unit = x / |x|.</summary>
    /// <param name="x">[D].</param>
    /// <param name="unit">[D], written; it may be <paramref name="x"/>.</param>
    /// <param name="features">D.</param>
    /// <returns>|x|.</returns>
    public static T Forward<T>(T* x, T* unit, int features)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T norm = T.Max(T.Sqrt(Dot(x, x, features)), T.CreateTruncating(Least));
        for (int f = 0; f < features; f++) unit[f] = x[f] / norm;
        return norm;
    }

    /// <summary>gradient = (gradient - (gradient . unit) unit) / |x|: the gradient of the unit row becomes that of x.</summary>
    /// <param name="unit">[D], of <see cref="Forward"/>.</param>
    /// <param name="norm">|x|.</param>
    /// <param name="gradient">[D].</param>
    /// <param name="features">D.</param>
    public static void Backward<T>(T* unit, T norm, T* gradient, int features)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T along = Dot(gradient, unit, features);
        for (int f = 0; f < features; f++) gradient[f] = (gradient[f] - (along * unit[f])) / norm;
    }

    /// <summary>x . y.</summary>
    public static T Dot<T>(T* x, T* y, int features)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        T sum = T.Zero;
        for (int f = 0; f < features; f++) sum += x[f] * y[f];
        return sum;
    }
}
