namespace RbeMl.Codec;

/// <summary>
/// The biorthogonal 9/7 wavelet of Cohen, Daubechies and Feauveau by lifting (Daubechies and Sweldens 1998), with whole-sample symmetric
/// extension at the ends, down to <see cref="CoarseSize"/> scaling coefficients. Order of the coefficients: scaling, then details from
/// coarse to fine. Scaling filters have the gain sqrt 2 at frequency 0, which makes it as near to orthonormal as these filters come.
/// </summary>
internal static class Cdf97Lifting
{
    /// <summary>Scaling coefficients left: where the filters would be longer than the signal several times over, levels gain nothing.</summary>
    internal const int CoarseSize = 4;

    internal const double Predict1 = -1.586134342059924;
    internal const double Update1 = -0.052980118572961;
    internal const double Predict2 = 0.882911075530934;
    internal const double Update2 = 0.443506852043971;
    internal const double Scale = 1.149604398860241;

    /// <summary>x = A x in place; the length is a power of two above <see cref="CoarseSize"/>.</summary>
    internal static void Analyze(double[] x)
    {
        for (int n = x.Length; n > CoarseSize; n /= 2)
        {
            int half = n / 2;
            double[] s = new double[half], d = new double[half];
            for (int i = 0; i < half; i++) (s[i], d[i]) = (x[2 * i], x[2 * i + 1]);
            AddNext(d, s, Predict1);
            AddPrevious(s, d, Update1);
            AddNext(d, s, Predict2);
            AddPrevious(s, d, Update2);
            for (int i = 0; i < half; i++) (x[i], x[half + i]) = (s[i] * Scale, d[i] / Scale);
        }
    }

    /// <summary>x = S x in place: the steps of <see cref="Analyze"/> undone in reverse.</summary>
    internal static void Synthesize(double[] x)
    {
        for (int n = 2 * CoarseSize; n <= x.Length; n *= 2)
        {
            int half = n / 2;
            double[] s = new double[half], d = new double[half];
            for (int i = 0; i < half; i++) (s[i], d[i]) = (x[i] / Scale, x[half + i] * Scale);
            AddPrevious(s, d, -Update2);
            AddNext(d, s, -Predict2);
            AddPrevious(s, d, -Update1);
            AddNext(d, s, -Predict1);
            for (int i = 0; i < half; i++) (x[2 * i], x[2 * i + 1]) = (s[i], d[i]);
        }
    }

    // d_i += a (s_i + s_i+1); beyond the end the signal is mirrored at its last sample, an odd one: s_h = s_h-1.
    private static void AddNext(double[] d, double[] s, double a)
    {
        for (int i = 0; i < d.Length; i++) d[i] += a * (s[i] + s[Math.Min(i + 1, s.Length - 1)]);
    }

    // s_i += a (d_i-1 + d_i); before the start the signal is mirrored at its first sample, an even one: d_-1 = d_0.
    private static void AddPrevious(double[] s, double[] d, double a)
    {
        for (int i = 0; i < s.Length; i++) s[i] += a * (d[Math.Max(i - 1, 0)] + d[i]);
    }
}
