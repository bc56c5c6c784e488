namespace RbeMl.Numerics;

/// <summary>
/// The codec's own random numbers: SplitMix64 (Steele, Lea, Flood 2014) and normal numbers by the ratio of uniforms (Leva 1992). Only integer
/// operations and correctly rounded floating-point ones are used, so that a seed gives the same bits on every machine.
/// </summary>
internal struct DeterministicRandom
{
    private const ulong Golden = 0x9E3779B97F4A7C15;
    private const double Ln2 = 0.69314718055994530942;
    private ulong _state;

    /// <summary>Stream number <paramref name="stream"/> of a seed; streams are independent of each other.</summary>
    public DeterministicRandom(ulong seed, ulong stream) => _state = Mix(seed + Golden) ^ Mix((stream + 1) * 0xD1342543DE82EF95);

    /// <summary>64 uniform bits.</summary>
    public ulong NextBits() => Mix(_state += Golden);

    /// <summary>A uniform number in (0, 1): odd multiples of 2^-53.</summary>
    public double NextUnit() => ((NextBits() >> 12) + 0.5) * (1.0 / (1UL << 52));

    /// <summary>A uniform integer in 0 .. <paramref name="bound"/> - 1, without bias.</summary>
    public int NextBelow(int bound)
    {
        ulong range = (ulong)bound, limit = ulong.MaxValue - ulong.MaxValue % range;
        ulong bits = NextBits();
        while (bits >= limit) bits = NextBits();
        return (int)(bits % range);
    }

    /// <summary>A standard normal number.</summary>
    public double NextNormal()
    {
        while (true)
        {
            double u = NextUnit(), v = 1.7156 * (NextUnit() - 0.5);
            double x = u - 0.449871, y = Math.Abs(v) + 0.386595;
            double q = x * x + y * (0.19600 * y - 0.25472 * x);
            if (q < 0.27597) return v / u;
            if (q > 0.27846) continue;
            if (v * v <= -4 * u * u * Log(u)) return v / u;
        }
    }

    /// <summary>Natural logarithm of a positive normal number, the same bits on every machine.</summary>
    // By 2 artanh((m - 1) / (m + 1)), m in [1/sqrt 2, sqrt 2): |z| < 0.172, so that the first
    // term left out, z^25 / 25, is below 1e-20.
    internal static double Log(double value)
    {
        long bits = BitConverter.DoubleToInt64Bits(value);
        int exponent = (int)(bits >> 52) - 1023;
        double m = BitConverter.Int64BitsToDouble((bits & 0xFFFFFFFFFFFFF) | (1023L << 52));
        if (m > 1.4142135623730951)
        {
            m *= 0.5;
            exponent++;
        }

        double z = (m - 1) / (m + 1), z2 = z * z, sum = 0;
        for (int k = 23; k >= 1; k -= 2) sum = sum * z2 + 1.0 / k;
        return 2 * z * sum + exponent * Ln2;
    }

    private static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
