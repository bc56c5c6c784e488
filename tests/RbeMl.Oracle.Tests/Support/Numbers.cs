using System.Numerics;

namespace RbeMl.Oracle.Tests.Support;

/// <summary>Deterministic random data, error measures and tolerances.</summary>
internal static class Numbers
{
    /// <summary>
    /// Standard normal numbers (Box-Muller) times <paramref name="scale"/>. They are float values, so that float and double tests share
    /// them.
    /// </summary>
    public static double[] Normal(int count, int seed, double scale = 1)
    {
        Random random = new(seed);
        double[] values = new double[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = (float)(scale * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        return values;
    }

    /// <summary>Element-wise conversion.</summary>
    public static TTo[] Convert<TFrom, TTo>(ReadOnlySpan<TFrom> values)
        where TFrom : INumberBase<TFrom>
        where TTo : INumberBase<TTo>
    {
        TTo[] converted = new TTo[values.Length];
        for (int i = 0; i < values.Length; i++) converted[i] = TTo.CreateTruncating(values[i]);
        return converted;
    }

    /// <summary>‖expected − actual‖ / ‖expected‖ in double; ‖actual‖ when expected is zero.</summary>
    public static double RelativeError<TExpected, TActual>(ReadOnlySpan<TExpected> expected, ReadOnlySpan<TActual> actual)
        where TExpected : INumberBase<TExpected>
        where TActual : INumberBase<TActual>
    {
        double norm = Norm(expected), distance = Distance(expected, actual);
        return norm == 0 ? distance : distance / norm;
    }

    /// <summary>‖expected − actual‖ in double.</summary>
    public static double Distance<TExpected, TActual>(ReadOnlySpan<TExpected> expected, ReadOnlySpan<TActual> actual)
        where TExpected : INumberBase<TExpected>
        where TActual : INumberBase<TActual>
    {
        Assert.Equal(expected.Length, actual.Length);
        double sum = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            double difference = double.CreateTruncating(expected[i]) - double.CreateTruncating(actual[i]);
            sum += difference * difference;
        }

        return Math.Sqrt(sum);
    }

    /// <summary>‖values‖ in double.</summary>
    public static double Norm<T>(ReadOnlySpan<T> values)
        where T : INumberBase<T>
    {
        double sum = 0;
        foreach (T value in values) sum += double.CreateTruncating(value) * double.CreateTruncating(value);
        return Math.Sqrt(sum);
    }

    /// <summary>
    /// Tolerance of the relative error of results that are sums of <paramref name="terms"/> products: rounding errors add like a random walk,
    /// sqrt(terms) units of half an ulp each; the factor 8 allows for the few roundings of an element (exp, division, the sums it enters).
    /// </summary>
    public static double Tolerance<T>(double terms)
        where T : IFloatingPointIeee754<T> => 8 * Math.Sqrt(terms) * UnitRoundoff<T>();

    /// <summary>Half an ulp of 1: 2^-24 or 2^-53.</summary>
    public static double UnitRoundoff<T>()
        where T : IFloatingPointIeee754<T> => double.CreateTruncating(T.BitIncrement(T.One) - T.One) / 2;
}
