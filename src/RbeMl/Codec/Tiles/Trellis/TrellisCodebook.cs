using RbeMl.Numerics;

namespace RbeMl.Codec;

/// <summary>
/// The value of every trellis state: quantiles of the standard normal distribution, shuffled by multiplication,
/// T_k[s] = Quantile((((a_k s) mod 4096) + 1/2) / 4096). A step moves from s to (s 2^k + symbol) mod 4096, so a state's values repeat nowhere near it.
/// The tables follow from the formula, nothing of them is stored.
/// </summary>
internal static class TrellisCodebook
{
    /// <summary>Bits of a state.</summary>
    public const int StateBits = 12;

    /// <summary>States.</summary>
    public const int States = 1 << StateBits;

    /// <summary>Fewest bits a coefficient.</summary>
    public const int LeastBits = 2;

    /// <summary>Most bits a coefficient.</summary>
    public const int MostBits = 6;

    // Odd, so that multiplication permutes the states; those of 60 tried that give the least error on Gaussian samples.
    private static readonly int[] s_multipliers = [1067, 3547, 1203, 131, 3899];
    private static readonly float[][] s_tables = [.. s_multipliers.Select(Make)];

    /// <summary><c>[4096]</c>. Do not write to it.</summary>
    public static float[] For(int bits) => s_tables[bits - LeastBits];

    /// <summary>a_k.</summary>
    public static int MultiplierOf(int bits) => s_multipliers[bits - LeastBits];

    /// <summary>The state after <paramref name="symbol"/>.</summary>
    public static int Next(int state, int symbol, int bits) => (state << bits | symbol) & States - 1;

    private static float[] Make(int multiplier)
    {
        float[] table = new float[States];
        for (int s = 0; s < States; s++) table[s] = (float)InverseNormal.Quantile((multiplier * s % States + 0.5) / States);
        return table;
    }
}
