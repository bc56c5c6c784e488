namespace RbeMl.Codec;

/// <summary>
/// Chooses the scale of a trellis-coded tile: first a little above the root mean square, so that the table's ends, at 3.7, lie where the most likely
/// largest values do; after coding the least-squares one for these symbols. A second round with that scale gains less than 0.1 % of the error.
/// Scales above 65504 are cut to it; a tile whose scale fp16 cannot hold becomes zero.
/// </summary>
internal static class TrellisScaler
{
    private const float LargestHalf = 65504;
    private const float Reach = 128; // standard deviations; no value of an unsaturated tile of up to 128 x 128 lies beyond

    // Scale over root mean square for 2 .. 6 bits, from a search on Gaussian samples; the minimum is flat, and 1 costs 0.3 .. 6 % of the error.
    private static readonly double[] s_headroom = [1.05, 1.08, 1.09, 1.13, 1.14];

    /// <summary>The first scale of a tile or a segment.</summary>
    /// <param name="values">What is to be coded.</param>
    /// <param name="bits">Bits of a symbol.</param>
    public static Half Start(ReadOnlySpan<float> values, int bits)
    {
        double energy = 0;
        foreach (float value in values) energy += (double)value * value;
        return (Half)Math.Min(s_headroom[bits - TrellisCodebook.LeastBits] * Math.Sqrt(energy / Math.Max(values.Length, 1)), LargestHalf);
    }

    /// <summary>Encodes a tile.</summary>
    /// <param name="encoder">The trellis.</param>
    /// <param name="values"><c>[B²]</c>; scaled in place.</param>
    /// <param name="symbols"><c>[B²]</c>, written.</param>
    /// <returns>The scale.</returns>
    public static Half Encode(TrellisEncoder encoder, Span<float> values, Span<byte> symbols)
    {
        Half start = Start(values, encoder.Bits);
        if (start == Half.Zero)
        {
            symbols.Clear();
            return start;
        }

        Normalize(values, start);
        encoder.Encode(values, symbols);
        return Refit(encoder.Bits, values, symbols, start);
    }

    /// <summary>Divides by the scale.</summary>
    public static void Normalize(Span<float> values, Half scale)
    {
        float inverse = 1 / (float)scale;
        for (int e = 0; e < values.Length; e++) values[e] = Math.Clamp(values[e] * inverse, -Reach, Reach);
    }

    // The best scale for the symbols of values that were divided by start.
    private static Half Refit(int bits, ReadOnlySpan<float> values, ReadOnlySpan<byte> symbols, Half start)
    {
        float[] table = TrellisCodebook.For(bits);
        double product = 0, square = 0;
        for (int e = 0, state = 0; e < values.Length; e++)
        {
            state = TrellisCodebook.Next(state, symbols[e], bits);
            product += (double)values[e] * table[state];
            square += (double)table[state] * table[state];
        }

        return (Half)Math.Clamp((double)start * product / square, 0, LargestHalf);
    }
}
