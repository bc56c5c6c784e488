using System.Globalization;

namespace RbeMl.Benchmarks;

/// <summary>What is told of several measurements.</summary>
internal static class Medians
{
    /// <summary>The middle one, or the mean of the two in the middle.</summary>
    /// <param name="values">At least one.</param>
    public static double Of(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>Mean and standard deviation, as in <c>1.7500 ± 0.0040</c>.</summary>
    /// <param name="values">At least one.</param>
    public static string Spread(IReadOnlyCollection<double> values)
    {
        double mean = values.Average(), spread = Math.Sqrt(values.Average(value => Math.Pow(value - mean, 2)));
        return string.Create(CultureInfo.InvariantCulture, $"{mean:F4} ± {spread:F4}");
    }
}
