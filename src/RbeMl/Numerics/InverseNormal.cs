namespace RbeMl.Numerics;

/// <summary>
/// The quantile of the standard normal distribution by Wichura's algorithm AS 241 (PPND16, Applied Statistics 37, 1988): relative accuracy about 1e-16.
/// Only correctly rounded operations are used, so that every machine gets the same bits.
/// </summary>
internal static class InverseNormal
{
    private const double Centre = 0.425;
    private const double FarTail = 5;

    // Coefficients of the two rational functions, ascending powers.
    private static readonly double[] s_centreTop =
    [
        3.3871328727963666080, 133.14166789178437745, 1971.5909503065514427, 13731.693765509461125,
        45921.953931549871457, 67265.770927008700853, 33430.575583588128105, 2509.0809287301226727,
    ];

    private static readonly double[] s_centreBottom =
    [
        1, 42.313330701600911252, 687.18700749205790830, 5394.1960214247511077,
        21213.794301586595867, 39307.895800092710610, 28729.085735721942674, 5226.4952788528545610,
    ];

    private static readonly double[] s_tailTop =
    [
        1.42343711074968357734, 4.63033784615654529590, 5.76949722146069140550, 3.64784832476320460504,
        1.27045825245236838258, 0.241780725177450611770, 0.0227238449892691845833, 7.74545014278341407640e-4,
    ];

    private static readonly double[] s_tailBottom =
    [
        1, 2.05319162663775882187, 1.67638483018380384940, 0.689767334985100004550,
        0.148103976427480074590, 0.0151986665636164571966, 5.47593808499534494600e-4, 1.05075007164441684324e-9,
    ];

    /// <summary>The x with P(X &lt;= x) = p.</summary>
    /// <param name="p">exp(-25) .. 1 - exp(-25); the far tails have a function of their own, which nothing here needs.</param>
    /// <exception cref="ArgumentOutOfRangeException">p lies outside.</exception>
    public static double Quantile(double p)
    {
        double q = p - 0.5;
        if (Math.Abs(q) <= Centre)
        {
            double s = Centre * Centre - q * q;
            return q * Polynomial(s_centreTop, s) / Polynomial(s_centreBottom, s);
        }

        double tail = q < 0 ? p : 1 - p;
        double r = tail > 0 ? Math.Sqrt(-DeterministicRandom.Log(tail)) : double.PositiveInfinity;
        if (!(r <= FarTail)) throw new ArgumentOutOfRangeException(nameof(p), p, "Use a probability from exp(-25) to 1 - exp(-25).");
        double x = Polynomial(s_tailTop, r - 1.6) / Polynomial(s_tailBottom, r - 1.6);
        return q < 0 ? -x : x;
    }

    private static double Polynomial(double[] coefficients, double x)
    {
        double sum = 0;
        for (int i = coefficients.Length - 1; i >= 0; i--) sum = sum * x + coefficients[i];
        return sum;
    }
}
