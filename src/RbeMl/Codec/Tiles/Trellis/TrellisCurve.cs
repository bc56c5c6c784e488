using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// The values of <see cref="TrellisCodebook"/> without its table, for products with single vectors, where looking values up one after the other takes most of
/// the time. With u = (a_k s) mod 4096 and t = u + 1/2 or 4096 - (u + 1/2), whichever is less, a value is -+ G(t), G(t) = -Quantile(t / 4096). G is steep
/// towards the tail and smooth in the logarithm of t, so that each half of an octave of t has a polynomial of the third degree: fewer than 32 of them, which
/// exponent and first bit of t choose, and which fit into two registers for each power.
/// </summary>
internal static class TrellisCurve
{
    /// <summary>Largest distance from the table, in standard deviations of the coefficients.</summary>
    public const double MostError = 3e-5;

    /// <summary>Polynomials there is room for.</summary>
    public const int Pieces = 32;

    /// <summary>What is to the right of the bits of a float that choose its polynomial.</summary>
    public const int Below = 22;

    /// <summary>t comes as an integer that has so many bits behind the point: u is at the top of 32 bits then.</summary>
    public const int Point = 32 - TrellisCodebook.StateBits;

    private const int Degree = 3;

    /// <summary><c>[4][32]</c>, the power 0 first; a piece is where the lowest five bits of exponent and first bit say. Do not write to it.</summary>
    public static float[] Coefficients { get; } = Make();

    /// <summary>The plain twin of what vectors compute: the value of a state.</summary>
    public static float Value(int state, int bits)
    {
        int place = unchecked((TrellisCodebook.MultiplierOf(bits) * state << Point) + (1 << Point - 1)); // below 0 in the upper half
        float t = Math.Abs(place);
        int piece = PieceOf(t);
        float value = Coefficients[(Degree * Pieces) + piece];
        for (int power = Degree - 1; power >= 0; power--) value = MathF.FusedMultiplyAdd(value, t, Coefficients[(power * Pieces) + piece]);
        return place < 0 ? value : -value;
    }

    private static int PieceOf(float t) => BitConverter.SingleToInt32Bits(t) >> Below & Pieces - 1;

    private static float[] Make()
    {
        float[] coefficients = new float[(Degree + 1) * Pieces];
        foreach (var piece in Enumerable.Range(0, TrellisCodebook.States / 2).Select(u => u + 0.5).GroupBy(t => PieceOf((float)t * (1 << Point))))
        {
            double[] at = [.. piece];
            double[] nodes = at.Length <= Degree + 1 ? at : [.. Enumerable.Range(0, Degree + 1).Select(i => Node(at[0], at[^1], i))];
            double[] powers = Interpolate(nodes, [.. nodes.Select(t => -InverseNormal.Quantile(t / TrellisCodebook.States))]);
            for (int power = 0; power < powers.Length; power++)
            {
                coefficients[(power * Pieces) + piece.Key] = (float)Math.ScaleB(powers[power], -power * Point);
            }
        }

        return coefficients;
    }

    // Places where a polynomial that goes through the values there errs least in between: Chebyshev's.
    private static double Node(double first, double last, int i) =>
        ((first + last) / 2) - ((last - first) / 2 * Math.Cos(((2 * i) + 1) * Math.PI / (2 * (Degree + 1))));

    // Newton's divided differences, then powers.
    private static double[] Interpolate(double[] x, double[] y)
    {
        int n = x.Length;
        double[] differences = [.. y], powers = new double[n];
        for (int order = 1; order < n; order++)
        {
            for (int i = n - 1; i >= order; i--) differences[i] = (differences[i] - differences[i - 1]) / (x[i] - x[i - order]);
        }

        for (int i = n - 1; i >= 0; i--)
        {
            for (int power = n - 1; power > 0; power--) powers[power] = powers[power - 1] - (x[i] * powers[power]);
            powers[0] = differences[i] - (x[i] * powers[0]);
        }

        return powers;
    }
}
